"""Fan-out over Ray: everything once, a bounded number in flight, lost workers replaced, errors as they were raised."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mts1b.deploy.ray_client import connect_ray
from mts1b.foundation.errors import InputError


@pytest.fixture(scope="module")
def runner(settings):
    connect_ray(settings)
    from jobs.fanout import RayRunner

    return RayRunner(in_flight_max=3)


def scaled(shared: np.ndarray, item: int) -> float:
    assert not shared.flags.writeable  # it lies in the object store, not in a copy
    return float(shared[item])


def test_every_item_once(runner) -> None:
    shared = np.arange(200_000.0)
    found = dict(runner.run(scaled, shared, range(20)))
    assert found == {item: float(item) for item in range(20)}


def test_items_are_taken_as_they_are_worked_off(runner) -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for item in range(12):
            taken += 1
            yield item

    for done, _ in enumerate(runner.run(scaled, np.arange(200_000.0), items()), start=1):
        assert taken <= done + 4


def dies_once(folder: str, item: int) -> int:
    mark = Path(folder) / str(item)
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def test_a_lost_worker_costs_one_item(runner, tmp_path: Path) -> None:
    assert dict(runner.run(dies_once, str(tmp_path), [1, 2])) == {1: 1, 2: 2}


def refuses(_shared: None, item: int) -> int:
    raise InputError("slow", item, "window longer than history", "lower it")


def breaks(_shared: None, item: int) -> float:
    return 1 / item


def test_our_errors_arrive_as_they_were_raised(runner) -> None:
    with pytest.raises(InputError) as caught:
        list(runner.run(refuses, None, [7]))
    assert str(caught.value) == "slow=7: window longer than history; lower it"


def test_other_errors_end_the_run(runner) -> None:
    with pytest.raises(ZeroDivisionError):
        list(runner.run(breaks, None, [0, 1, 2]))

"""The benchmark of 1-minute bars, small: what it makes, measures and refuses. Timings are never asserted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mts1b.bench import minute
from mts1b.datalake import open_lake
from mts1b.foundation.errors import InvariantBroken, StackError
from mts1b.research.stream import StreamRequest, stream_request


def test_a_made_up_lake_is_measured_and_then_gone(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    with minute.made_lake(3, 2, lambda done, total: seen.append((done, total)), tmp_path) as root:
        bars = open_lake(root).equities.bars
        assert seen == [(1, 2), (2, 2)] and bars.verify("1m") == 3 * 2 * 21 * 390
        panel = bars.panel(interval="1m")
        assert bool((panel.high >= panel.open).all()) and bool((panel.low <= panel.close).all())
        figures = minute.measured(str(root), runs=2)
        assert figures["bars"] == panel.close.size and figures["wall_s"] > 0 and figures["peak_memory_mb"] > 10
        minute.check(str(root))
    assert not list(tmp_path.iterdir())


def test_the_same_seed_makes_the_same_bars(tmp_path: Path) -> None:
    versions = []
    for _ in range(2):
        with minute.made_lake(2, 1, directory=tmp_path) as root:
            held = open_lake(root).equities.bars.stored("1m")
            assert held is not None
            versions.append(held.version)
    assert versions[0] == versions[1]


def test_unequal_results_are_not_timed(tmp_path: Path) -> None:
    with minute.made_lake(2, 1, directory=tmp_path) as root:
        found = stream_request(StreamRequest(minute.STRATEGY, lake_root=str(root)))
    wanted = {name: [value] for name, value in found.metrics.items()}
    minute.compare(found, wanted)
    with pytest.raises(InvariantBroken, match="trades"):
        minute.compare(replace(found, metrics={**found.metrics, "trades": 1.0}), wanted)


def test_no_room_is_said_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="are needed"), minute.made_lake(10**9, 120, directory=tmp_path):
        pytest.fail("made")

"""Work spread over a Ray cluster: shared data put once, a bounded number of tasks in flight, lost ones run again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import ray
from ray.exceptions import RayTaskError

from mts1b.backtester.backends import BACKENDS
from mts1b.backtester.choice import Machine
from mts1b.foundation.errors import MtsError
from mts1b.foundation.limits import CHUNKS_IN_FLIGHT_PER_CPU

Shared = TypeVar("Shared")
Item = TypeVar("Item")
Result = TypeVar("Result")

WORKER_LOSSES_MAX = 3
"""Times one item is run again after its worker or node was lost, before the run gives up."""


class RayRunner:
    """`mts1b.research.runner.Runner` over the Ray cluster this process is connected to."""

    def __init__(self, in_flight_max: int | None = None) -> None:
        self._in_flight_max = in_flight_max

    @property
    def workers(self) -> int:
        return max(1, int(ray.cluster_resources().get("CPU", 1)))

    def run(
        self, function: Callable[[Shared, Item], Result], shared: Shared, items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result]]:
        """One task of one CPU for each item. Arrays of `shared` reach the workers without a copy, read-only."""
        task = ray.remote(num_cpus=1, max_retries=WORKER_LOSSES_MAX)(function)
        shared_ref = ray.put(shared)
        limit = self._in_flight_max or in_flight_limit()
        waiting: dict[ray.ObjectRef, Item] = {}
        try:
            for item in items:
                if len(waiting) >= limit:
                    yield from _take_finished(waiting)
                waiting[task.remote(shared_ref, item)] = item
            while waiting:
                yield from _take_finished(waiting)
        finally:
            for reference in waiting:  # the run failed or its reader stopped: nobody wants these any more
                ray.cancel(reference, force=False)


def in_flight_limit() -> int:
    """Tasks to keep handed out on the cluster as it is now."""
    return max(1, int(ray.cluster_resources().get("CPU", 1))) * CHUNKS_IN_FLIGHT_PER_CPU


def cluster_machine() -> Machine:
    """The CPUs and GPUs of the cluster as it is now; no GPU while there is no backend that uses one."""
    has = ray.cluster_resources()
    return Machine(cpus=int(has.get("CPU", 1)), gpus=int(has.get("GPU", 0)) if "gpu" in BACKENDS else 0)


def _take_finished(waiting: dict[ray.ObjectRef, Item]) -> Iterator[tuple[Item, Result]]:
    finished, _ = ray.wait(list(waiting), num_returns=1)
    for reference in finished:
        try:
            result = ray.get(reference)
        except RayTaskError as error:
            if isinstance(error.cause, MtsError):
                raise error.cause from None  # ours, with its field and remedy, without the worker's traceback
            raise
        yield waiting.pop(reference), result

"""Work spread over a Ray cluster: shared data put once, a bounded number of tasks in flight, lost ones run again."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import ray
from ray.exceptions import RayTaskError

from mts1b.backtester.choice import Machine
from mts1b.foundation.errors import MtsError, StackError
from mts1b.foundation.limits import CHUNKS_IN_FLIGHT_PER_CPU, CHUNKS_IN_FLIGHT_PER_GPU
from mts1b.platform.telemetry import received, traceparent
from mts1b.platform.telemetry.service import NOTHING, Observation, observe

Shared = TypeVar("Shared")
Item = TypeVar("Item")
Result = TypeVar("Result")

WORKER_LOSSES_MAX = 3
"""Times one item is run again after its worker or node was lost, before the run gives up."""


class RayRunner:
    """`mts1b.research.runner.Runner` over the Ray cluster this process is connected to.

    `gpus`: GPUs that each task has to itself. StackError when some are asked for and the cluster can have none.
    `observation`: how the workers' operations are told of, as those of `service`.
    """

    def __init__(
        self,
        in_flight_max: int | None = None,
        gpus: int = 0,
        observation: Observation = NOTHING,
        service: str = "research",
    ) -> None:
        if gpus:
            check_gpus()
        self._in_flight_max = in_flight_max
        self._gpus = gpus
        self._observation, self._service = observation, service

    @property
    def workers(self) -> int:
        return cluster_workers(self._gpus)

    def run(
        self, function: Callable[[Shared, Item], Result], shared: Shared, items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result]]:
        """One task of one CPU for each item. Arrays of `shared` reach the workers without a copy, read-only."""
        task = ray.remote(**task_options(self._gpus))(
            observed_task(function, self._observation, self._service, traceparent())
        )
        shared_ref = ray.put(shared)
        limit = self._in_flight_max or in_flight_limit(self._gpus)
        waiting: dict[ray.ObjectRef, Item] = {}
        try:
            for item in items:
                if len(waiting) >= limit:
                    if self._gpus:  # nodes with GPUs come while tasks ask for them
                        limit = self._in_flight_max or in_flight_limit(self._gpus)
                    yield from _take_finished(waiting)
                waiting[task.remote(shared_ref, item)] = item
            while waiting:
                yield from _take_finished(waiting)
        finally:
            for reference in waiting:  # the run failed or its reader stopped: nobody wants these any more
                ray.cancel(reference, force=False)


def observed_task(
    function: Callable[[Shared, Item], Result], observation: Observation, service: str, trace: str
) -> Callable[[Shared, Item], Result]:
    """The function in the trace it was asked for in; the worker's operations go to its metrics in Ray, too."""

    @functools.wraps(function)
    def task(shared: Shared, item: Item) -> Result:
        if observation != NOTHING:
            from mts1b.platform.telemetry.ray_metrics import mirrored

            mirrored()
            observe(service, observation)
        with received(trace):
            return function(shared, item)

    return task


def task_options(gpus: int) -> dict[str, Any]:
    """What Ray is asked for, for each task.

    Ray ends a process after one task on a GPU unless told not to; the next one would begin by loading its kernels anew.
    """
    options = {"num_cpus": 1, "max_retries": WORKER_LOSSES_MAX}
    return options | ({"num_gpus": gpus, "max_calls": 0} if gpus else {})


def cluster_workers(gpus: int = 0) -> int:
    """Tasks that the cluster as it is now works on at once; `gpus` is what each of them takes."""
    has = ray.cluster_resources()
    return max(1, int(has.get("GPU", 0)) // gpus) if gpus else max(1, int(has.get("CPU", 1)))


def in_flight_limit(gpus: int = 0) -> int:
    """Tasks to keep handed out on the cluster as it is now."""
    return cluster_workers(gpus) * (CHUNKS_IN_FLIGHT_PER_GPU if gpus else CHUNKS_IN_FLIGHT_PER_CPU)


def check_gpus() -> None:
    """StackError unless the cluster has a GPU, or its autoscaler may start a node that has one."""
    if ray.cluster_resources().get("GPU", 0) or _gpus_to_come():
        return
    remedy = "start a node with a GPU (ray start --num-gpus=1 where Ray finds none by itself), or use --backend cpu"
    raise StackError("backend", "gpu", "the Ray cluster has no GPU", remedy)


def _gpus_to_come() -> float:
    """GPUs that the cluster's autoscaler may start at most; 0 without an autoscaler."""
    from ray._private.state import state  # Ray has no public way to ask

    return float((state.get_max_resources_from_cluster_config() or {}).get("GPU", 0))


def cluster_machine() -> Machine:
    """The CPUs and GPUs of the cluster as it is now."""
    has = ray.cluster_resources()
    return Machine(cpus=int(has.get("CPU", 1)), gpus=int(has.get("GPU", 0)))


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

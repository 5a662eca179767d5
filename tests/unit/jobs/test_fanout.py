"""What is asked of Ray for each task, and how many tasks are handed out. The fan-out itself: tests/ray."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from jobs import fanout
from mts1b.foundation.errors import StackError
from mts1b.foundation.limits import CHUNKS_IN_FLIGHT_PER_CPU, CHUNKS_IN_FLIGHT_PER_GPU


class Cluster:
    """As much of Ray as the fan-out asks, with resources that may change; every task is done when it is waited for."""

    def __init__(self, **resources: float) -> None:
        self.resources = resources
        self.options: dict[str, Any] = {}
        self.most = 0
        self.open: list[Any] = []

    def cluster_resources(self) -> dict[str, float]:
        return self.resources

    def put(self, value: Any) -> Any:
        return value

    def remote(self, **options: Any) -> Any:
        self.options = options
        return lambda function: SimpleNamespace(remote=lambda *given: self.begun(function(*given)))

    def begun(self, result: Any) -> Any:
        reference = SimpleNamespace(result=result)
        task = Task(reference)
        self.open.append(task)
        self.most = max(self.most, len(self.open))
        return task

    def wait(self, tasks: list[Any], num_returns: int) -> tuple[list[Any], list[Any]]:
        self.open.remove(tasks[0])
        return tasks[:1], tasks[1:]

    def get(self, task: Any) -> Any:
        return task.reference.result

    def cancel(self, task: Any, force: bool) -> None:
        raise AssertionError("nothing is left to cancel")


class Task:
    """A task handed out; hashable, as Ray's references are."""

    def __init__(self, reference: Any) -> None:
        self.reference = reference


def add(shared: int, item: int) -> int:
    return shared + item


def run(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, gpus: int, count: int = 40) -> dict[int, int]:
    monkeypatch.setattr(fanout, "ray", cluster)
    return dict(fanout.RayRunner(gpus=gpus).run(add, 100, range(count)))


def test_each_task_has_a_gpu_to_itself_and_as_many_go_out_as_there_are_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(CPU=64, GPU=3)
    assert run(cluster, monkeypatch, gpus=1) == {item: 100 + item for item in range(40)}
    assert cluster.options["num_gpus"] == 1
    assert cluster.options["max_calls"] == 0  # the process lives on, with its kernels
    assert cluster.most == 3 * CHUNKS_IN_FLIGHT_PER_GPU


def test_more_tasks_go_out_when_gpus_have_come(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(CPU=64, GPU=1)
    monkeypatch.setattr(fanout, "ray", cluster)
    for done, _ in enumerate(fanout.RayRunner(gpus=1).run(add, 0, range(40)), start=1):
        if done == 5:
            assert cluster.most == CHUNKS_IN_FLIGHT_PER_GPU
            cluster.resources = {"CPU": 64, "GPU": 4}
    assert cluster.most > CHUNKS_IN_FLIGHT_PER_GPU


def test_without_gpus_asked_for_the_processors_count(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(CPU=4, GPU=1)
    run(cluster, monkeypatch, gpus=0)
    assert "num_gpus" not in cluster.options and cluster.options["num_cpus"] == 1
    assert cluster.most == 4 * CHUNKS_IN_FLIGHT_PER_CPU


@pytest.mark.parametrize(("to_come", "refused"), [(0.0, True), (4.0, False)])
def test_a_cluster_without_a_gpu_is_refused_unless_its_autoscaler_may_start_one(monkeypatch, to_come, refused) -> None:
    monkeypatch.setattr(fanout, "ray", Cluster(CPU=4))
    monkeypatch.setattr(fanout, "_gpus_to_come", lambda: to_come)
    if refused:
        with pytest.raises(StackError, match="the Ray cluster has no GPU"):
            fanout.RayRunner(gpus=1)
    else:
        assert fanout.RayRunner(gpus=1)

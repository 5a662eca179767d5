"""A Ray cluster of the benchmark's own, in a directory that goes away with it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mts1b.bench.session import Session
from mts1b.config import Settings, load_settings
from mts1b.deploy import stack
from mts1b.deploy.ray_client import connect_ray
from mts1b.research.runner import Runner


@dataclass(frozen=True, slots=True)
class OwnCluster:
    """`roots`: pids whose descendants are all processes of the run, this one's among them."""

    runner: Runner
    results: Path
    cores: int
    roots: tuple[int, ...]


@contextlib.contextmanager
def own_cluster(session: Session, settings: Settings | None = None) -> Iterator[OwnCluster]:
    """The embedded stack's Ray on free ports while the block runs; `settings`: a stack that is up already."""
    with tempfile.TemporaryDirectory(prefix="mts1b-bench-") as folder:
        used = settings or load_settings(data_dir=Path(folder) / "data")
        session.tell("starting Ray")
        try:
            up = stack.up(used, session.clock, parts=("ray",))
            ray = connect_ray(used)
            from jobs.fanout import RayRunner  # after the connection, which sets the environment Ray reads on import

            cores = int(ray.cluster_resources().get("CPU", 1))
            yield OwnCluster(RayRunner(), Path(folder) / "results", cores, (os.getpid(), up.supervisor_pid))
        finally:
            if settings is None:
                _leave()
                stack.down(used, session.clock)


def _leave() -> None:
    import ray

    ray.shutdown()  # a driver whose cluster goes away ends its process

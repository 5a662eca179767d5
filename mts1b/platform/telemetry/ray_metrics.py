"""Operations of Ray workers as metrics of Ray, which collects them from every node of a cluster.

Ray puts `ray_` before each name, and keeps the series of a worker that has ended. Its metric objects must be made in
the process that uses them: they lose their tags when they travel.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from mts1b.foundation.clock import NS_PER_S
from mts1b.platform.telemetry.spans import COLLECTOR, Operation

CHUNKS = "sweep.chunks"
"""The operation that computes chunks of a sweep, with the attributes `strategy`, `backend` and `combinations`."""

BOUNDS_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class _Metrics:
    """What a worker shows, made once in it."""

    def __init__(self) -> None:
        from ray.util.metrics import Counter, Histogram

        self.seconds: Any = Histogram(
            "mts1b_operation_seconds",
            description="How long operations of Ray workers took.",
            boundaries=list(BOUNDS_S),
            tag_keys=("service", "operation"),
        )
        self.failures: Any = Counter(
            "mts1b_operation_failures", description="Operations that failed.", tag_keys=("service", "operation")
        )
        self.combinations: Any = Counter(
            "mts1b_combinations", description="Combinations of sweeps computed.", tag_keys=("strategy", "backend")
        )

    def show(self, operation: Operation) -> None:
        """Add one operation."""
        tags = {"service": operation.service, "operation": operation.name}
        self.seconds.observe(operation.duration_ns / NS_PER_S, tags)
        if operation.error:
            self.failures.inc(1, tags)
        elif operation.name == CHUNKS:
            told = operation.attributes
            self.combinations.inc(
                told["combinations"], {"strategy": str(told["strategy"]), "backend": str(told["backend"])}
            )


@cache
def mirrored() -> None:
    """From now on every operation of this process, a worker of Ray, is in Ray's metrics."""
    COLLECTOR.listen(_Metrics().show)

"""Durations by step name: recorded in constant memory, merged across processes, read as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from mts1b.foundation.clock import Clock
from mts1b.foundation.errors import InputError
from mts1b.platform.telemetry.histogram import Histogram

STEPS_MAX = 1_000
"""Names of steps in one recorder: a name made from an order id would grow without end."""


@dataclass(frozen=True, slots=True)
class StepLatency:
    """One row of the latency table. Durations in nanoseconds."""

    step: str
    count: int
    p50_ns: int
    p99_ns: int
    mean_ns: int
    longest_ns: int


class Recorder:
    """Durations by step name, in the order the steps were first seen. Not for several threads at once.

    Plain data: it may be pickled, sent from an actor and merged elsewhere. `listener` hears of each duration too; it
    stays where it is when the recorder travels.
    """

    def __init__(self, listener: Callable[[str, int], None] | None = None) -> None:
        self.steps: dict[str, Histogram] = {}
        self._listener = listener

    def record(self, step: str, duration_ns: int) -> None:
        """Add one duration. InputError when it is negative or when STEPS_MAX names are in use."""
        if duration_ns < 0:
            raise InputError("duration_ns", duration_ns, "is negative", "subtract monotonic times, earlier from later")
        self._of(step).add(duration_ns)
        if self._listener is not None:
            self._listener(step, duration_ns)

    @contextmanager
    def timed(self, step: str, clock: Clock) -> Iterator[None]:
        """Record how long the body takes, also when it raises."""
        since_ns = clock.monotonic_ns()
        try:
            yield
        finally:
            self.record(step, clock.monotonic_ns() - since_ns)

    def merge(self, other: Recorder | Mapping[str, Histogram]) -> None:
        """Add what another recorder, perhaps of another process, holds."""
        for step, histogram in (other.steps if isinstance(other, Recorder) else other).items():
            self._of(step).merge(histogram)

    def table(self, steps: Iterable[str] | None = None) -> list[StepLatency]:
        """One row for each step, or for each of `steps` in that order; those never recorded have count 0."""
        return [_row(step, self.steps.get(step, Histogram())) for step in (self.steps if steps is None else steps)]

    def __getstate__(self) -> dict[str, object]:
        return {"steps": self.steps, "_listener": None}

    def _of(self, step: str) -> Histogram:
        if step not in self.steps:
            if len(self.steps) >= STEPS_MAX:
                raise InputError("step", step, f"more than {STEPS_MAX} names", "name steps, not orders")
            self.steps[step] = Histogram()
        return self.steps[step]


def _row(step: str, histogram: Histogram) -> StepLatency:
    return StepLatency(
        step=step,
        count=histogram.count,
        p50_ns=histogram.percentile_ns(50),
        p99_ns=histogram.percentile_ns(99),
        mean_ns=histogram.total_ns // histogram.count if histogram.count else 0,
        longest_ns=histogram.longest_ns,
    )

"""Durations by step: recorded in constant memory, merged across processes, read as percentiles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from mts1b.foundation.clock import Clock
from mts1b.foundation.errors import InputError

SUB_BUCKETS_BITS = 6
"""Each power of two is cut into 64 buckets, so a percentile is at most 1.6 % above the true one, never below."""

STEPS_MAX = 1_000
"""Names of steps in one recorder: a name made from an order id would grow without end."""


def bucket_of(duration_ns: int) -> int:
    """The bucket that holds a duration: exact below 128 ns, 64 buckets for each power of two above."""
    shift = max(0, duration_ns.bit_length() - SUB_BUCKETS_BITS - 1)
    return (shift << SUB_BUCKETS_BITS) + (duration_ns >> shift)


def upper_ns(bucket: int) -> int:
    """The longest duration that belongs in the bucket."""
    shift = max(0, (bucket >> SUB_BUCKETS_BITS) - 1)
    return ((bucket - (shift << SUB_BUCKETS_BITS) + 1) << shift) - 1


@dataclass(slots=True)
class Histogram:
    """Counts of durations by bucket. Memory is bounded by the buckets in use, a few thousand at the very most."""

    counts: dict[int, int] = field(default_factory=dict)
    count: int = 0
    total_ns: int = 0
    longest_ns: int = 0

    def add(self, duration_ns: int) -> None:
        bucket = bucket_of(duration_ns)
        self.counts[bucket] = self.counts.get(bucket, 0) + 1
        self.count += 1
        self.total_ns += duration_ns
        self.longest_ns = max(self.longest_ns, duration_ns)

    def merge(self, other: Histogram) -> None:
        """Add the durations of `other`, as if they had been recorded here."""
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count
        self.count += other.count
        self.total_ns += other.total_ns
        self.longest_ns = max(self.longest_ns, other.longest_ns)

    def percentile_ns(self, percent: float) -> int:
        """The duration that `percent` (0 to 100) of all do not exceed, by nearest rank; 0 when there is none."""
        if not 0 <= percent <= 100:
            raise InputError("percent", percent, "must lie between 0 and 100", "give 50 for the median")
        rank, seen = max(1, -(-self.count * percent // 100)), 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= rank:
                return min(upper_ns(bucket), self.longest_ns)
        return 0


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

    Plain data: it may be pickled, sent from an actor and merged elsewhere.
    """

    def __init__(self) -> None:
        self.steps: dict[str, Histogram] = {}

    def record(self, step: str, duration_ns: int) -> None:
        """Add one duration. InputError when it is negative or when STEPS_MAX names are in use."""
        if duration_ns < 0:
            raise InputError("duration_ns", duration_ns, "is negative", "subtract monotonic times, earlier from later")
        self._of(step).add(duration_ns)

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

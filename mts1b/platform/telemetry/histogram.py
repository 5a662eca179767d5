"""Counts of durations in constant memory, merged across processes, read as percentiles."""

from __future__ import annotations

from dataclasses import dataclass, field

from mts1b.foundation.errors import InputError

SUB_BUCKETS_BITS = 6
"""Each power of two is cut into 64 buckets, so a percentile is at most 1.6 % above the true one, never below."""


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

    def copy(self) -> Histogram:
        """The same counts, no longer the same object."""
        return Histogram(dict(self.counts), self.count, self.total_ns, self.longest_ns)

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

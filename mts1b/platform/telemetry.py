"""How long each step of a path took: recorded where it happens, brought together afterwards. Durations in nanoseconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import floor

DURATIONS_PER_STEP_MAX = 100_000
"""Durations kept of each step; the newest stay. Eight hours of a busy desk at 3 a second, under 4 MB a step."""


class StepTimer:
    """Durations by step name, of one process."""

    def __init__(self, kept_max: int = DURATIONS_PER_STEP_MAX) -> None:
        self._kept_max = kept_max
        self._durations: dict[str, deque[int]] = {}

    def record(self, step: str, ns: int) -> None:
        """Add one duration of `step`, in nanoseconds."""
        kept = self._durations.get(step)
        if kept is None:
            kept = self._durations[step] = deque(maxlen=self._kept_max)
        kept.append(ns)

    def durations(self) -> dict[str, list[int]]:
        """What was recorded, oldest first, by step."""
        return {step: list(kept) for step, kept in self._durations.items()}

    def clear(self) -> None:
        """Forget everything, as after a warm-up."""
        self._durations.clear()


def merged(parts: Iterable[Mapping[str, Sequence[int]]]) -> dict[str, list[int]]:
    """The durations of several processes as one, part after part."""
    whole: dict[str, list[int]] = {}
    for part in parts:
        for step, durations in part.items():
            whole.setdefault(step, []).extend(durations)
    return whole


@dataclass(frozen=True, slots=True)
class StepSummary:
    """One step: how many durations, and their percentiles, in nanoseconds."""

    step: str
    count: int
    p50_ns: int
    p99_ns: int
    p999_ns: int


def summary(step: str, durations_ns: Sequence[int]) -> StepSummary:
    """Percentiles of one step. ValueError without a duration."""
    ordered = sorted(durations_ns)
    return StepSummary(step, len(ordered), *(percentile(ordered, share) for share in (0.5, 0.99, 0.999)))


def percentile(ordered: Sequence[int], share_ratio: float) -> int:
    """The value that `share_ratio` of the sorted values do not exceed, interpolated. ValueError when there is none."""
    if not ordered:
        raise ValueError("no durations: nothing was recorded for this step")
    place = share_ratio * (len(ordered) - 1)
    below = floor(place)
    above = min(below + 1, len(ordered) - 1)
    return round(ordered[below] + (ordered[above] - ordered[below]) * (place - below))

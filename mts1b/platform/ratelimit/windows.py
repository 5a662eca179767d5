"""Sliding windows: how many calls a stretch of time may hold, wherever it begins. The reference of the Redis script."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mts1b.config_sections import Tier

US_PER_S = 1_000_000

LENGTHS_S = {"per_second": 1, "per_minute": 60, "per_day": 86_400}

SHORT_US = 3_600 * US_PER_S
"""Windows shorter than this are taken as used up where their history may be lost; a day's is charged what is known."""


@dataclass(frozen=True, slots=True)
class Window:
    """At most `limit` calls in any `length_us` microseconds."""

    limit: int
    length_us: int

    @property
    def short(self) -> bool:
        return self.length_us < SHORT_US


def windows_of(tier: Tier, slack_s: float, share: float = 1.0) -> tuple[Window, ...]:
    """The tier's windows, each longer by `slack_s`: a call that begins that late after its permit still keeps to them.

    `share`: the part of each limit that is meant; a part of less than one call is one call in a longer window.
    """
    found = []
    for name, length_s in LENGTHS_S.items():
        limit: int | None = getattr(tier, name)
        if limit is not None:
            part = limit * share
            stretched_s = length_s if part >= 1 else length_s / part
            found.append(Window(max(1, int(part)), round((stretched_s + slack_s) * US_PER_S)))
    return tuple(found)


class SlidingLog:
    """Times of calls in microseconds, as long as a window may hold them. Not for several threads at once."""

    def __init__(self, windows: Sequence[Window]) -> None:
        self._windows = tuple(windows)
        self._longest_us = max((window.length_us for window in windows), default=0)
        self._times: list[int] = []

    def ask(self, now_us: int, permits: int = 1) -> int:
        """0: granted, and noted. Else microseconds until asking again may succeed."""
        del self._times[: bisect_right(self._times, now_us - self._longest_us)]
        wait_us = max((self._wait_us(window, now_us, permits) for window in self._windows), default=0)
        if wait_us == 0:
            self.note([now_us] * permits)
        return wait_us

    def note(self, times_us: Iterable[int]) -> None:
        """Count calls that were made without asking here."""
        for time_us in times_us:
            insort(self._times, time_us)

    def fill(self, at_us: int) -> None:
        """Take every short window as used up at that time: nothing is known of what was called before."""
        missing = [window.limit - self._held(window, at_us) for window in self._windows if window.short]
        self.note([at_us] * max([0, *missing]))

    def _held(self, window: Window, now_us: int) -> int:
        return len(self._times) - bisect_right(self._times, now_us - window.length_us)

    def _wait_us(self, window: Window, now_us: int, permits: int) -> int:
        over = self._held(window, now_us) + permits - window.limit
        if over <= 0:
            return 0
        oldest = bisect_right(self._times, now_us - window.length_us)
        return self._times[oldest + over - 1] + window.length_us - now_us

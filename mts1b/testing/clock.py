"""Time that moves only when told to."""

from __future__ import annotations


class SimulatedClock:
    """A `mts1b.foundation.clock.Clock` that stands still until `advance`."""

    def __init__(self, now_ns: int = 0) -> None:
        self._now_ns = now_ns
        self._monotonic_ns = 0

    def now_ns(self) -> int:
        return self._now_ns

    def monotonic_ns(self) -> int:
        return self._monotonic_ns

    def advance(self, by_ns: int) -> None:
        """Move both clocks on. ValueError for a step backwards."""
        if by_ns < 0:
            raise ValueError("time does not run backwards")
        self._now_ns += by_ns
        self._monotonic_ns += by_ns

"""What every benchmark is handed: the clock, the size it is to run at, and someone to tell how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mts1b.foundation.clock import NS_PER_S, Clock

Result = TypeVar("Result")


def _silent(_text: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Session:
    """`quick` runs the same at a size of seconds: it shows that a benchmark works and says nothing about speed.

    `data`: a file of real daily bars, for benchmarks that would make theirs up.
    """

    clock: Clock
    quick: bool = False
    tell: Callable[[str], None] = _silent
    data: Path | None = None

    def size(self, full: int, quick: int) -> int:
        """The full size, or the quick one."""
        return quick if self.quick else full

    def timed(self, call: Callable[[], Result]) -> tuple[float, Result]:
        """Seconds that `call` took, and what it gave."""
        began_ns = self.clock.monotonic_ns()
        found = call()
        return (self.clock.monotonic_ns() - began_ns) / NS_PER_S, found

    def best_of(self, times: int, call: Callable[[], Result]) -> tuple[float, Result]:
        """The fewest seconds of several runs, and what the last one gave: what else runs only ever adds time."""
        seconds, found = self.timed(call)
        for _ in range(times - 1):
            again, found = self.timed(call)
            seconds = min(seconds, again)
        return seconds, found

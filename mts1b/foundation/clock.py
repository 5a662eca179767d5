"""Time, as a value that is handed in. The only module that reads the machine's clocks."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
NS_PER_DAY = 86_400 * NS_PER_S


class Clock(Protocol):
    """Where time comes from. Simulations hand in their own."""

    def now_ns(self) -> int:
        """UTC nanoseconds since 1970. May jump when the machine's clock is set."""

    def monotonic_ns(self) -> int:
        """Nanoseconds that only grow; for durations and deadlines, comparable on one machine."""


class SystemClock:
    """The machine's own clocks."""

    def now_ns(self) -> int:
        return time.time_ns()

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()


def iso(ts_ns: int) -> str:
    """UTC nanoseconds as ISO 8601 with microseconds, `2017-12-29T00:00:00.000000+00:00`."""
    return from_ns(ts_ns).isoformat(timespec="microseconds")


def from_ns(ts_ns: int) -> datetime:
    """UTC nanoseconds as an aware datetime; nanoseconds below a microsecond are cut off."""
    return datetime.fromtimestamp(ts_ns // NS_PER_S, UTC).replace(microsecond=ts_ns % NS_PER_S // 1000)


def to_ns(moment: datetime) -> int:
    """An aware datetime as UTC nanoseconds, exact to the microsecond. ValueError when naive."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone is ambiguous: give an aware datetime")
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * NS_PER_S + delta.microseconds * 1000

"""What a user writes for a time, and the instants it stands for."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from mts1b.foundation.clock import to_ns
from mts1b.foundation.errors import InputError

When = str | date | datetime | None
"""A date or instant as `2017-12-29` or ISO 8601, a date, a datetime (UTC when it names no zone), or None: no bound."""

REMEDY = "write YYYY-MM-DD, or ISO 8601 for an instant"


def span_us(start: When, end: When) -> tuple[int | None, int | None]:
    """First and last UTC microsecond asked for, both included; a bare end date includes its whole day.

    InputError when a bound cannot be read or the range is inverted.
    """
    first = None if start is None else _us(_instant("start", start))
    last = None if end is None else _us(_instant("end", end) + (_day_end if _is_date(end) else timedelta()))
    if first is not None and last is not None and first > last:
        raise InputError("start", str(start), f"is after end={str(end)!r}", "give start <= end")
    return first, last


_day_end = timedelta(days=1) - timedelta(microseconds=1)


def _is_date(when: When) -> bool:
    if isinstance(when, str):
        return len(when) <= len("2017-12-29")
    return isinstance(when, date) and not isinstance(when, datetime)


def _instant(field: str, when: str | date | datetime) -> datetime:
    if isinstance(when, str):
        try:
            when = datetime.fromisoformat(when)
        except ValueError:
            raise InputError(field, when, "not a date", REMEDY) from None
    if not isinstance(when, datetime):
        when = datetime(when.year, when.month, when.day)
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when


def _us(moment: datetime) -> int:
    return to_ns(moment) // 1000

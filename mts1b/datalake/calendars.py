"""When an exchange is open, from `exchange_calendars`: imported when asked, since it brings pandas along."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np
import polars as pl

from mts1b.foundation.errors import InputError

SESSIONS = pl.Schema(
    {"day": pl.Date(), "opens": pl.Datetime("us", "UTC"), "closes": pl.Datetime("us", "UTC"), "early": pl.Boolean()}
)

ALWAYS = "24/7"
"""Calendar of what never closes."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """Sessions of an exchange in `SESSIONS`, by day; `zone`: its local time."""

    name: str
    zone: str
    sessions: pl.DataFrame


def calendar(name: str, first: date, last: date) -> Calendar:
    """The sessions of the years of two days, of an exchange by its ISO 10383 code: XNYS is New York.

    InputError for a calendar that is not known.
    """
    return _years(name, first.year, last.year)


def session_after(name: str, day: date) -> date:
    """The first session after a day."""
    days = _years(name, day.year, day.year + 1).sessions["day"]
    found: date = days[int(days.search_sorted(day, side="right"))]
    return found


@lru_cache(maxsize=32)
def _years(name: str, first: int, last: int) -> Calendar:
    import exchange_calendars

    if name not in exchange_calendars.get_calendar_names():
        raise InputError("calendar", name, "no such exchange calendar", "give a code like XNYS, 24/7, or none")
    found = exchange_calendars.get_calendar(name, start=f"{first}-01-01", end=f"{last}-12-31")
    stamps = {"opens": found.opens, "closes": found.closes}
    table = pl.DataFrame(
        {
            "day": found.sessions.to_numpy().astype("datetime64[D]"),
            **{side: times.dt.tz_localize(None).to_numpy().astype("datetime64[us]") for side, times in stamps.items()},
            "early": np.isin(found.sessions.to_numpy(), found.early_closes.to_numpy()),
        }
    )
    table = table.with_columns(pl.col(side).dt.replace_time_zone("UTC") for side in stamps)
    return Calendar(name, str(found.tz), table.cast(SESSIONS))

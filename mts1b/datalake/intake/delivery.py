"""What a file holds, before anyone judges it, and how rows that break a rule are told from the others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from mts1b.datalake.schema import STATUSES, interval_of
from mts1b.foundation.errors import InputError, unknown_name

OFFENCES = pl.Schema({"place": pl.UInt32(), "check": pl.String(), "reason": pl.String()})
"""`place`: number of the row, from 0; `check`: which one it fails; `reason`: in words, with the remedy where there is
one. A row may have several."""

STAMPS = ("start", "end")
MARKETS = ("equities", "crypto", "fx")


@dataclass(frozen=True, slots=True)
class Terms:
    """What is known of a delivery beside its rows. `zone`: of times that name none, None: nobody knows. `stamps`: a
    bar's time is its start, or its end. `status`: what its prices have in them. `calendar`: of its exchange
    (`exchange_calendars`' name), None: no check against one. `symbol`: of files that name none; `columns`: of files
    without a header.
    """

    market: str = "equities"
    interval: str = "daily"
    zone: str | None = None
    stamps: str = "start"
    status: str | None = None
    calendar: str | None = "XNYS"
    symbol: str | None = None
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        interval_of(self.interval)
        if self.market not in MARKETS:
            raise unknown_name("market", self.market, MARKETS)
        if self.stamps not in STAMPS:
            raise unknown_name("stamps", self.stamps, STAMPS)
        if self.status is not None and self.status not in STATUSES:
            raise unknown_name("adjustment", self.status, STATUSES)
        if self.zone is not None:
            _check_zone(self.zone)

    @property
    def daily(self) -> bool:
        return self.interval == "daily"


def _check_zone(zone: str) -> None:
    try:
        pl.Series([None], dtype=pl.Datetime("us", zone))
    except (pl.exceptions.PolarsError, ValueError):
        raise InputError("zone", zone, "no such time zone", "give a name like America/New_York or UTC") from None


@dataclass(frozen=True, slots=True)
class Delivery:
    """Rows as they are delivered: one row of `rows` for each line of data, in order, in the file's own columns.

    `lines`: number of each row in the file, from 1. `offences`: rows of which more is not to be known (a line with
    another number of fields); they are in `rows` with their text alone.
    """

    label: str
    rows: pl.DataFrame
    terms: Terms
    offences: pl.DataFrame = field(default_factory=OFFENCES.to_frame)
    first_line: int = 1
    notes: tuple[str, ...] = ()

    def said(self, note: str) -> Delivery:
        """The same with one more thing that was taken as given."""
        return replace(self, notes=(*self.notes, note))


def offences(broken: pl.Series | pl.DataFrame, check: str, reason: str | pl.Expr) -> pl.DataFrame:
    """Offences of a frame with `place` (and what `reason` reads), one for each of its rows."""
    frame = broken.to_frame("place") if isinstance(broken, pl.Series) else broken
    said = pl.lit(reason) if isinstance(reason, str) else reason
    return frame.select(pl.col("place").cast(pl.UInt32), pl.lit(check).alias("check"), said.alias("reason"))


def joined(found: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """All offences, by place."""
    return pl.concat([OFFENCES.to_frame(), *found]).unique(maintain_order=True).sort("place", maintain_order=True)


def raw_texts(rows: pl.DataFrame) -> pl.Series:
    """Each row as JSON, `{"column": value}`, as it was delivered."""
    return pl.Series("raw", [json.dumps(row, default=str) for row in rows.iter_rows(named=True)], pl.String)

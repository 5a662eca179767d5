"""Master data as they are delivered: out of a file with the lake's sectors, or out of the lake itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from mts1b.datalake import Lake, open_lake
from mts1b.foundation.clock import NS_PER_DAY, from_ns, to_ns
from mts1b.foundation.errors import DataError, InputError
from mts1b.refdata.files import opening_hours, read_master
from mts1b.refdata.master import Windows
from mts1b.refdata.rows import ADV, BORROW, INSTRUMENTS, InstrumentRow, Row, checked_rows

LAKE = "the lake"


@dataclass(frozen=True, slots=True)
class Delivered:
    """Rows as of a moment, and the opening hours of the sessions they name."""

    rows: tuple[Row, ...]
    as_of_ns: int
    source: str
    sessions: Mapping[str, Windows] = field(default_factory=dict)


def from_file(kind: str, path: Path, lake_root: Path | str, now_ns: int, as_of_ns: int | None = None) -> Delivered:
    """The rows of a file, as of `as_of_ns` or of its last change. Instruments without a sector have the lake's."""
    rows = read_master(kind, path)
    moment_ns = path.stat().st_mtime_ns if as_of_ns is None else as_of_ns
    if kind != INSTRUMENTS:
        return Delivered(rows, moment_ns, path.name)
    return Delivered(with_sectors(rows, open_lake(lake_root)), moment_ns, path.name, opening_hours(rows, now_ns))


def from_lake(kind: str, lake_root: Path | str, bars: int) -> Delivered:
    """Volumes of the last `bars` sessions, or the newest list of what can be borrowed. InputError for what the lake
    does not hold."""
    lake = open_lake(lake_root)
    if kind == ADV:
        return _volumes(lake, bars)
    if kind == BORROW:
        return _borrow(lake)
    raise InputError("file", "lake", f"the lake holds no {kind}", "give a .csv or .parquet file")


def with_sectors(rows: tuple[Row, ...], lake: Lake) -> tuple[Row, ...]:
    """Instruments with the lake's sector where their own is blank."""
    instruments = [row for row in rows if isinstance(row, InstrumentRow)]
    known = lake.equities.sectors.of([row.symbol for row in instruments]) or ("",) * len(instruments)
    return tuple(
        row if row.sector else row.model_copy(update={"sector": sector})
        for row, sector in zip(instruments, known, strict=True)
    )


def _volumes(lake: Lake, bars: int) -> Delivered:
    """The mean of what was traded a day, in today's shares; days without a trade are left out of it."""
    held = lake.equities.bars.stored("daily")
    if held is None or held.last_ns is None:
        raise DataError("dataset", "equities.bars", "holds no daily bars", "run `mts data ingest`, or give a file")
    start = from_ns(held.last_ns - (2 * bars + 10) * NS_PER_DAY).date()  # holidays and week-ends among them
    panel = lake.equities.bars.panel(adjust="split", start=start.isoformat())
    last = panel.volume[-bars:]
    traded = np.where(last > 0, last, np.nan)
    counted = np.isfinite(traded).sum(axis=0)
    total = np.nansum(traded, axis=0)
    named = zip(panel.symbols, total, counted, strict=True)
    found = ({"symbol": name, "adv": str(int(amount // days))} for name, amount, days in named if amount >= days > 0)
    return Delivered(checked_rows(ADV, enumerate(found, start=1), LAKE), int(panel.ts_ns[-1]), LAKE)


def _borrow(lake: Lake) -> Delivered:
    """The rows of the newest time: a name that is not among them cannot be borrowed. One that is not easy to borrow
    needs a locate, and none is in the lake."""
    held = lake.equities.borrow.read()
    if not held.height:
        raise DataError("dataset", "equities.borrow", "holds no rows", "store some, or give a file")
    newest = held.filter(pl.col("ts") == held["ts"].max())
    rows = [
        {
            "symbol": row["symbol"],
            "quantity": None if row["available"] is None else str(row["available"]),
            "rate": None if row["rate"] is None else str(row["rate"]),
            "located": None if row["easy"] else "0",
        }
        for row in newest.iter_rows(named=True)
    ]
    return Delivered(checked_rows(BORROW, enumerate(rows, start=1), LAKE), to_ns(newest["ts"][0]), LAKE)

"""Who belonged to an index, and when: universes by date, so that a backtest has the names that failed in it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mts1b.datalake.columns import TIMESTAMP
from mts1b.datalake.schema import TICKER, refuse
from mts1b.datalake.symbols import Uses
from mts1b.foundation.errors import unknown_name

MEMBERS = pl.Schema(
    {
        "universe": pl.String(),
        "symbol": pl.String(),
        "first": pl.Date(),
        "last": pl.Date(),
        "known": TIMESTAMP,
    }
)
"""A stay in a universe, under the ticker of its first day or a security's id; days included, `last` null: still in."""


def checked_members(members: pl.DataFrame, source: str) -> pl.DataFrame:
    """The members in the columns of `MEMBERS`; a stay without `known` is known from its first day on.

    DataError names the first row that breaks a rule.
    """
    missing = {name: pl.lit(None, kind) for name, kind in MEMBERS.items() if name not in members.columns}
    rows = members.with_columns(**missing).select(pl.col(name).cast(kind) for name, kind in MEMBERS.items())
    rows = rows.with_columns(pl.coalesce("known", pl.col("first").cast(TIMESTAMP)).alias("known"))
    for name in ("universe", "symbol", "first"):
        refuse(rows, pl.col(name).is_null(), f"{name} is missing", source)
    refuse(rows, ~pl.col("symbol").str.contains(TICKER), "the symbol is not a ticker", source)
    refuse(rows, pl.col("last") < pl.col("first"), "it ends before it begins", source)
    return rows.unique(maintain_order=True)


def stays(members: pl.DataFrame, universe: str, history: pl.DataFrame, as_of_us: int | None = None) -> pl.DataFrame:
    """name, first and last of each stay in a universe as known at a moment, by name; names are ids of securities.

    UnknownNameError for a universe that does not exist.
    """
    known = sorted(set(members["universe"].to_list()))
    if universe not in known:
        raise unknown_name("universe", universe, known)
    held = members.filter(pl.col("universe") == universe)
    if as_of_us is not None:
        moment = pl.lit(as_of_us).cast(TIMESTAMP)
        left = pl.col("last").cast(TIMESTAMP) <= moment
        held = held.filter(pl.col("known") <= moment).with_columns(pl.when(left).then("last").alias("last"))
    newest = held.sort("known").group_by(["symbol", "first"], maintain_order=True).last()
    pairs = newest.select("symbol", "first").iter_rows()
    uses = Uses(history)
    names = [uses.security(symbol, first) or symbol for symbol, first in pairs]
    return newest.select(pl.Series("name", names, pl.String), "first", "last").sort("name", "first")


def inside(stays: pl.DataFrame, start: date | None, end: date | None) -> tuple[str, ...]:
    """Every name with a day in the universe from `start` to `end`, both included, in order of name."""
    if start is not None:
        stays = stays.filter(pl.col("last").is_null() | (pl.col("last") >= start))
    if end is not None:
        stays = stays.filter(pl.col("first") <= end)
    return tuple(stays["name"].unique().sort().to_list())


def member_mask(stays: pl.DataFrame, days: NDArray[np.int64], names: Sequence[str]) -> NDArray[np.bool_]:
    """[T, S]: whether a name is a member on each of `days` (days since 1970, ascending)."""
    mask = np.zeros((len(days), len(names)), dtype=bool)
    column = {name: number for number, name in enumerate(names)}
    epoch = date(1970, 1, 1).toordinal()
    for name, first, last in stays.iter_rows():
        if name in column:
            start = int(np.searchsorted(days, first.toordinal() - epoch, side="left"))
            stop = len(days) if last is None else int(np.searchsorted(days, last.toordinal() - epoch, side="right"))
            mask[start:stop, column[name]] = True
    return mask

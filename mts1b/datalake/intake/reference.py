"""Tables about shares out of files of a user's: corporate actions, tickers, universes. All rows of a file or none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from mts1b.datalake.catalog import Lake
from mts1b.datalake.delivered import read_file
from mts1b.datalake.intake.storing import store_actions, store_history, store_members
from mts1b.datalake.schema import first_line
from mts1b.foundation.errors import DataError, unknown_name

SPELLINGS = {
    "security": ("security", "permanent_id", "figi"),
    "symbol": ("symbol", "ticker"),
    "ticker": ("ticker", "symbol"),
    "ex": ("ex", "ex_date", "date", "ts"),
    "kind": ("kind", "type", "action"),
    "value": ("value", "amount", "ratio"),
    "first": ("first", "start", "start_date", "from", "ts"),
    "last": ("last", "end", "end_date", "until", "to"),
    "universe": ("universe", "index"),
    "delisted": ("delisted",),
    "known": ("known", "known_ts"),
}
"""What a column is called in files, in any case of letters."""

Store = Callable[[Lake, pl.DataFrame, str], None]

TABLES: dict[str, tuple[tuple[str, ...], tuple[str, ...], Store]] = {
    "equities.corporate_actions": (("security", "ex", "kind", "value"), ("known",), store_actions),
    "equities.symbol_history": (("security", "ticker", "first", "last"), ("delisted", "known"), store_history),
    "equities.index_membership": (("universe", "symbol", "first", "last"), ("known",), store_members),
}
"""Columns that a table needs, those it may have, and how it is stored."""

DAYS = ("ex", "first", "last")


def ingest_table(lake: Lake, dataset: str, file: Path, universe: str | None = None) -> int:
    """Store the rows of a .csv or .parquet file; how many. `universe`: of files that name none.

    UnknownNameError for another dataset; DataError names a column that is missing or the first row that breaks a rule.
    """
    if dataset not in TABLES:
        raise unknown_name("dataset", dataset, ["equities.bars", *TABLES])
    needed, optional, store = TABLES[dataset]
    rows = read_file(file)
    spelled = {name.strip().lower(): name for name in rows.columns}
    found: dict[str, pl.Expr] = {} if universe is None else {"universe": pl.lit(universe)}
    for name in (*needed, *optional):
        column = next((spelled[spelling] for spelling in SPELLINGS[name] if spelling in spelled), None)
        if name == "security" and column is None:
            column = next((spelled[spelling] for spelling in SPELLINGS["symbol"] if spelling in spelled), None)
        if column is not None and name not in found:
            found[name] = _read(pl.col(column), name, rows.schema[column])
        if name in needed and name not in found:
            remedy = "say which: --universe NAME" if name == "universe" else f"it holds: {', '.join(rows.columns)}"
            raise DataError("file", file.name, f"has no column {name!r}", remedy)
    try:
        table = rows.select(**found)
    except pl.exceptions.PolarsError as error:
        raise DataError("file", file.name, f"columns of the wrong type: {first_line(error)}", "correct it") from None
    store(lake, table, file.name)
    return table.height


def _read(column: pl.Expr, name: str, kind: pl.DataType) -> pl.Expr:
    """Days and times of texts are ISO 8601; an empty text is none."""
    if not isinstance(kind, pl.String):
        return column.cast(pl.Date) if name in DAYS else column
    text = pl.when(column.str.strip_chars() != "").then(column.str.strip_chars())
    if name in DAYS:
        return text.str.slice(0, 10).str.to_date("%Y-%m-%d")
    if name == "known":
        return text.str.to_datetime(time_unit="us", time_zone="UTC")
    return text.cast(pl.Float64) if name == "value" else text

"""The sector of each name: one small table."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from mts1b.datalake.dataset import Dataset, Stored
from mts1b.datalake.delivered import Source, delivered, label_of
from mts1b.datalake.schema import TICKER, refuse
from mts1b.foundation.errors import DataError

NAMES = ("symbol", "sector")


class Sectors(Dataset):
    """Symbols and what they belong to."""

    def ingest(self, source: Source) -> Stored:
        """Put sectors in, from a Parquet or CSV file or a frame with the columns symbol and sector.

        A name's sector replaces the stored one; the rest is kept. Readers see all of it or none. InputError: no such
        file; DataError: unreadable, or the first row that breaks a rule; StackError: the lake cannot be written.
        """
        label = label_of(source)
        return self.upsert(_checked(delivered(source), label), source=label)

    def of(self, symbols: Sequence[str]) -> tuple[str, ...]:
        """The sector of each of `symbols`, "" where none is known; empty when none of them has one."""
        if self.stored() is None:
            return ()
        known = dict(self.read().iter_rows())
        found = tuple(known.get(symbol, "") for symbol in symbols)
        return found if any(found) else ()


def _checked(frame: pl.DataFrame, source: str) -> pl.DataFrame:
    for name in NAMES:
        if name not in frame.columns:
            raise DataError("file", source, f"has no column {name!r}", f"it holds: {', '.join(frame.columns)}")
    rows = frame.select(pl.col(name).cast(pl.String) for name in NAMES).with_columns(pl.col("sector").str.strip_chars())
    if not rows.height:
        raise DataError("file", source, "holds no rows", "give a file with symbols and sectors")
    refuse(rows, pl.any_horizontal(pl.col(name).is_null() for name in NAMES), "a value is missing", source)
    refuse(rows, ~pl.col("symbol").str.contains(TICKER), "the symbol is not a ticker", source)
    refuse(rows, pl.col("sector") == "", "the sector is blank", source)
    refuse(rows, pl.col("symbol").is_duplicated(), "the symbol has two sectors", source)
    return rows

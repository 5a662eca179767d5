"""A few names out of large row groups: the pages before and after them are skipped, not decoded.

Arrow decodes a row group as a whole: right for whoever wants most of it, and at one minute some sixteen times too much
for one name. polars skips the pages that a slice does not need, and takes about 0.4 ms for each slice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby

import polars as pl
import pyarrow as pa

from mts1b.datalake.columns import Column
from mts1b.datalake.definitions import Definition
from mts1b.datalake.footers import Footer, Numbers
from mts1b.datalake.snapshot import StoredFile
from mts1b.datalake.storage import Place

SKIPPED_VALUES_MIN = 100_000
"""Values that each slice must spare Arrow, at 4 ns a value, to be worth its own time."""

EACH_BY_ITSELF = pl.QueryOptFlags(comm_subplan_elim=False)
"""Else two slices of a file would become one scan of all of it."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Rows of some names of a file, `rows[i]` of them from `starts[i]` on, of `names[i]` (places in the layout)."""

    file: StoredFile
    columns: tuple[str, ...]
    names: Numbers
    starts: Numbers
    rows: Numbers


def cut(file: StoredFile, footer: Footer, names: frozenset[str] | None, columns: Sequence[str]) -> Cut | None:
    """What to cut out of a file for these names; None when Arrow had better read the row groups they lie in."""
    if names is None or footer.layout is None:
        return None
    chosen, starts, rows = footer.places(names)
    stored = tuple(name for name in columns if name in footer.fields)
    spared = (footer.rows_of_groups(starts, rows) - int(rows.sum())) * len(stored)
    if not stored or spared < SKIPPED_VALUES_MIN * max(1, len(rows)):
        return None
    return Cut(file, stored, chosen, starts, rows)


def read_cuts(place: Place, definition: Definition, cuts: Sequence[Cut]) -> list[pa.Table]:
    """The rows of each cut, name after name, in the types that Arrow reads. PolarsError, OSError: a file is damaged."""
    queries = [
        pl.scan_parquet(place.address(one.file.path), hive_partitioning=False, glob=False)
        .select(_as_words(definition.column(name)) for name in one.columns)
        .slice(start, rows)
        for one in cuts
        for start, rows in zip(one.starts.tolist(), one.rows.tolist(), strict=True)
    ]
    frames = iter(pl.collect_all(queries, optimizations=EACH_BY_ITSELF))
    tables = []
    for columns, group in groupby(cuts, key=lambda one: one.columns):
        alike = list(group)  # what conversions cost, they cost once for files alike
        heights = [int(one.rows.sum()) for one in alike]
        table = _as_arrow(pl.concat([next(frames) for one in alike for _ in one.rows]), definition, columns)
        starts = accumulate(heights, initial=0)
        tables += [table.slice(start, rows) for start, rows in zip(starts, heights, strict=False)]
    return tables


def _as_words(column: Column) -> pl.Expr:
    """Prices as their whole units."""
    values = pl.col(column.name)
    return values.to_physical().cast(pl.Int64) if isinstance(column.stored, pl.Decimal) else values


def _as_arrow(frame: pl.DataFrame, definition: Definition, columns: Sequence[str]) -> pa.Table:
    table = frame.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    return pa.table({name: _priced(table.column(name).chunk(0), definition.column(name)) for name in columns})


def _priced(values: pa.Array, column: Column) -> pa.Array:
    """Whole units seen as the decimals of 64 bits that Arrow makes of the file."""
    if not isinstance(column.stored, pl.Decimal):
        return values
    kind = pa.decimal64(column.stored.precision, column.scale)
    return pa.Array.from_buffers(kind, len(values), values.buffers(), offset=values.offset)

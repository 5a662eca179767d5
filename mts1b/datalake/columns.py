"""Columns: what a value is to a reader, what it is in a file, and the way between the two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from mts1b.datalake.buffers import missing, room, words

TIMESTAMP = pl.Datetime("us", "UTC")
DELTA, DICTIONARY, SPLIT, PLAIN = "DELTA_BINARY_PACKED", "DICTIONARY", "BYTE_STREAM_SPLIT", "PLAIN"
"""How Parquet encodes a column: differences of integers, numbered texts, floats by byte, as it is."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Column:
    """`read`: type in frames; `stored`: type in files; equal but for prices and counts, which readers get as floats.

    `required`: no nulls. `optional`: a file of which no row has a value leaves the column out; readers then get a null.
    """

    name: str
    read: pl.DataType
    stored: pl.DataType
    encoding: str
    about: str = ""
    required: bool = True
    optional: bool = False

    @property
    def scale(self) -> int:
        """Decimal places of a price, 0 for any other column."""
        return self.stored.scale if isinstance(self.stored, pl.Decimal) else 0

    @property
    def is_converted(self) -> bool:
        """Whether readers get floats of what files hold as whole numbers."""
        return self.read == pl.Float64() and self.stored != pl.Float64()

    @property
    def is_prose(self) -> bool:
        """Text of which each row has its own: nobody looks for a range of it."""
        return self.encoding == PLAIN and self.read == pl.String()

    def where_known(self) -> Column:
        """The same column, which single rows and whole files may lack."""
        return replace(self, required=False, optional=True)


def text(name: str, about: str = "") -> Column:
    """A word of few different ones: a symbol, a venue."""
    return Column(name, pl.String(), pl.String(), DICTIONARY, about)


def prose(name: str, about: str = "") -> Column:
    """Text of which each row has its own."""
    return Column(name, pl.String(), pl.String(), PLAIN, about)


def texts(name: str, about: str = "") -> Column:
    """A list of words in each row."""
    return Column(name, pl.List(pl.String()), pl.List(pl.String()), DICTIONARY, about)


def instant(name: str, about: str = "") -> Column:
    """A UTC microsecond."""
    return Column(name, TIMESTAMP, TIMESTAMP, DELTA, about)


def day(name: str, about: str = "") -> Column:
    return Column(name, pl.Date(), pl.Date(), DELTA, about)


def whole(name: str, about: str = "") -> Column:
    """An integer that stays one."""
    return Column(name, pl.Int64(), pl.Int64(), DELTA, about)


def count(name: str, about: str = "") -> Column:
    """Whole units, read as float64 as arithmetic wants them."""
    return Column(name, pl.Float64(), pl.Int64(), DELTA, about)


def number(name: str, about: str = "") -> Column:
    """A float64 of any value."""
    return Column(name, pl.Float64(), pl.Float64(), SPLIT, about)


def flag(name: str, about: str = "") -> Column:
    return Column(name, pl.Boolean(), pl.Boolean(), PLAIN, about)


def price(name: str, about: str = "", scale: int = 4) -> Column:
    """Exact in files, DECIMAL(18, scale); read as the float64 nearest to the decimal."""
    return Column(name, pl.Float64(), pl.Decimal(18, scale), DELTA, about)


def on_scale(prices: pl.Series, scale: int) -> pl.Series:
    """Each price rounded to `scale` decimal places, as the float64 nearest to that decimal."""
    # in numpy: polars may turn the division into a product with 1e-4, which misses the nearest float64
    units = 10**scale
    return pl.Series(prices.name, np.rint(prices.to_numpy() * units) / units, nan_to_null=True)


def as_stored(values: pl.Series, column: Column) -> pa.Array:
    """A column as it goes into a file. Prices: their whole units, seen as decimals without a copy."""
    if not isinstance(column.stored, pl.Decimal):
        return values.cast(column.stored).to_arrow(compat_level=pl.CompatLevel.oldest())
    known = values.is_not_null()
    mask = None if known.all() else pa.array(known.to_list()).buffers()[1]
    units = np.rint(values.fill_null(0.0).to_numpy() * 10**column.scale).astype(np.int64)
    return pa.Array.from_buffers(pa.decimal64(18, column.scale), len(units), [mask, pa.py_buffer(units)])


def as_read(values: pa.ChunkedArray, column: Column, order: NDArray[np.int64] | None = None) -> pl.Series:
    """A column of files as readers get it, in another order if one is given."""
    if column.is_converted:
        return as_floats(values.chunks, column, order)
    found = pl.Series(column.name, values)
    if found.dtype != column.read:
        found = found.cast(column.read)
    return found if order is None else found[order]


def as_floats(chunks: Sequence[pa.Array], column: Column, order: NDArray[np.int64] | None = None) -> pl.Series:
    """As `as_read`, of a column that `is_converted`."""
    buffer, numbers = room(sum(map(len, chunks)))
    floats(chunks, numbers, column.scale)
    if order is None:
        found = pl.Series(column.name, pa.Array.from_buffers(pa.float64(), len(numbers), [None, buffer]))
    else:
        found = pl.Series(column.name, numbers[order])
    return found.fill_nan(None) if any(chunk.null_count for chunk in chunks) else found


def nothing(column: Column, rows: int) -> pl.Series:
    """The column of a file that leaves it out."""
    return pl.Series(column.name, [None], dtype=column.read).new_from_index(0, rows)


def floats(chunks: Sequence[pa.Array], out: Floats, scale: int) -> Floats:
    """A stored column of numbers in `out`, each the float64 nearest to its decimal; NaN where there is no value."""
    start = 0
    for values in chunks:
        filled = out[start : start + len(values)]
        start += len(values)
        if pa.types.is_decimal64(values.type):
            np.divide(words(values), float(10**scale), out=filled)
        elif pa.types.is_int64(values.type) or pa.types.is_float64(values.type):
            filled[:] = words(values, np.int64 if pa.types.is_int64(values.type) else np.float64)
        else:  # as another tool may have written it
            filled[:] = pl.Series(values).cast(pl.Float64).fill_null(np.nan).to_numpy()
        if (unknown := missing(values)) is not None:
            filled[unknown] = np.nan
    return out


def read_schema(columns: Sequence[Column]) -> pl.Schema:
    """What readers get."""
    return pl.Schema({column.name: column.read for column in columns})


def stored_schema(columns: Sequence[Column]) -> pl.Schema:
    """What files hold."""
    return pl.Schema({column.name: column.stored for column in columns})

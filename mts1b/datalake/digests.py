"""A digest of rows that depends neither on their order nor on the files they lie in.

Each row has a 64-bit hash of its values; two sums of them, each behind a mixing of its own, make 128 bits. So the
digest of a table is the sum of its files', rewriting files leaves it alone, and rows stored in two steps have that of
the same rows stored in one. A missing value adds nothing: a column no row fills might as well not be there.
The mixing is that of SplitMix64 (Steele, Lea and Flood 2014).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from mts1b.datalake.buffers import missing, words
from mts1b.datalake.columns import Column

Words = NDArray[np.uint64]

ROWS_AT_ONCE = 32_768
"""Rows mixed at a time: their words stay in the cache."""

LANES = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1B54A32D192ED03))


def content_digest(arrays: Sequence[pa.Array], columns: Sequence[Column]) -> int:
    """Digest of the rows of these columns as they are stored, an integer of 128 bits."""
    sums = np.zeros(len(LANES), dtype=np.uint64)
    hashed = [(_salt(column.name), *_words(values)) for values, column in zip(arrays, columns, strict=True)]
    rows = len(arrays[0]) if arrays else 0
    for start in range(0, rows, ROWS_AT_ONCE):
        part = slice(start, min(rows, start + ROWS_AT_ONCE))
        row = np.zeros(part.stop - part.start, dtype=np.uint64)
        for salt, values, unknown in hashed:
            mixed = _mix(values[part] + salt)
            if unknown is not None:
                mixed[unknown[part]] = 0
            row += mixed
        sums += [_mix(row + lane).sum(dtype=np.uint64) for lane in LANES]
    return int(sums[0]) << 64 | int(sums[1])


def total(contents: Sequence[int]) -> int:
    """Digest of the rows of several files, of their digests."""
    low = sum(content & _LOW for content in contents) & _LOW
    return (sum(content >> 64 for content in contents) & _LOW) << 64 | low


_LOW = (1 << 64) - 1


def _mix(values: Words) -> Words:
    """Each word scrambled, in place."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        values ^= values >> np.uint64(shift)
        values *= np.uint64(factor)
    values ^= values >> np.uint64(31)
    return values


def _salt(name: str) -> np.uint64:
    return np.uint64(_hashed(name))


def _hashed(value: str) -> int:
    return int.from_bytes(blake2b(value.encode(), digest_size=8).digest(), "little")


def _words(values: pa.Array) -> tuple[Words, NDArray[np.bool_] | None]:
    """Each value as 64 bits, and which are missing."""
    unknown, kind = missing(values), values.type
    if pa.types.is_decimal64(kind) or pa.types.is_timestamp(kind) or pa.types.is_int64(kind):
        return np.asarray(words(values, np.uint64)), unknown
    if pa.types.is_float64(kind):
        floats = np.asarray(words(values, np.float64), dtype=np.float64) + 0.0  # a negative zero equals zero
        return np.where(np.isnan(floats), np.nan, floats).view(np.uint64), unknown
    if pa.types.is_boolean(kind) or pa.types.is_date(kind) or pa.types.is_integer(kind):
        return pl.Series(values).cast(pl.Int64).fill_null(0).to_numpy().view(np.uint64), unknown
    return _texts(pl.Series(values)), unknown


def _texts(values: pl.Series) -> Words:
    if isinstance(values.dtype, pl.List):
        values = values.list.eval(pl.element().cast(pl.String)).list.join("\x1f")
    runs = values.fill_null("").rle().struct.unnest()
    known = {value: _hashed(value) for value in runs["value"].unique().to_list()}
    words = np.array([known[value] for value in runs["value"].to_list()], dtype=np.uint64)
    return np.repeat(words, runs["len"].to_numpy())

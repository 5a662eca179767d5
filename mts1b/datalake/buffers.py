"""Arrow's columns of 64-bit values as numpy sees them, without a copy; and without pandas, which Arrow would import."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import DTypeLike, NDArray


def words(column: pa.Array | pa.ChunkedArray, kind: DTypeLike = np.int64) -> NDArray[np.generic]:
    """The values of 8 bytes each: integers, floats, times, decimals in 64 bits. Anything where one is missing."""
    if isinstance(column, pa.ChunkedArray):
        parts = [words(chunk, kind) for chunk in column.chunks]
        return parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, dtype=kind), *parts])
    if not len(column):
        return np.zeros(0, dtype=kind)
    return np.frombuffer(column.buffers()[1], dtype=kind)[column.offset : column.offset + len(column)]


def room(count: int) -> tuple[pa.Buffer, NDArray[np.float64]]:
    """Memory for so many floats, with anything in it, as Arrow's and as numpy's. Arrow keeps what is freed; numpy's
    would come from the system page by page each time, which takes longer than to fill it."""
    buffer = pa.allocate_buffer(8 * count)
    return buffer, np.frombuffer(buffer, dtype=np.float64)


def missing(column: pa.Array) -> NDArray[np.bool_] | None:
    """Which values are missing; None: none."""
    if not column.null_count:
        return None
    bitmap = column.buffers()[0]
    if bitmap is None:  # of the type that has nothing but nulls
        return np.ones(len(column), dtype=bool)
    bits = np.unpackbits(np.frombuffer(bitmap, dtype=np.uint8), bitorder="little")
    return bits[column.offset : column.offset + len(column)] == 0

"""Rows spread out: numbers of names at times as tables [time, name]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mts1b.datalake.buffers import words
from mts1b.datalake.columns import floats
from mts1b.datalake.definitions import Definition
from mts1b.datalake.reading import Block

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

NS_PER_US = 1_000


@dataclass(frozen=True, slots=True)
class Arrays:
    """`fields`: each column as float64 [T, S], NaN where a name has no row at a time; `ts_ns` [T], `symbols` S."""

    ts_ns: Numbers
    symbols: tuple[str, ...]
    fields: Mapping[str, Floats]


def spread(
    blocks: Sequence[Block], names: Sequence[str] | None, fields: Sequence[str], definition: Definition
) -> Arrays:
    """Blocks as arrays of `names` (None: of all, in order). A name has one row at a time."""
    chosen = tuple(sorted({name for block in blocks for name in block.names})) if names is None else tuple(names)
    place = {name: number for number, name in enumerate(chosen)}
    own = [_times(block, str(definition.time)) for block in blocks]
    times = np.unique(np.concatenate([found for found, _ in own] or [np.zeros(0, dtype=np.int64)]))
    apart = sum(len(found) for found, _ in own) == len(times)
    tables = {name: np.full((len(times), len(chosen)), np.nan) for name in fields}
    for block, (found, at) in zip(blocks, own, strict=True):
        columns = np.array([place[name] for name in block.names], dtype=np.int64)
        for name, table in tables.items():
            values = _values(block, name, definition)
            if apart:  # no other block has rows at these times
                first = int(np.searchsorted(times, found[0]))
                own_table = np.full((len(chosen), len(found)), np.nan)
                _put(own_table, columns, block.rows, at, values)
                table[first : first + len(found)] = own_table.T
            else:
                rows = np.searchsorted(times, found)[_at(block, len(found), at)]
                table[rows, np.repeat(columns, block.rows)] = values
    return Arrays(times * NS_PER_US, chosen, tables)


def _times(block: Block, time: str) -> tuple[Numbers, Numbers | None]:
    """The times of a block, and the place of each row among them; None: each name has a row at each of them."""
    stamps = np.asarray(words(block.table.column(time)))
    longest = int(block.rows.max())
    full = block.rows == longest
    start = int((np.cumsum(block.rows) - block.rows)[int(full.argmax())])
    times = stamps[start : start + longest]
    of_full = np.repeat(full, block.rows)
    same = bool((stamps[of_full].reshape(-1, longest) == times).all())
    if same and full.all():
        return times, None
    if same:
        at = np.empty(len(stamps), dtype=np.int64)
        at[of_full] = np.tile(np.arange(longest), int(full.sum()))
        at[~of_full] = np.searchsorted(times, stamps[~of_full])
        if bool((times[np.minimum(at, longest - 1)] == stamps).all()):
            return times, at
    times, at = np.unique(stamps, return_inverse=True)
    return times, at


def _at(block: Block, count: int, at: Numbers | None) -> Numbers:
    return np.tile(np.arange(count), len(block.rows)) if at is None else at


def _put(table: Floats, columns: Numbers, rows: Numbers, at: Numbers | None, values: Floats) -> None:
    """The values of whole names, one after the other, in a table [name, time]."""
    if at is None:
        table[columns] = values.reshape(len(columns), -1)
    else:
        table.ravel()[np.repeat(columns * table.shape[1], rows) + at] = values


def _values(block: Block, name: str, definition: Definition) -> Floats:
    out = np.empty(block.table.num_rows)
    if name not in block.table.column_names:
        out[:] = np.nan
        return out
    return floats(block.table.column(name), out, definition.column(name).scale)

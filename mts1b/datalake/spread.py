"""Rows spread out: numbers of names at times as tables [time, name]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mts1b.datalake.buffers import room
from mts1b.datalake.columns import floats
from mts1b.datalake.definitions import Definition
from mts1b.datalake.footers import Spell
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


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of one block: where they are among its `times`, and each column: a row after the other, or, `is_table`,
    as [T, S] of the chosen names."""

    names: tuple[str, ...]
    times: Numbers
    rows: Spell | Rows
    fields: Mapping[str, Floats]
    is_table: bool = False


@dataclass(frozen=True, slots=True)
class Rows:
    """`name` (a place among the block's) and `at`, the place among its times, of each row."""

    name: Numbers
    at: Numbers


class Spreader:
    """Makes parts of blocks, in any thread, and arrays of parts: those of `names` (None: of all, in order)."""

    def __init__(self, names: Sequence[str] | None, fields: Sequence[str], definition: Definition) -> None:
        self._names, self._fields, self._definition = names, fields, definition
        self._place = {name: number for number, name in enumerate(names or ())}

    def part(self, block: Block) -> Part:
        """A name has one row at a time."""
        values = {name: _values(block, name, self._definition) for name in self._fields}
        times, rows = _placed(block, str(self._definition.time))
        part = Part(block.names, times, rows, values)
        return part if self._names is None else _table_of(part, self._place)

    def arrays(self, parts: Sequence[Part]) -> Arrays:
        """All parts, which may be at the same times."""
        chosen = tuple(self._names or sorted({name for part in parts for name in part.names}))
        place = self._place or {name: number for number, name in enumerate(chosen)}
        tables = [part if part.is_table else _table_of(part, place) for part in parts]
        tables.sort(key=lambda part: int(part.times[0]))
        if all(one.times[-1] < next_.times[0] for one, next_ in pairwise(tables)) and tables:
            times = np.concatenate([part.times for part in tables])
            fields = {name: np.concatenate([part.fields[name] for part in tables]) for name in self._fields}
        else:
            times = np.unique(np.concatenate([part.times for part in tables] or [np.zeros(0, dtype=np.int64)]))
            fields = {name: np.full((len(times), len(chosen)), np.nan) for name in self._fields}
            for part in tables:
                at = np.searchsorted(times, part.times)
                for name, table in fields.items():
                    own = part.fields[name]
                    table[at] = np.where(np.isnan(own), table[at], own)
        return Arrays(times * NS_PER_US, chosen, fields)


def _table_of(part: Part, place: Mapping[str, int]) -> Part:
    columns = np.array([place[name] for name in part.names], dtype=np.int64)
    size = (len(part.times), len(place))
    whole = isinstance(part.rows, Spell) and len(part.rows.rows) == size[1] and bool((part.rows.rows == size[0]).all())
    fields = {}
    for name, values in part.fields.items():
        table = np.empty(size) if whole else np.full(size, np.nan)
        if isinstance(part.rows, Rows):
            table[part.rows.at, columns[part.rows.name]] = values
        else:
            _put(table, columns, part.rows, values)
        fields[name] = table
    return Part(part.names, part.times, part.rows, fields, is_table=True)


def _put(table: Floats, columns: Numbers, rows: Spell, values: Floats) -> None:
    """The values of unbroken rows, one after the other, in a table [time, name]: neighbours with every time at once."""
    height = len(table)
    ends = np.cumsum(rows.rows)
    own = columns[rows.names]
    follows = (rows.rows[1:] == height) & (rows.rows[:-1] == height) & (own[1:] == own[:-1] + 1)
    first = np.flatnonzero(np.concatenate(([True], ~follows)))
    last = np.concatenate((first[1:], [len(own)])) - 1
    starts = ends - rows.rows
    numbers = (own[first], last - first + 1, rows.at[first], starts[first], ends[last])
    for column, count, at, start, end in zip(*(some.tolist() for some in numbers), strict=True):
        if count > 1:
            table[:, column : column + count] = values[start:end].reshape(count, height).T
        else:
            table[at : at + end - start, column] = values[start:end]


def _placed(block: Block, time: str) -> tuple[Numbers, Spell | Rows]:
    """The times at which a name of the block has a row, and where its rows are among them."""
    if block.times is None or block.spell is None:
        times, at = np.unique(block.stamps(time), return_inverse=True)
        return times, Rows(np.repeat(np.arange(len(block.names)), block.rows), at)
    times, spell = block.times, block.spell
    if bool((spell.rows == len(times)).any()):
        return times, spell
    change = np.zeros(len(times) + 1, dtype=np.int64)
    np.add.at(change, spell.at, 1)
    np.add.at(change, spell.at + spell.rows, -1)
    held = np.cumsum(change[:-1]) > 0
    return times[held], Spell(spell.names, (np.cumsum(held) - 1)[spell.at], spell.rows)


def _values(block: Block, name: str, definition: Definition) -> Floats:
    out = room(block.table.num_rows)[1]
    if name not in block.table.column_names:
        out[:] = np.nan
        return out
    return floats(block.table.column(name).chunks, out, definition.column(name).scale)

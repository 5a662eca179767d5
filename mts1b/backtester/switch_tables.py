"""The tables that the kernel of strategies that switch reads: keys of the own sides, what is asked of them, truths."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mts1b.backtester.keys import key_filler
from mts1b.backtester.sides import side_of
from mts1b.backtester.switch import Condition
from mts1b.backtester.switch_lanes import parts_of
from mts1b.backtester.tables import Take
from mts1b.strategy.expr import Node
from mts1b.strategy.ops import Kind
from mts1b.strategy.program import Program
from mts1b.strategy.scalars import scalar_value

Floats = NDArray[np.float64]
Columns = Mapping[str, Floats]

NOWHERE = np.iinfo(np.int16)
"""Its least is a threshold that no key is below, its greatest a key below no threshold."""


BYTES_LEAST = 1 << 22
"""Of a table: from here on numpy asks for huge pages, which lie side by side in the caches too."""


class Memory:
    """Tables that one group of names after the other is worked out in: first touching memory costs as much again."""

    def __init__(self) -> None:
        self._flat: dict[tuple[str, int], NDArray[np.generic]] = {}

    def table(self, name: str, number: int, dtype: type[np.generic], shape: tuple[int, ...]) -> NDArray[Any]:
        """Memory of this shape, with whatever it held before."""
        size = math.prod(shape)
        found = self._flat.get((name, number))
        if found is None or found.size < size:
            least = BYTES_LEAST // np.dtype(dtype).itemsize
            found = self._flat[name, number] = np.empty(max(size, least), dtype=dtype)
        return found[:size].reshape(shape)

    @property
    def nbytes(self) -> int:
        return sum(table.nbytes for table in self._flat.values())

    def taken(self, name: str, number: int) -> Take:
        """Gives float64 memory of any shape under this name."""
        return lambda shape: self.table(name, number, np.float64, shape)

    def held(self, jobs: int, names: int, lanes: int) -> NDArray[np.float32]:
        table: NDArray[np.float32] = self.table("held", 0, np.float32, (2, jobs, names, lanes))
        table[...] = 0.0
        return table


class Sources:
    """Where the values of one batch of jobs come from. `fixed`: their outer parameters; `inner` [lanes]: the others.

    What compares names is worked out for all of them at once, and kept until the next batch.
    """

    def __init__(
        self,
        program: Program,
        fields: Mapping[str, Floats],
        names: int,
        fixed: Mapping[str, float],
        inner: Columns,
    ) -> None:
        self.names, self.fixed, self.inner = names, fixed, inner
        self.bars = next(iter(fields.values())).shape[1]
        self._program, self._fields = program, fields
        self._crossed: dict[tuple[object, ...], Floats] = {}

    def table(self, node: Node, values: Mapping[str, float], group: slice) -> Floats:
        """The values [G, T] of a node for these of its parameters."""
        return self.columns(node, {name: np.array([value]) for name, value in values.items()}, group)

    def columns(self, node: Node, varied: Columns, group: slice, take: Take = np.empty) -> Floats:
        """The values [G, T * W] of a node for columns of parameters, [W] each; the others are fixed.

        `take` gives the memory of a shape that they may be worked out in.
        """
        mine = {name: values for name, values in varied.items() if name in node.parameters}
        side = side_of(node, frozenset(mine))
        if not any(below.spec.kind is Kind.CROSS for below in node.walk()):
            fields = {key: table[group] for key, table in self._fields.items()}
            return side.columns(self._program, fields, self.names, self.fixed, mine, take)
        key = (node.key, *(tuple(values.tolist()) for _, values in sorted(mine.items())))
        if key not in self._crossed:
            self._crossed[key] = side.columns(self._program, self._fields, self.names, self.fixed, mine)
        return self._crossed[key][group]


def keyed(
    memory: Memory, number: int, condition: Condition, sources: Sources, group: slice, columns: Columns
) -> list[Any]:
    """The arguments of the kernel for one condition: keys, and what is asked [S, T, A] for `columns` of parameters."""
    names, asked = group.stop - group.start, len(next(iter(columns.values()))) if columns else 1
    if condition.own is None:
        values = sources.columns(condition.shared, columns, group)
        return [((values == values) & (values != 0.0)).reshape(names, sources.bars, asked)]
    if not condition.own.is_series:
        return _keyed_numbers(condition, sources, group, columns, (names, sources.bars, asked))
    lanes, used = len(next(iter(sources.inner.values()))), used_lanes(sources.inner)
    keys = memory.table("keys", number, np.int16, (names, sources.bars * lanes))
    limits = memory.table("asked", number, np.int16, (names, sources.bars, asked))
    sign = -1.0 if condition.negated else 1.0
    fill = key_filler()
    for s in range(names):  # one by one: the tables of one stay in a third-level cache until they are keys
        one = slice(group.start + s, group.start + s + 1)
        own = _signed(sources.columns(condition.own, sources.inner, one, memory.taken("own", number)), sign).reshape(
            sources.bars, lanes
        )
        shared = _signed(sources.columns(condition.shared, columns, one, memory.taken("shared", number)), sign).reshape(
            sources.bars, asked
        )
        fill(own, shared, used, condition.or_equal, keys[s].reshape(sources.bars, lanes), limits[s])
    return [keys, limits]


def series_of(node: Node, sources: Sources, group: slice, columns: Columns) -> list[Floats]:
    """The series a comparison reads, [A, S, T] each, for `columns` of parameters."""
    asked, names = len(next(iter(columns.values()))) if columns else 1, group.stop - group.start
    found = []
    for read in parts_of(node)[0]:
        table = sources.columns(read, columns, group)
        width = table.shape[1] // sources.bars
        whole = np.broadcast_to(table.reshape(names, sources.bars, width), (names, sources.bars, asked))
        found.append(np.ascontiguousarray(whole.transpose(2, 0, 1)))
    return found


def _keyed_numbers(
    condition: Condition, sources: Sources, group: slice, columns: Columns, shape: tuple[int, int, int]
) -> list[Any]:
    """Keys [lanes] of numbers that do not change over bars: their places in order."""
    assert condition.own is not None
    sign = -1.0 if condition.negated else 1.0
    lanes = len(next(iter(sources.inner.values())))
    numbers = scalar_value(condition.own, {**sources.fixed, **sources.inner}, sources.names)
    own = np.broadcast_to(np.asarray(numbers, dtype=np.float64) * sign, (lanes,))
    shared = sources.columns(condition.shared, columns, group) * sign
    order = np.sort(own[~np.isnan(own)])
    keys = np.where(np.isnan(own), NOWHERE.max, np.searchsorted(order, own, side="left"))
    limits = np.searchsorted(order, shared, side="right" if condition.or_equal else "left")
    limits = np.where(np.isnan(shared), NOWHERE.min, limits)
    return [keys.astype(np.int16), limits.astype(np.int16).reshape(shape)]


def _signed(values: Floats, sign: float) -> Floats:
    return values if sign > 0.0 else -values


def used_lanes(inner: Columns) -> int:
    """Lanes up to the first that has what the last one has: those behind it pad the block."""
    table = np.stack(list(inner.values()))
    return int(np.argmax((table == table[:, -1:]).all(axis=0))) + 1

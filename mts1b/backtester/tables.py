"""Tables of a chunk: every operation with a memory evaluated once per distinct value of what it depends on."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mts1b.backtester.means import mean_filler, step_for
from mts1b.strategy.codegen import TABLED
from mts1b.strategy.expr import Node
from mts1b.strategy.ops import Kind
from mts1b.strategy.program import Program, Unit
from mts1b.strategy.scalars import scalar_value

Floats = NDArray[np.float64]
Columns = Mapping[str, Floats]
Take = Callable[[tuple[int, int]], Floats]

KEPT_BYTES_MAX = 128 << 20
"""Tables kept for reuse by one chunk; beyond it the longest unused is computed again when needed."""


class Kernel(Protocol):
    """What is asked of a kernel: whether a node has a column for each lane, and the loops that fill those that do."""

    @property
    def fills(self) -> Mapping[str, Any]: ...

    @property
    def varies(self) -> Callable[[Node], bool]: ...


class Tables:
    """Tables of one group of names, [G, T], computed when asked for. `names` is S, the size of the whole panel."""

    def __init__(self, program: Program, kernel: Kernel, fields: Mapping[str, Floats], names: int) -> None:
        self._units: dict[str, Unit] = {unit.node.key: unit for unit in program.units}
        self._program = program
        self._kernel = kernel
        self._fields = fields
        self.names = names
        self._kept: OrderedDict[tuple[object, ...], Floats] = OrderedDict()
        self._kept_bytes = 0
        self.group, self.bars = next(iter(fields.values())).shape

    def table(self, node: Node, values: Mapping[str, float]) -> Floats:
        """The node's series [G, T] for these parameter values; kept for the next time."""
        if node.spec.kind is Kind.FIELD:
            return self._fields[node.key]
        key = (node.key, *(values[name] for name in sorted(node.parameters)))
        found = self._kept.get(key)
        if found is None:
            found = np.empty((self.group, self.bars))
            unit = self._units[node.key]
            read = {below.key: self.table(below, values) for below in unit.reads}
            state = unit.new_state(values, self.group)
            self._program.run(unit, read, unit.scalar_values(values, self.names), state, found)
            self._keep(key, found)
        else:
            self._kept.move_to_end(key)
        return found

    def block(self, node: Node, fixed: Mapping[str, float], inner: Columns, take: Take = np.empty) -> Floats:
        """The node's table [G, T * width], column l for the inner values `inner[name][l]`; each distinct one once.

        `take` gives the memory of a shape that it may be worked out in.
        """
        used = sorted(node.parameters & inner.keys())
        width = len(next(iter(inner.values())))
        if node.spec.kind is not Kind.CROSS and self._distinct_enough(used, inner, width):
            return self._filled(node, fixed, inner, take)
        tuples, place = np.unique(np.stack([inner[name] for name in used], axis=1), axis=0, return_inverse=True)
        distinct = {name: np.ascontiguousarray(tuples[:, i]) for i, name in enumerate(used)}
        fill = self._crossed if node.spec.kind is Kind.CROSS else self._filled
        columns = fill(node, fixed, distinct)
        if len(tuples) == width and bool((place.reshape(-1) == np.arange(width)).all()):
            return columns
        gathered = columns.reshape(self.group, self.bars, len(tuples))[:, :, place.reshape(-1)]
        return gathered.reshape(self.group, self.bars * width)

    def _distinct_enough(self, used: list[str], inner: Columns, width: int) -> bool:
        """Repeated columns are few (the padding of the last block): filling them twice beats copying all."""
        return len(set(zip(*(inner[name].tolist() for name in used), strict=True))) * 4 >= width * 3

    def _filled(self, node: Node, fixed: Mapping[str, float], inner: Columns, take: Take = np.empty) -> Floats:
        unit = self._units[node.key]
        varies = self._kernel.varies
        width = len(next(iter(inner.values())))
        means = self._means(node, fixed, inner, take)
        if means is not None:
            return means
        reads = [self.block(n, fixed, inner) if varies(n) else self.table(n, fixed) for n in unit.reads]
        values: dict[str, Any] = {**fixed, **inner}
        takes = [column(scalar_value(n, values, self.names), varies(n), width) for n in unit.takes]
        scalars = [scalar_value(arg, values, self.names) for arg in node.args[node.spec.inputs :]]
        state = np.zeros((width, _floats(node, scalars, width)))
        out = take((self.group, self.bars * width))
        self._kernel.fills[node.key](state, *reads, *takes, out)
        return out

    def _means(self, node: Node, fixed: Mapping[str, float], inner: Columns, take: Take) -> Floats | None:
        """Means of a series that all columns share, by windows that ascend: a loop of their own, four times as fast."""
        if node.op != "sma" or self._kernel.varies(node.args[0]) or node.args[1].spec.kind is not Kind.PARAM:
            return None
        if node.args[0].spec.kind not in TABLED and node.args[0].spec.kind is not Kind.FIELD:
            return None
        windows = inner[str(node.args[1].value)].astype(np.int64)
        if bool((np.diff(windows) < 0).any()):
            return None
        out = take((self.group, self.bars * len(windows)))
        mean_filler(step_for(len(windows)))(self.table(node.args[0], fixed), windows, out)
        return out

    def _crossed(self, node: Node, fixed: Mapping[str, float], inner: Columns) -> Floats:
        width = len(next(iter(inner.values())))
        out = np.empty((self.group, self.bars, width))
        for l in range(width):
            out[:, :, l] = self.table(node, {**fixed, **{name: float(values[l]) for name, values in inner.items()}})
        return out.reshape(self.group, self.bars * width)

    def _keep(self, key: tuple[object, ...], table: Floats) -> None:
        self._kept[key] = table
        self._kept_bytes += table.nbytes
        while self._kept_bytes > KEPT_BYTES_MAX and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._kept_bytes -= dropped.nbytes


def column(value: Any, varies: bool, width: int) -> Any:
    """A scalar of a column loop: [width] where it varies between columns, else a float."""
    return np.ascontiguousarray(np.broadcast_to(value, (width,)), dtype=np.float64) if varies else float(value)


def _floats(node: Node, scalars: list[Any], width: int) -> int:
    """Floats of state that the most demanding column needs."""
    columns = [np.broadcast_to(value, (width,)) for value in scalars]
    return max(int(node.spec.size(*(float(column[l]) for column in columns))) for l in range(width))

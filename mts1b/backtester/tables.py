"""Tables of a chunk: every operation with a memory evaluated once per distinct value of what it depends on."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mts1b.strategy.expr import Node
from mts1b.strategy.ops import Kind
from mts1b.strategy.program import Program, Unit

Floats = NDArray[np.float64]

KEPT_BYTES_MAX = 128 << 20
"""Tables kept for reuse by one chunk; beyond it the longest unused is computed again when needed."""


class Tables:
    """Tables [names of the group, T] of one group of names, computed when asked for."""

    def __init__(self, program: Program, fields: Mapping[str, Floats], names: int) -> None:
        self._units: dict[str, Unit] = {unit.node.key: unit for unit in program.units}
        self._program = program
        self._fields = fields
        self.names = names
        self._kept: OrderedDict[tuple[object, ...], Floats] = OrderedDict()
        self._kept_bytes = 0
        first = next(iter(fields.values()))
        self.group, self.bars = first.shape

    def table(self, node: Node, values: Mapping[str, float]) -> Floats:
        """The node's series [G, T] for these parameter values; kept for the next time."""
        if node.spec.kind is Kind.FIELD:
            return self._fields[node.key]
        key = (node.key, *(values[name] for name in sorted(node.parameters)))
        found = self._kept.get(key)
        if found is None:
            found = np.empty((self.group, self.bars))
            self._fill(node, values, found, slice(None))
            self._keep(key, found)
        else:
            self._kept.move_to_end(key)
        return found

    def block(self, node: Node, lanes: list[Mapping[str, float]], out: Floats) -> None:
        """Fill `out` [G, T * lanes] with the node's series, time-major with lane l for the values `lanes[l]`."""
        shaped = out.reshape(self.group, self.bars, len(lanes))
        names = sorted(node.parameters)
        keys = [tuple(values[name] for name in names) for values in lanes]
        first = {key: l for l, key in reversed(list(enumerate(keys)))}
        source = np.array([first[key] for key in keys])
        if node.spec.kind is Kind.CROSS:
            for l, values in enumerate(lanes):
                shaped[:, :, l] = shaped[:, :, source[l]] if source[l] < l else self.table(node, values)
            return
        rows = np.empty((len(lanes), self.bars))
        for s in range(self.group):
            for l, values in enumerate(lanes):
                if source[l] == l:
                    self._fill(node, values, rows[l : l + 1], slice(s, s + 1))
                else:
                    rows[l] = rows[source[l]]
            shaped[s] = rows.T

    def _fill(self, node: Node, values: Mapping[str, float], out: Floats, group: slice) -> None:
        unit = self._units[node.key]
        read = {below.key: self.table(below, values)[group] for below in unit.reads}
        state = unit.new_state(values, self.names if node.spec.kind is Kind.CROSS else out.shape[0])
        self._program.run(unit, read, unit.scalar_values(values, self.names), state, out)

    def _keep(self, key: tuple[object, ...], table: Floats) -> None:
        self._kept[key] = table
        self._kept_bytes += table.nbytes
        while self._kept_bytes > KEPT_BYTES_MAX and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._kept_bytes -= dropped.nbytes

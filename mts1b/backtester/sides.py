"""One side of a comparison as a table with a column for each of many parameter values."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mts1b.backtester.fills import combine_source, fill_source
from mts1b.backtester.tables import Tables, Take, column
from mts1b.strategy.codegen import TABLED, leaves, scalars
from mts1b.strategy.expr import Node
from mts1b.strategy.jit import load
from mts1b.strategy.ops import Kind
from mts1b.strategy.program import Program
from mts1b.strategy.scalars import scalar_value

Floats = NDArray[np.float64]


class Side:
    """An expression of which the parameters `varying` differ between columns.

    `varies` and `fills` are what `Tables` asks of a kernel.
    """

    def __init__(self, node: Node, varying: frozenset[str]) -> None:
        self.node = node
        self._varying = varying
        self._reads = [below for below in leaves(node) if below.is_series]
        self._takes = scalars(node)
        filled = [n for n in node.walk() if n.spec.kind in (Kind.SERIES, Kind.PATH) and self.varies(n)]
        self._plain = node.spec.kind in TABLED and self.varies(node)
        self.fills = {n.key: load(fill_source(n, self.varies)).filled for n in filled}
        self._combine: Any = None
        if node.is_series and not self._plain:
            self._combine = load(combine_source(node, self.varies)).combine

    def varies(self, node: Node) -> bool:
        return bool(node.parameters & self._varying)

    def columns(
        self,
        program: Program,
        fields: Mapping[str, Floats],
        names: int,
        fixed: Mapping[str, float],
        varied: Mapping[str, Floats],
        take: Take = np.empty,
    ) -> Floats:
        """The table [G, T * W] for columns of `varied` values [W], the other parameters `fixed`. `names` is S.

        `take` gives the memory of a shape that the table may be worked out in.
        """
        width = len(next(iter(varied.values()))) if varied else 1
        group, bars = next(iter(fields.values())).shape
        if not self.node.is_series:
            value = scalar_value(self.node, {**fixed, **varied}, names)
            return np.tile(np.broadcast_to(np.asarray(value, dtype=np.float64), (width,)), (group, bars))
        tables = Tables(program, self, fields, names)
        if self._plain:
            return tables.block(self.node, fixed, varied, take)
        reads = [tables.block(n, fixed, varied) if self.varies(n) else tables.table(n, fixed) for n in self._reads]
        takes = [column(scalar_value(n, {**fixed, **varied}, names), self.varies(n), width) for n in self._takes]
        out = take((group, bars * width))
        self._combine(*reads, *takes, out, width)
        return out


@lru_cache(maxsize=256)
def side_of(node: Node, varying: frozenset[str]) -> Side:
    """The side, compiled once a process, cached on disk across processes."""
    return Side(node, varying & node.parameters)

"""What a GPU has to compute for a slab of combinations, and how many combinations and names go into it at once.

Host arithmetic only. A table holds each distinct tuple of the parameters below its node once; `which` says which of
its columns a combination (or a column of another table) reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mts1b.backtester.gpu_kernels import Kernels
from mts1b.backtester.gpu_tables import Filling
from mts1b.foundation.errors import InputError
from mts1b.foundation.limits import GPU_LANES_MAX
from mts1b.quantkit.trades import TRADE_SUMS
from mts1b.strategy.expr import Node
from mts1b.strategy.ops import Kind
from mts1b.strategy.scalars import scalar_value

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Columns = Mapping[str, Floats]
Key = tuple[str, bytes]
"""A table: the key of its node, the values of its columns."""

GROUP_NAMES = 16
"""Names that one thread adds up. Fixed, since it sets the order of the sums; enough groups to fill a device."""


@dataclass(frozen=True)
class Read:
    """A table that is read, and which of its columns each reader takes."""

    table: Key
    which: Ints


@dataclass(frozen=True)
class Fill:
    """A table [S, T, width] to be filled, from which tables and scalars [width]; floats of state for each column."""

    key: Key
    filling: Filling
    width: int
    reads: tuple[Read, ...]
    takes: tuple[Floats, ...]
    state_floats: int


@dataclass(frozen=True)
class Slab:
    """Combinations start <= c < stop: the tables they need, in the order to fill them, and what the kernel reads."""

    start: int
    stop: int
    fills: tuple[Fill, ...]
    reads: tuple[Read, ...]
    takes: tuple[Floats, ...]

    @property
    def lanes(self) -> int:
        return self.stop - self.start


def plan_slab(kernels: Kernels, columns: Columns, start: int, stop: int, names: int) -> Slab:
    """What combinations start <= c < stop of the parameter columns [C] need; `names` is S, of the whole panel."""
    lanes = stop - start
    cut = {name: values[start:stop] for name, values in columns.items()}
    tables = _Tables(kernels, names)
    reads = tuple(tables.read(node, cut, lanes) for node in kernels.fused.reads)
    takes = tuple(_column(node, cut, lanes, names) for node in kernels.fused.takes)
    return Slab(start, stop, tuple(tables.fills.values()), reads, takes)


class _Tables:
    """Tables asked for so far, those that others read before them."""

    def __init__(self, kernels: Kernels, names: int) -> None:
        self._kernels, self._names = kernels, names
        self.fills: dict[Key, Fill] = {}

    def read(self, node: Node, columns: Columns, count: int) -> Read:
        """The node's table for `count` readers with these parameter values."""
        if node.spec.kind is Kind.FIELD:
            return Read((node.key, b""), np.zeros(count, dtype=np.int64))
        used = sorted(node.parameters)
        if used:
            table = np.stack([columns[name] for name in used], axis=1)
            tuples, which = np.unique(table, axis=0, return_inverse=True)
        else:
            tuples, which = np.zeros((1, 0)), np.zeros(count, dtype=np.int64)
        key = (node.key, tuples.tobytes())
        if key not in self.fills:
            distinct = {name: np.ascontiguousarray(tuples[:, i]) for i, name in enumerate(used)}
            fill = self._fill(key, node, distinct, len(tuples))
            self.fills[key] = fill
        return Read(key, which.reshape(count).astype(np.int64))

    def _fill(self, key: Key, node: Node, columns: Columns, width: int) -> Fill:
        filling = self._kernels.fillings[node.key]
        reads = tuple(self.read(below, columns, width) for below in filling.unit.reads)
        takes = tuple(_column(below, columns, width, self._names) for below in filling.unit.takes)
        floats = 0
        if node.spec.kind is Kind.SERIES:
            scalars = [_column(arg, columns, width, self._names) for arg in node.args[node.spec.inputs :]]
            floats = max(int(node.spec.size(*(column[v] for column in scalars))) for v in range(width))
        return Fill(key, filling, width, reads, takes, floats)


def _column(node: Node, columns: Columns, width: int, names: int) -> Floats:
    value: Any = scalar_value(node, columns, names)
    return np.ascontiguousarray(np.broadcast_to(value, (width,)), dtype=np.float64)


@dataclass(frozen=True)
class Sizes:
    """Extent of an evaluation: bars and names of the panel, segments of time, periods, blocks; what is asked for."""

    bars: int
    names: int
    segments: int
    periods: int
    blocks: int
    trades: bool


def slab_bytes(slab: Slab, sizes: Sizes, names: int) -> int:
    """Device memory of a slab with `names` names worked on at once, panel left out."""
    table = sum(fill.width * (sizes.bars + _extra_columns(fill, sizes.bars)) for fill in slab.fills)
    groups = -(-names // GROUP_NAMES)
    of_trades = len(TRADE_SUMS) * sizes.segments if sizes.trades else 0
    parts = groups * (sizes.bars + 3 * sizes.segments + of_trades)
    kept = sizes.bars + 3 * sizes.segments + of_trades + 10 * sizes.periods + 7 * sizes.blocks
    given = len(slab.reads) + len(slab.takes)
    return 8 * (names * table + slab.lanes * (parts + 2 * kept + 2 * given))  # results and inputs of two slabs


def _extra_columns(fill: Fill, bars: int) -> int:
    """Floats for each name and column while it is filled: its state, or the numbers that are compared."""
    return fill.filling.unit.node.spec.inputs * bars if fill.filling.crosses else fill.state_floats


def plan_slabs(kernels: Kernels, columns: Columns, count: int, sizes: Sizes, budget: int) -> tuple[list[Slab], int]:
    """Slabs of the `count` combinations, and how many names are worked on at once, within `budget` bytes.

    As many combinations as fit, then as many names (all, where names are compared with each other). InputError when
    not even one combination fits.
    """
    whole = any(filling.crosses for filling in kernels.fillings.values())
    least = sizes.names if whole else min(GROUP_NAMES, sizes.names)
    lanes = min(count, GPU_LANES_MAX)
    while True:
        slabs = [plan_slab(kernels, columns, *span, sizes.names) for span in _spans(count, lanes)]
        if all(slab_bytes(slab, sizes, least) <= budget for slab in slabs):
            return slabs, max(names for names in _choices(least, sizes.names) if _fits(slabs, sizes, names, budget))
        if lanes == 1:
            needed = max(slab_bytes(slab, sizes, least) for slab in slabs)
            remedy = "take fewer names or bars, or --backend cpu"
            raise InputError("gpu memory", budget, f"one combination needs {needed:,} bytes", remedy)
        lanes = -(-lanes // 2)


def _spans(count: int, lanes: int) -> Iterator[tuple[int, int]]:
    return ((start, min(start + lanes, count)) for start in range(0, count, lanes))


def _choices(least: int, names: int) -> list[int]:
    """Whole groups, or all names."""
    return [*range(least, names, GROUP_NAMES), names]


def _fits(slabs: list[Slab], sizes: Sizes, names: int, budget: int) -> bool:
    return all(slab_bytes(slab, sizes, names) <= budget for slab in slabs)

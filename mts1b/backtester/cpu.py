"""The numba backend: shared tables, one fused kernel over lanes of combinations, one thread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mts1b.backtester.evaluation import METRICS, RETURN_METRICS, Evaluation
from mts1b.backtester.execution import Execution, Moves, moves
from mts1b.backtester.lanes import Kernel, kernel_of
from mts1b.backtester.layout import Layout, plan
from mts1b.backtester.summary import BARS_PER_YEAR, SPREAD_MIN, SUMMARY_ROWS
from mts1b.backtester.tables import Tables
from mts1b.strategy.definition import Strategy
from mts1b.strategy.expr import Node
from mts1b.strategy.ops import Kind
from mts1b.strategy.panel import Panel
from mts1b.strategy.program import Program, program_of
from mts1b.strategy.scalars import scalar_value

Floats = NDArray[np.float64]

BLOCK_BYTES_MAX = 160 << 20
"""Tables with a value for each lane that are held at once: they set how many names are worked on together."""


@dataclass(frozen=True)
class Sums:
    """What a job accumulates over the names: returns [T * lanes], and by segment of time [K, lanes]."""

    returns: Floats
    traded: Floats
    changed: Floats
    gross: Floats


def evaluate(
    strategy: Strategy,
    combos: Mapping[str, Floats],
    panel: Panel,
    execution: Execution,
    periods: list[tuple[int, int]],
    keep_returns: bool,
) -> Evaluation:
    """As `mts1b.backtester.evaluate`, arguments already checked; metrics are [P, C]."""
    layout = plan(combos)
    kernel = kernel_of(strategy.root, layout.lanes, layout.inner)
    bars, names = panel.close.shape
    bounds = np.unique(np.array([0, bars, *(edge for period in periods for edge in period)], dtype=np.int64))
    sums = [_new_sums(bars, layout.lanes, len(bounds) - 1) for _ in layout.jobs]
    program = program_of(strategy.root)
    fields = program.fields(panel)
    moved = moves(panel)
    for group in _groups(kernel, program, bars, names):
        tables = Tables(program, {key: table[group] for key, table in fields.items()}, names)
        _run_group(kernel, layout, tables, _cut(moved, group), bounds, execution.cost, sums)
    return _collect(kernel, layout, sums, bounds, periods, names, execution.cost, keep_returns)


def _new_sums(bars: int, lanes: int, segments: int) -> Sums:
    return Sums(np.zeros(bars * lanes), *(np.zeros((segments, lanes)) for _ in range(3)))


def _groups(kernel: Kernel, program: Program, bars: int, names: int) -> list[slice]:
    """Names worked on together: all when they are compared with each other, else as many as the tables' bound."""
    blocks = sum(kernel.varies(node) for node in kernel.reads)
    size = max(1, BLOCK_BYTES_MAX // max(1, blocks * bars * kernel.lanes * 8))
    if any(unit.node.spec.kind is Kind.CROSS for unit in program.units):
        size = names
    return [slice(start, min(start + size, names)) for start in range(0, names, size)]


def _cut(moved: Moves, group: slice) -> Moves:
    return Moves(moved.overnight[group], moved.intraday[group], moved.drift[group], moved.tradable[group])


def _run_group(
    kernel: Kernel,
    layout: Layout,
    tables: Tables,
    moved: Moves,
    bounds: NDArray[np.int64],
    cost: float,
    sums: list[Sums],
) -> None:
    """Add one group of names to the sums of every job, block by block so that a block's tables are built once."""
    blocks: dict[str, tuple[tuple[object, ...], Floats]] = {}
    for job in sorted(range(len(layout.jobs)), key=lambda j: (layout.jobs[j][1], layout.jobs[j][0])):
        outer, block = layout.jobs[job]
        fixed = {name: float(values[outer]) for name, values in layout.outer_values.items()}
        inner = {name: values[block] for name, values in layout.inner_values.items()}
        reads = [
            _block(node, kernel, tables, fixed, inner, block, blocks)
            if kernel.varies(node)
            else tables.table(node, fixed)
            for node in kernel.reads
        ]
        takes = [scalar_value(node, {**fixed, **inner}, tables.names) for node in kernel.takes]
        memory = [np.zeros((tables.group, kernel.lanes)) for _ in range(1 + kernel.memories)]
        out = sums[job]
        kernel.run(
            *reads,
            *(
                np.ascontiguousarray(value) if kernel.varies(node) else float(value)
                for node, value in zip(kernel.takes, takes, strict=True)
            ),
            *(moved.overnight, moved.intraday, moved.drift, moved.tradable, bounds, cost, out.returns),
            *memory,
            *(out.traded, out.changed, out.gross),
        )


def _block(
    node: Node,
    kernel: Kernel,
    tables: Tables,
    fixed: Mapping[str, float],
    inner: Mapping[str, Floats],
    block: int,
    blocks: dict[str, tuple[tuple[object, ...], Floats]],
) -> Floats:
    """The node's table with a value for each lane; the last one built is used again while it fits."""
    key = (block, *(fixed[name] for name in sorted(node.parameters & fixed.keys())))
    held = blocks.get(node.key)
    if held is None or held[0] != key:
        out = held[1] if held else np.empty((tables.group, tables.bars * kernel.lanes))
        lanes = [{**fixed, **{name: float(values[l]) for name, values in inner.items()}} for l in range(kernel.lanes)]
        tables.block(node, lanes, out)
        blocks[node.key] = (key, out)
    return blocks[node.key][1]


def _collect(
    kernel: Kernel,
    layout: Layout,
    sums: list[Sums],
    bounds: NDArray[np.int64],
    periods: list[tuple[int, int]],
    names: int,
    cost: float,
    keep_returns: bool,
) -> Evaluation:
    """Metrics by combination from the sums by job and lane."""
    count, lanes = len(layout.job), kernel.lanes
    bars = int(bounds[-1])
    by_lane = {name: np.empty((len(periods), len(layout.jobs), lanes)) for name in METRICS}
    kept = np.empty((count, bars)) if keep_returns else None
    summary = np.empty((SUMMARY_ROWS, lanes))
    for j, out in enumerate(sums):
        returns = out.returns.reshape(bars, lanes)
        returns /= names
        if kept is not None:
            mine = np.flatnonzero(layout.job == j)
            kept[mine] = returns[:, layout.lane[mine]].T
        for p, (start, stop) in enumerate(periods):
            kernel.summarise(returns, start, stop, float(BARS_PER_YEAR), SPREAD_MIN, summary)
            for row, name in enumerate(RETURN_METRICS):
                by_lane[name][p, j] = summary[row]
            inside = slice(*np.searchsorted(bounds, (start, stop)))
            traded = out.traded[inside].sum(axis=0) / names
            by_lane["turnover"][p, j] = traded / (stop - start) * BARS_PER_YEAR
            by_lane["trades"][p, j] = out.changed[inside].sum(axis=0)
            by_lane["exposure"][p, j] = out.gross[inside].sum(axis=0) / names / (stop - start)
            by_lane["costs"][p, j] = traded * cost
    metrics = {name: np.ascontiguousarray(table[:, layout.job, layout.lane]) for name, table in by_lane.items()}
    return Evaluation(metrics, kept)

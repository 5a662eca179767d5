"""The numba backend: shared tables, one fused kernel over lanes of combinations, one thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mts1b.backtester.evaluation import METRICS, RETURN_METRICS, Evaluation, check_finite
from mts1b.backtester.execution import Execution, Moves, moves
from mts1b.backtester.lanes import Kernel, kernel_of, tabled_parameters
from mts1b.backtester.layout import Layout, plan, widest
from mts1b.backtester.summary import BARS_PER_YEAR, SPREAD_MIN, SUMMARY_ROWS
from mts1b.backtester.tables import Tables
from mts1b.backtester.trade_lanes import block_summary, follower_of
from mts1b.quantkit.blocks import BLOCK_ROWS
from mts1b.quantkit.trades import merge_trades, no_trades
from mts1b.strategy.definition import Strategy
from mts1b.strategy.ops import Kind
from mts1b.strategy.panel import Panel
from mts1b.strategy.program import Program, program_of
from mts1b.strategy.scalars import scalar_value

Floats = NDArray[np.float64]

BLOCK_BYTES_MAX = 160 << 20
"""Tables with a column for each lane, held at once: over long histories they set how many names go together, and where
all names go together, as they are compared with each other, how many lanes there are."""

STACK_BYTES_MAX = 64 << 20
"""Tables without lanes, held at once for the jobs of one call of the kernel."""


@dataclass(frozen=True)
class Sums:
    """What J jobs accumulate over the names: returns [J, T * lanes], and by segment of time [J, K, lanes].

    `ended`: the sums of `mts1b.quantkit.trades`, where they are wanted.
    """

    returns: Floats
    traded: Floats
    changed: Floats
    gross: Floats
    ended: tuple[Floats, ...] = ()

    def part(self, jobs: slice) -> tuple[Floats, ...]:
        return self.returns[jobs], self.traded[jobs], self.changed[jobs], self.gross[jobs]


def evaluate(
    strategy: Strategy,
    combos: Mapping[str, Floats],
    panel: Panel,
    execution: Execution,
    periods: list[tuple[int, int]],
    keep_returns: bool,
    edges: NDArray[np.int64] | None = None,
    trades: bool = False,
) -> Evaluation:
    """As `mts1b.backtester.evaluate`, arguments already checked; metrics are [P, C]."""
    bars, names = panel.close.shape
    program = program_of(strategy.root)
    tabled = tabled_parameters(strategy.root)
    held_bytes = 8 * bars * names * sum(bool(parameters) for parameters in tabled) if _compares(program) else 0
    layout = plan(combos, tabled, widest(BLOCK_BYTES_MAX, held_bytes))
    kernel = kernel_of(strategy.root, layout.lanes, layout.inner)
    cuts = [0, bars, *(edge for period in periods for edge in period), *([] if edges is None else edges.tolist())]
    bounds = np.unique(np.array(cuts, dtype=np.int64))
    sums = _new_sums(len(layout.jobs), bars, layout.lanes, len(bounds) - 1, trades)
    fields = program.fields(panel)
    moved = moves(panel)
    follow = follower_of(strategy.root, kernel) if trades else None
    for group in _groups(kernel, program, bars, names):
        tables = Tables(program, kernel, {key: table[group] for key, table in fields.items()}, names)
        _run_group(kernel, layout, tables, _cut(moved, group), bounds, execution.cost, sums, follow)
    check_finite(strategy.name, combos, np.isfinite(sums.gross.sum(axis=1))[layout.job, layout.lane])
    found = _collect(kernel, layout, sums, bounds, periods, names, execution.cost, keep_returns)
    return found if edges is None else _with_blocks(found, kernel, layout, sums, bounds, edges, names)


def _new_sums(jobs: int, bars: int, lanes: int, segments: int, trades: bool) -> Sums:
    ended = tuple(no_trades(jobs, segments, lanes)) if trades else ()
    traded, changed, gross = (np.zeros((jobs, segments, lanes)) for _ in range(3))
    return Sums(np.zeros((jobs, bars * lanes)), traded, changed, gross, ended)


def _groups(kernel: Kernel, program: Program, bars: int, names: int) -> list[slice]:
    """Names worked on together: all when they are compared with each other, else what fits the caches."""
    blocks = sum(kernel.varies(node) for node in kernel.reads)
    size = max(1, min(kernel.group_names, BLOCK_BYTES_MAX // max(1, blocks * bars * kernel.lanes * 8)))
    if _compares(program):
        size = names
    return [slice(start, min(start + size, names)) for start in range(0, names, size)]


def _compares(program: Program) -> bool:
    """Whether names are compared with each other: then no name can be worked on without the others."""
    return any(unit.node.spec.kind is Kind.CROSS for unit in program.units)


def _cut(moved: Moves, group: slice) -> Moves:
    return Moves(moved.overnight[group], moved.intraday[group], moved.drift[group], moved.tradable[group])


def _batches(kernel: Kernel, layout: Layout, tables: Tables) -> list[slice]:
    """Runs of jobs that share their block of tables, cut where their other tables would take too much memory."""
    shared = sorted({name for node in kernel.reads if kernel.varies(node) for name in node.parameters} - layout.inner)
    most = max(1, STACK_BYTES_MAX // (8 * tables.group * tables.bars * max(1, len(kernel.reads))))
    keys = [(block, *(layout.outer_values[name][outer] for name in shared)) for block, outer in layout.jobs]
    starts = [j for j in range(len(keys)) if j == 0 or keys[j] != keys[j - 1]] + [len(keys)]
    return [
        slice(j, min(j + most, stop))
        for start, stop in zip(starts[:-1], starts[1:], strict=True)
        for j in range(start, stop, most)
    ]


def _run_group(
    kernel: Kernel,
    layout: Layout,
    tables: Tables,
    moved: Moves,
    bounds: NDArray[np.int64],
    cost: float,
    sums: Sums,
    follow: Any = None,
) -> None:
    """Add one group of names to the sums of every job; a block's tables are built once for all jobs that share it."""
    blocks: dict[str, tuple[tuple[object, ...], Floats]] = {}
    for batch in _batches(kernel, layout, tables):
        jobs = layout.jobs[batch]
        fixed = [{name: float(values[outer]) for name, values in layout.outer_values.items()} for _, outer in jobs]
        inner = {name: values[jobs[0][0]] for name, values in layout.inner_values.items()}
        reads, which = _reads(kernel, tables, fixed, inner, jobs[0][0], blocks)
        memory = [np.zeros((len(jobs), tables.group, kernel.lanes)) for _ in range(1 + kernel.memories)]
        returns, *accumulated = sums.part(batch)
        prices = (moved.overnight, moved.intraday, moved.drift, moved.tradable)
        takes = _takes(kernel, fixed, inner, tables.names)
        kernel.run(*reads, which, *takes, *prices, bounds, cost, returns, *memory, *accumulated)
        if follow is not None:
            follow(*reads, which, *takes, *prices, bounds, cost, *(ended[batch] for ended in sums.ended))


def _reads(
    kernel: Kernel,
    tables: Tables,
    fixed: list[dict[str, float]],
    inner: Mapping[str, Floats],
    block: int,
    blocks: dict[str, tuple[tuple[object, ...], Floats]],
) -> tuple[list[Floats], NDArray[np.int64]]:
    """The kernel's tables for one batch of jobs, and which one each job reads. `blocks` keeps the last of each node."""
    reads: list[Floats] = []
    which = np.zeros((len(fixed), max(1, len(kernel.reads))), dtype=np.int64)
    for i, node in enumerate(kernel.reads):
        if kernel.varies(node):
            key = (block, *(fixed[0][name] for name in sorted(node.parameters & fixed[0].keys())))
            if node.key not in blocks or blocks[node.key][0] != key:
                blocks.pop(node.key, None)
                blocks[node.key] = (key, tables.block(node, fixed[0], inner))
            reads.append(blocks[node.key][1])
        else:
            keys = [tuple(values[name] for name in sorted(node.parameters)) for values in fixed]
            order = {key: n for n, key in enumerate(dict.fromkeys(keys))}
            which[:, i] = [order[key] for key in keys]
            first = [keys.index(key) for key in order]
            stack = [tables.table(node, fixed[j]) for j in first]
            reads.append(np.stack(stack) if len(stack) > 1 else stack[0][None])
    return reads, which


def _takes(kernel: Kernel, fixed: list[dict[str, float]], inner: Mapping[str, Floats], names: int) -> list[Floats]:
    """The kernel's scalars by job: [J, lanes] where they vary between lanes, else [J]."""
    takes = []
    for node in kernel.takes:
        shape = (kernel.lanes,) if kernel.varies(node) else ()
        chosen = (scalar_value(node, {**values, **inner}, names) for values in fixed)
        takes.append(np.array([np.broadcast_to(value, shape) for value in chosen], dtype=np.float64))
    return takes


def _collect(
    kernel: Kernel,
    layout: Layout,
    sums: Sums,
    bounds: NDArray[np.int64],
    periods: list[tuple[int, int]],
    names: int,
    cost: float,
    keep_returns: bool,
) -> Evaluation:
    """Metrics by combination from the sums by job and lane."""
    count, lanes = len(layout.job), kernel.lanes
    bars = int(bounds[-1])
    kept = np.empty((count, bars)) if keep_returns else None
    summaries = np.empty((len(periods), len(layout.jobs), SUMMARY_ROWS, lanes))
    for j in range(len(layout.jobs)):
        returns = sums.returns[j].reshape(bars, lanes)
        returns /= names
        if kept is not None:
            mine = np.flatnonzero(layout.job == j)
            kept[mine] = returns[:, layout.lane[mine]].T
        for p, (start, stop) in enumerate(periods):
            kernel.summarise(returns, start, stop, float(BARS_PER_YEAR), SPREAD_MIN, summaries[p, j])
    found = {name: summaries[:, :, row] for row, name in enumerate(RETURN_METRICS)}
    found |= _traded(sums, [np.searchsorted(bounds, period) for period in periods], periods, names, cost)
    metrics = {name: np.ascontiguousarray(found[name][:, layout.job, layout.lane]) for name in METRICS}
    return Evaluation(metrics, kept)


def _traded(
    sums: Sums, segments: Sequence[Any], periods: list[tuple[int, int]], names: int, cost: float
) -> dict[str, Floats]:
    """What trading did in each period, [P, J, lanes]; `segments`: the period's first segment of time and the next."""
    traded, changed, gross = (
        np.stack([table[:, first:last].sum(axis=1) for first, last in segments])
        for table in (sums.traded / names, sums.changed, sums.gross / names)
    )
    bars = np.array([stop - start for start, stop in periods])[:, None, None]
    return {
        "turnover": traded / bars * BARS_PER_YEAR,
        "trades": changed,
        "exposure": gross / bars,
        "costs": traded * cost,
    }


def _with_blocks(
    found: Evaluation,
    kernel: Kernel,
    layout: Layout,
    sums: Sums,
    bounds: NDArray[np.int64],
    edges: NDArray[np.int64],
    names: int,
) -> Evaluation:
    """Add what is kept of each block between `edges`. The returns of `sums` are those of the portfolio by now."""
    count, lanes = len(edges) - 1, kernel.lanes
    rows = np.empty((len(BLOCK_ROWS), count, len(layout.jobs), lanes))
    summary = np.empty((len(BLOCK_ROWS), count, lanes))
    for j in range(len(layout.jobs)):
        block_summary()(sums.returns[j].reshape(-1, lanes), edges, summary)
        rows[:, :, j] = summary
    starts = np.searchsorted(bounds, edges)
    segments = [slice(a, b) for a, b in zip(starts[:-1], starts[1:], strict=True)]
    traded, changed, gross = (
        np.stack([table[:, inside].sum(axis=1) for inside in segments])
        for table in (sums.traded, sums.changed, sums.gross)
    )
    blocks = np.concatenate([rows, np.stack([traded / names, changed, gross / names])])
    ended = None
    if sums.ended:
        whole = np.stack(sums.ended).swapaxes(1, 2)  # sums, segments, jobs, lanes
        parts = [merge_trades(whole[:, inside]) for inside in segments]
        ended = np.ascontiguousarray(np.stack(parts, axis=1)[:, :, layout.job, layout.lane])
    return replace(found, blocks=np.ascontiguousarray(blocks[:, :, layout.job, layout.lane]), trades=ended)

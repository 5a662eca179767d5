"""The numba backend: shared tables, one fused kernel over lanes of combinations, one thread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mts1b.backtester.collect import collect, with_blocks
from mts1b.backtester.evaluation import Evaluation, check_finite
from mts1b.backtester.execution import Execution, Moves, moves
from mts1b.backtester.lanes import Kernel, kernel_of, tabled_parameters
from mts1b.backtester.layout import Layout, plan, widest
from mts1b.backtester.streaming import Stream
from mts1b.backtester.sums import Sums
from mts1b.backtester.switched import add_all, switched_of
from mts1b.backtester.tables import Tables
from mts1b.backtester.trade_lanes import follower_of
from mts1b.quantkit.trades import no_trades
from mts1b.strategy.definition import Strategy
from mts1b.strategy.expr import Node
from mts1b.strategy.ops import Kind
from mts1b.strategy.panel import Panel
from mts1b.strategy.program import Program, program_of
from mts1b.strategy.scalars import scalar_value
from mts1b.strategy.turned import name_major

Floats = NDArray[np.float64]

BLOCK_BYTES_MAX = 160 << 20
"""Tables with a column for each lane, held at once: over long histories they set how many names go together, and where
all names go together, as they are compared with each other, how many lanes there are."""

STACK_BYTES_MAX = 64 << 20
"""Tables without lanes, held at once for the jobs of one call of the kernel."""


def evaluate(
    strategy: Strategy,
    combos: Mapping[str, Floats],
    panel: Panel,
    execution: Execution,
    periods: list[tuple[int, int]],
    keep_returns: bool,
    edges: NDArray[np.int64] | None = None,
    trades: bool = False,
    precision: str = "double",
) -> Evaluation:
    """As `mts1b.backtester.evaluate`, arguments already checked; metrics are [P, C]."""
    bars, names = panel.close.shape
    if _is_single(combos, bars, periods, keep_returns, edges, trades):
        return _single(strategy, combos, panel, execution)
    cuts = [0, bars, *(edge for period in periods for edge in period), *([] if edges is None else edges.tolist())]
    bounds = np.unique(np.array(cuts, dtype=np.int64))
    program = program_of(strategy.root)
    work = _Work(program, program.fields(panel), moves(panel), names, bounds, execution.cost)
    summed = work.switched(strategy.root, combos) if precision == "single" and not trades else None
    layout, sums = summed or work.fused(strategy.root, combos, trades)
    check_finite(strategy.name, combos, np.isfinite(sums.gross.sum(axis=1))[layout.job, layout.lane])
    found = collect(layout, sums, bounds, periods, names, execution.cost, keep_returns)
    return found if edges is None else with_blocks(found, layout, sums, bounds, edges, names)


def _is_single(
    combos: Mapping[str, Floats],
    bars: int,
    periods: list[tuple[int, int]],
    keep_returns: bool,
    edges: NDArray[np.int64] | None,
    trades: bool,
) -> bool:
    """Whether it is one combination, and nothing but the metrics of its whole history."""
    alone = all(len(values) == 1 for values in combos.values())
    return alone and periods == [(0, bars)] and not (keep_returns or trades or edges is not None)


def _single(strategy: Strategy, combos: Mapping[str, Floats], panel: Panel, execution: Execution) -> Evaluation:
    """One combination shares no table with another: its indicators, decision and accounting are one loop."""
    values = {name: float(column[0]) for name, column in combos.items()}
    stream = Stream(strategy, values, panel.symbols, execution, panel.sectors)
    bars = {name: name_major(panel.field(name)) for name in stream.fields}
    found = stream.metrics(stream.advance(np.arange(len(panel.symbols)), bars))
    return Evaluation({name: np.array([[value]]) for name, value in found.items()})


@dataclass(frozen=True)
class _Work:
    """What every kernel needs to know of a chunk."""

    program: Program
    fields: Mapping[str, Floats]
    moved: Moves
    names: int
    bounds: NDArray[np.int64]
    cost: float

    def switched(self, root: Node, combos: Mapping[str, Floats]) -> tuple[Layout, Sums] | None:
        """The sums by the kernel of strategies that switch; None when this one does not, or not plainly."""
        work = switched_of(self.program, root, combos, self.names)
        if work is None:
            return None
        sums = self.sums(work.layout, returns=np.float32)
        return (work.layout, sums) if add_all(work, self.fields, self.moved, self.bounds, self.cost, sums) else None

    def fused(self, root: Node, combos: Mapping[str, Floats], trades: bool) -> tuple[Layout, Sums]:
        """The sums by the kernel of any strategy."""
        tabled = tabled_parameters(root)
        held_bytes = 8 * self.bars * self.names * sum(map(bool, tabled)) if _compares(self.program) else 0
        layout = plan(combos, tabled, widest(BLOCK_BYTES_MAX, held_bytes))
        kernel = kernel_of(root, layout.lanes, layout.inner)
        sums = self.sums(layout, trades)
        follow = follower_of(root, kernel) if trades else None
        for group in _groups(kernel, self.program, self.bars, self.names):
            tables = Tables(self.program, kernel, self.part(group), self.names)
            _run_group(kernel, layout, tables, _cut(self.moved, group), self.bounds, self.cost, sums, follow)
        return layout, sums

    @property
    def bars(self) -> int:
        return int(self.bounds[-1])

    def part(self, group: slice) -> dict[str, Floats]:
        return {key: table[group] for key, table in self.fields.items()}

    def sums(self, layout: Layout, trades: bool = False, returns: type[np.floating[Any]] = np.float64) -> Sums:
        jobs, lanes, segments = len(layout.jobs), layout.lanes, len(self.bounds) - 1
        ended = tuple(no_trades(jobs, segments, lanes)) if trades else ()
        traded, changed, gross = (np.zeros((jobs, segments, lanes)) for _ in range(3))
        return Sums(np.zeros((jobs, self.bars * lanes), dtype=returns), traded, changed, gross, ended)


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

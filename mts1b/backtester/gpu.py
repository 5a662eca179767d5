"""The GPU backend: tables, fused kernels and metrics on a device, slabs of combinations sized to its free memory.

While one slab computes, the inputs of the next are on their way to the device and the results of the last one on their
way back. Decisions are taken in float64 with the rounding of a CPU; sums are made in a fixed order. What a metric is
made from is summed up on the device; the last divisions are done here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mts1b.backtester.evaluation import METRICS, RETURN_METRICS, Evaluation, check_finite
from mts1b.backtester.execution import Execution, Moves, moves
from mts1b.backtester.gpu_detect import check_execution
from mts1b.backtester.gpu_device import Copies, Device, current_device
from mts1b.backtester.gpu_kernels import Kernels, kernels_of
from mts1b.backtester.gpu_plan import GROUP_NAMES, Fill, Key, Read, Sizes, Slab, plan_slabs
from mts1b.backtester.gpu_source import PRICES
from mts1b.backtester.summary import BARS_PER_YEAR, SPREAD_MIN, SUMMARY_ROWS
from mts1b.foundation.limits import GPU_MEMORY_SHARE_MAX
from mts1b.quantkit.blocks import BLOCK_ROWS
from mts1b.quantkit.trades import TRADE_SUMS, merge_trades
from mts1b.strategy.definition import Strategy
from mts1b.strategy.ops import Kind
from mts1b.strategy.panel import Panel
from mts1b.strategy.program import program_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Request:
    """What is asked for, beyond the combinations: `bounds` are all edges of periods and blocks."""

    execution: Execution
    bounds: Ints
    periods: Ints
    edges: Ints | None
    trades: bool
    keep_returns: bool


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
    device: Device | None = None,
) -> Evaluation:
    """As `mts1b.backtester.evaluate`, arguments already checked; metrics are [P, C]. All in float64, as asked or not.

    `device`: the current one when left out; StackError without any. InputError for an execution model that the kernels
    do not know.
    """
    check_execution(execution)
    machine = current_device() if device is None else device
    bars, names = panel.close.shape
    cuts = [0, bars, *(edge for period in periods for edge in period), *([] if edges is None else edges.tolist())]
    bounds = np.unique(np.array(cuts, dtype=np.int64))
    asked = Request(execution, bounds, np.array(periods, dtype=np.int64), edges, trades, keep_returns)
    kernels = kernels_of(strategy.root)
    count = len(next(iter(combos.values()))) if combos else 1
    blocks = 0 if edges is None else len(edges) - 1
    sizes = Sizes(bars, names, len(bounds) - 1, len(periods), blocks, trades)
    run = _Run(machine, kernels, strategy, panel, asked)
    budget = int(machine.free_bytes() * GPU_MEMORY_SHARE_MAX)
    slabs, together = plan_slabs(kernels, combos, count, sizes, budget)
    found = [_results(arrays, asked, names) for arrays in run.slabs(slabs, together)]
    check_finite(strategy.name, combos, np.concatenate([one.finite for one in found]))
    return _joined([one.evaluation for one in found])


class _Run:
    """One evaluation on a device: the panel is put there once, slab after slab computed."""

    def __init__(self, device: Device, kernels: Kernels, strategy: Strategy, panel: Panel, asked: Request) -> None:
        self._device, self._kernels, self._asked = device, kernels, asked
        self._bars, self._names = panel.close.shape
        given = program_of(strategy.root).fields(panel)
        self._fields = {key: device.put(table[:, :, None]) for key, table in given.items()}
        self._prices = _put_moves(device, moves(panel))
        self._bounds = device.put(asked.bounds)
        self._periods = device.put(asked.periods)
        self._edges = None if asked.edges is None else device.put(asked.edges)
        self._one_group = device.put(np.zeros(self._names))
        self._tables: dict[tuple[Key, int, int], Any] = {}

    def slabs(self, slabs: list[Slab], together: int) -> list[list[Any]]:
        """Results of every slab, as `_compute` names them. Inputs go ahead by one slab, results come one behind."""
        found: list[list[Any]] = []
        coming: tuple[Copies, Any] | None = None
        inputs = self._put_inputs(slabs[0])
        for place, slab in enumerate(slabs):
            results = self._compute(slab, inputs, together)
            ahead = self._put_inputs(slabs[place + 1]) if place + 1 < len(slabs) else None
            started = self._device.fetch(results)
            if coming is not None:
                found.append(coming[0].wait())
            coming = (started, inputs)  # its inputs are kept until its results are here
            inputs = ahead
        assert coming is not None
        found.append(coming[0].wait())
        return found

    def _put_inputs(self, slab: Slab) -> Any:
        """Everything of a slab that comes from the host: its own columns and scalars, and those of its tables."""
        put = self._device.put
        own = [[put(read.which) for read in slab.reads], [put(values) for values in slab.takes]]
        tables = [
            ([put(read.which) for read in fill.reads], [put(values) for values in fill.takes]) for fill in slab.fills
        ]
        return own, tables

    def _compute(self, slab: Slab, inputs: Any, together: int) -> list[Any]:
        """Launch a slab: summary, traded, changed, gross, then blocks, trades and returns where they are wanted."""
        device, kernels, asked, lanes = self._device, self._kernels, self._asked, slab.lanes
        segments = len(asked.bounds) - 1
        totals = [device.empty((rows, lanes)) for rows in (self._bars, segments, segments, segments)]
        ended = device.empty((len(TRADE_SUMS), segments, lanes)) if asked.trades else None
        for start in range(0, self._names, together):
            stop = min(start + together, self._names)
            self._fill_tables(slab, inputs[1], start, stop)
            self._run_names(slab, inputs[0], start, stop, totals, ended)
        returns = totals[0]
        device.launch(kernels["share"], self._bars * lanes, returns, float(self._names))
        summary = device.empty((SUMMARY_ROWS, len(asked.periods), lanes))
        given = (self._periods, float(BARS_PER_YEAR), SPREAD_MIN, summary)
        device.launch(kernels["summarise"], len(asked.periods) * lanes, returns, *given)
        results = [summary, *totals[1:]]
        if self._edges is not None:
            assert asked.edges is not None
            blocks = device.empty((len(BLOCK_ROWS), len(asked.edges) - 1, lanes))
            device.launch(kernels["summarise_blocks"], blocks.shape[1] * lanes, returns, self._edges, blocks)
            results.append(blocks)
        results += [] if ended is None else [ended]
        return [*results, returns] if asked.keep_returns else results

    def _run_names(self, slab: Slab, inputs: Any, start: int, stop: int, totals: list[Any], ended: Any) -> None:
        """Decide, trade and pay for some names; add their groups, in order, to what was there before them."""
        device, kernels, asked, lanes = self._device, self._kernels, self._asked, slab.lanes
        groups, fresh = -(-(stop - start) // GROUP_NAMES), start == 0
        which, takes = inputs
        given = self._arguments(slab.reads, which, takes, start, stop)
        given += [self._prices[name][start:stop] for name in PRICES]
        given += [self._bounds, asked.execution.cost, GROUP_NAMES]
        parts = [device.empty((groups, *total.shape)) for total in totals]
        device.launch(kernels["run"], groups * lanes, *given, *parts)
        for part, total in zip(parts, totals, strict=True):
            device.launch(kernels["add_up"], total.shape[0] * lanes, part, fresh, total)
        if ended is not None:
            rows, segments, _ = ended.shape
            followed = device.empty((rows, groups, segments, lanes))
            device.launch(kernels["follow"], groups * lanes, *given, followed)
            device.launch(kernels["join_trades"], rows * segments * lanes, followed, fresh, ended)

    def _arguments(self, reads: tuple[Read, ...], which: list[Any], takes: list[Any], start: int, stop: int) -> Any:
        """Tables and columns in turn, then scalars, for names start <= s < stop."""
        pairs = zip((self._table(read.table, start, stop) for read in reads), which, strict=True)
        return [*(array for pair in pairs for array in pair), *takes]

    def _table(self, key: Key, start: int, stop: int) -> Any:
        if key[0] in self._fields:
            return self._fields[key[0]][start:stop]
        return self._tables[key, start, stop]

    def _fill_tables(self, slab: Slab, inputs: list[Any], start: int, stop: int) -> None:
        """Tables of names start <= s < stop; those of the slab before that serve again stay, the others go."""
        wanted = {(fill.key, start, stop) for fill in slab.fills}
        self._tables = {key: table for key, table in self._tables.items() if key in wanted}
        for fill, (which, takes) in zip(slab.fills, inputs, strict=True):
            if (fill.key, start, stop) not in self._tables:
                given = self._arguments(fill.reads, which, takes, start, stop)
                self._tables[fill.key, start, stop] = self._filled(fill, given, stop - start)

    def _filled(self, fill: Fill, given: list[Any], names: int) -> Any:
        device, kernels, unit, name = self._device, self._kernels, fill.filling.unit, fill.filling.function
        shape = (names, self._bars, fill.width)
        out = device.empty(shape)
        if fill.filling.crosses:
            rows = [device.empty(shape) for _ in range(unit.node.spec.inputs)]
            device.launch(kernels[f"{name}_rows"], names * self._bars * fill.width, *given, *rows)
            groups = rows[1] if len(rows) > 1 else self._one_group
            device.launch(kernels[name], names * self._bars * fill.width, rows[0], groups, out)
            return out
        states = [device.empty((fill.state_floats, names * fill.width))] if unit.node.spec.kind is Kind.SERIES else []
        device.launch(kernels[name], names * fill.width, *given, *states, out)
        return out


def _put_moves(device: Device, moved: Moves) -> dict[str, Any]:
    return {name: device.put(getattr(moved, name)) for name in PRICES}


@dataclass(frozen=True)
class _Slab:
    evaluation: Evaluation
    finite: NDArray[np.bool_]


def _results(arrays: list[Any], asked: Request, names: int) -> _Slab:
    """Metrics by combination from the sums of one slab."""
    summary, traded, changed, gross, *rest = arrays
    metrics = dict(zip(RETURN_METRICS, summary, strict=True)) | {
        name: np.empty(summary.shape[1:]) for name in METRICS[len(RETURN_METRICS) :]
    }
    for p, (start, stop) in enumerate(asked.periods):
        inside = slice(*np.searchsorted(asked.bounds, (start, stop)))
        sold = traded[inside].sum(axis=0) / names
        metrics["turnover"][p] = sold / (stop - start) * BARS_PER_YEAR
        metrics["trades"][p] = changed[inside].sum(axis=0)
        metrics["exposure"][p] = gross[inside].sum(axis=0) / names / (stop - start)
        metrics["costs"][p] = sold * asked.execution.cost
    blocks = ended = None
    if asked.edges is not None:
        starts = np.searchsorted(asked.bounds, asked.edges)
        segments = [slice(a, b) for a, b in zip(starts[:-1], starts[1:], strict=True)]
        sums = [np.stack([table[cut].sum(axis=0) for cut in segments]) for table in (traded, changed, gross)]
        blocks = np.concatenate([rest.pop(0), np.stack([sums[0] / names, sums[1], sums[2] / names])])
        if asked.trades:
            followed = rest.pop(0)
            ended = np.stack([merge_trades(followed[:, cut]) for cut in segments], axis=1)
    returns = np.ascontiguousarray(rest.pop(0).T) if asked.keep_returns else None
    return _Slab(Evaluation(metrics, returns, blocks, ended), np.isfinite(gross.sum(axis=0)))


def _joined(parts: list[Evaluation]) -> Evaluation:
    """Slabs one after the other."""

    def join(tables: list[Any], axis: int) -> Any:
        return None if tables[0] is None else np.concatenate(tables, axis=axis)

    return Evaluation(
        {name: join([part.metrics[name] for part in parts], 1) for name in METRICS},
        join([part.returns for part in parts], 0),
        join([part.blocks for part in parts], 2),
        join([part.trades for part in parts], 2),
    )

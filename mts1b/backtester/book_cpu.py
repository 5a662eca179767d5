"""The numba backend of exact books: the tables and lanes of `mts1b.backtester.cpu`, the kernel of `book_lanes`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mts1b.backtester import cpu
from mts1b.backtester.book_lanes import SLEEVE_SUMS, TERMS, books_of
from mts1b.backtester.collect import collect, with_blocks
from mts1b.backtester.evaluation import Evaluation, check_finite
from mts1b.backtester.execution import BASIS_POINT, Execution
from mts1b.backtester.holdings import BAND_MIN, FITTING_ROUNDS
from mts1b.backtester.lanes import Kernel, kernel_of, tabled_parameters
from mts1b.backtester.layout import LANES_FEW, LANES_MAX, LANES_STEP, Layout, plan
from mts1b.backtester.offered import Offered, offered
from mts1b.backtester.sums import Sums
from mts1b.backtester.tables import Tables
from mts1b.quantkit import metrics as formulas
from mts1b.quantkit.trades import no_trades
from mts1b.strategy.definition import Strategy
from mts1b.strategy.panel import Panel
from mts1b.strategy.program import program_of

Floats = NDArray[np.float64]


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
    by_name: bool = False,
) -> Evaluation:
    """As `mts1b.backtester.evaluate`, arguments already checked; metrics are [P, C]. In float64, whatever is asked.

    Combinations go through in pieces, so that their tables of all names, which a bar needs at once, stay bounded.
    """
    offer = offered(panel, execution)
    size = _piece(strategy, panel)
    count = len(next(iter(combos.values()))) if combos else 1
    pieces = [
        _Piece(strategy, {name: column[start : start + size] for name, column in combos.items()}, panel, trades)
        for start in range(0, count, size)
    ]
    found = [piece.evaluate(offer, execution, periods, keep_returns, edges, by_name) for piece in pieces]
    return found[0] if len(found) == 1 else _joined(found)


def _piece(strategy: Strategy, panel: Panel) -> int:
    """Combinations worked on together: a block of lanes whose tables fit in `cpu.BLOCK_BYTES_MAX`, several if few."""
    tables = sum(bool(parameters) for parameters in tabled_parameters(strategy.root))
    lanes = cpu.BLOCK_BYTES_MAX // (8 * panel.close.size * max(1, tables))
    if lanes >= LANES_MAX:
        return LANES_MAX * 32
    return max(LANES_FEW, lanes // LANES_STEP * LANES_STEP)


class _Piece:
    """Some combinations: their layout, kernel, and the sums over all bars."""

    def __init__(self, strategy: Strategy, combos: Mapping[str, Floats], panel: Panel, trades: bool) -> None:
        self.strategy, self.combos, self.panel, self.trades = strategy, combos, panel, trades
        self.layout: Layout = plan(combos, tabled_parameters(strategy.root))
        self.kernel: Kernel = kernel_of(strategy.root, self.layout.lanes, self.layout.inner)
        self.bars, self.names = panel.close.shape

    def evaluate(
        self,
        offer: Offered,
        execution: Execution,
        periods: list[tuple[int, int]],
        keep_returns: bool,
        edges: NDArray[np.int64] | None,
        by_name: bool,
    ) -> Evaluation:
        layout = self.layout
        cuts = [edge for period in periods for edge in period] + ([] if edges is None else edges.tolist())
        bounds = np.unique(np.array([0, self.bars, *cuts], dtype=np.int64))
        sums = self._no_sums(len(bounds) - 1)
        paid = np.zeros_like(sums.traded)
        names = self._run(offer, execution, bounds, sums, paid)
        check_finite(self.strategy.name, self.combos, np.isfinite(sums.gross.sum(axis=1))[layout.job, layout.lane])
        found = collect(layout, sums, bounds, periods, 1, 0.0, keep_returns)
        for p, period in enumerate(periods):
            inside = slice(*np.searchsorted(bounds, period))
            found.metrics["costs"][p] = paid[:, inside].sum(axis=1)[layout.job, layout.lane]
        if edges is not None:
            found = with_blocks(found, layout, sums, bounds, edges, 1)
            found = replace(found, blocks=self._with_paid(found.blocks, paid, bounds, edges))
        return replace(found, by_name=self._by_name(names)) if by_name else found

    def _no_sums(self, segments: int) -> Sums:
        shape = (len(self.layout.jobs), segments, self.layout.lanes)
        ended = tuple(no_trades(*shape)) if self.trades else ()
        traded, changed, gross = (np.zeros(shape) for _ in range(3))
        return Sums(np.zeros((shape[0], self.bars * shape[2])), traded, changed, gross, ended)

    def _run(
        self, offer: Offered, execution: Execution, bounds: NDArray[np.int64], sums: Sums, paid: Floats
    ) -> tuple[Floats, ...]:
        """Fill the sums of every job; what is kept of each sleeve, SLEEVE_SUMS [J, S, lanes]."""
        layout, kernel = self.layout, self.kernel
        program = program_of(self.strategy.root)
        tables = Tables(program, kernel, program.fields(self.panel), self.names)
        sleeves = execution.capital_by == "sleeve"
        rounds = (1 if execution.is_proportional else FITTING_ROUNDS) if sleeves else 0
        books = books_of(self.strategy.root, kernel, sleeves, rounds, self.trades)
        names: tuple[Floats, ...] = ()
        if sleeves:
            shape = (len(SLEEVE_SUMS), len(layout.jobs), self.names, layout.lanes)
            names = tuple(np.zeros(shape))
            names[SLEEVE_SUMS.index("grown")][:] = 1.0
        blocks: dict[str, tuple[tuple[object, ...], Floats]] = {}
        for batch in cpu._batches(kernel, layout, tables):
            jobs = layout.jobs[batch]
            fixed = [{name: float(values[outer]) for name, values in layout.outer_values.items()} for _, outer in jobs]
            inner = {name: values[jobs[0][0]] for name, values in layout.inner_values.items()}
            reads, which = cpu._reads(kernel, tables, fixed, inner, jobs[0][0], blocks)
            takes = cpu._takes(kernel, fixed, inner, self.names)
            written = (*sums.part(batch), paid[batch], *(table[batch] for table in (*sums.ended, *names)))
            terms = _terms(execution, self.names)
            books(*reads, which, *takes, *_tables(offer, execution), offer.years, bounds, offer.lag, *terms, *written)
        return names

    def _with_paid(
        self, blocks: Floats | None, paid: Floats, bounds: NDArray[np.int64], edges: NDArray[np.int64]
    ) -> Floats:
        assert blocks is not None  # asked for
        starts = np.searchsorted(bounds, edges)
        of_block = [paid[:, a:b].sum(axis=1) for a, b in zip(starts[:-1], starts[1:], strict=True)]
        return np.concatenate([blocks, np.stack(of_block)[None, :, self.layout.job, self.layout.lane]])

    def _by_name(self, names: tuple[Floats, ...]) -> Floats:
        """Rows NAME_METRICS of every sleeve, [len(NAME_METRICS), C, S]."""
        grown, mean, squares, switched, entered = (table[self.layout.job, :, self.layout.lane] for table in names)
        spread = np.sqrt(squares / max(self.bars - 1, 1))
        spread = np.where(spread < formulas.SPREAD_MIN, 0.0, spread)
        sharpe = formulas.ratio(mean, spread) * np.sqrt(formulas.BARS_PER_YEAR)
        return np.stack([grown - 1.0, sharpe, switched, entered])


def _tables(offer: Offered, execution: Execution) -> tuple[NDArray[np.generic], ...]:
    """Arguments TABLES of the kernel."""
    mark = np.where(offer.tradable, offer.price, offer.before)
    depth = execution.impact * offer.depth
    return (offer.price, mark, offer.tradable, offer.before, offer.last, offer.gone, offer.most, depth)


def _terms(execution: Execution, names: int) -> tuple[float, ...]:
    """Arguments TERMS of the kernel."""
    terms = {
        "rate": execution.commission_bps * BASIS_POINT,
        "per_share": execution.commission_per_share,
        "least": execution.commission_min,
        "half_spread": execution.half_spread_bps * BASIS_POINT,
        "band": max(execution.band, BAND_MIN),
        "borrow_rate": execution.borrow_rate,
        "cash_rate": execution.cash_rate,
        "floor": 0.0 if execution.long_only else -np.inf,
        "capital": execution.capital / (names if execution.capital_by == "sleeve" else 1),
    }
    return tuple(float(terms[name]) for name in TERMS)


def _joined(parts: list[Evaluation]) -> Evaluation:
    """The pieces' combinations one after the other."""

    def together(name: str, axis: int) -> Floats | None:
        first = getattr(parts[0], name)
        return None if first is None else np.concatenate([getattr(part, name) for part in parts], axis=axis)

    metrics = {name: np.concatenate([p.metrics[name] for p in parts], axis=-1) for name in parts[0].metrics}
    return Evaluation(
        metrics, together("returns", 0), together("blocks", 2), together("trades", 2), together("by_name", 1)
    )

"""The readable backend: numpy, float64, one combination after the other. What every other backend must equal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mts1b.backtester.evaluation import METRICS, Evaluation, check_finite
from mts1b.backtester.execution import Execution, Moves, moves
from mts1b.quantkit import metrics as formulas
from mts1b.quantkit.blocks import block_rows
from mts1b.quantkit.trades import trade_sums
from mts1b.strategy.definition import Strategy
from mts1b.strategy.panel import Panel
from mts1b.strategy.program import program_of

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Book:
    """One combination bar by bar, all [T]: returns after costs, weight traded, targets changed, gross weight."""

    returns: Floats
    traded: Floats
    changed: Floats
    gross: Floats


def book(targets: Floats, moved: Moves, cost: float) -> Book:
    """Hold `targets` [T, S], decided on the close of each bar, from the next open on."""
    bars, names = targets.shape
    returns, traded, changed, gross = (np.zeros(bars) for _ in range(4))
    held = np.zeros(names)
    for t in range(1, bars):
        tradable = moved.tradable[:, t]
        wanted = np.where(tradable, targets[t - 1], held)
        trade = np.where(tradable, np.abs(wanted - held * moved.drift[:, t]), 0.0)
        earned = held * moved.overnight[:, t] + wanted * moved.intraday[:, t] - cost * trade
        returns[t] = earned.sum() / names
        traded[t] = trade.sum() / names
        changed[t] = (wanted != held).sum()
        gross[t] = np.abs(wanted).sum() / names
        held = wanted
    return Book(returns, traded, changed, gross)


def round_trips(targets: Floats, moved: Moves, cost: float) -> Floats:
    """Every trade that ended (`mts1b.quantkit.trades`), [N, 3]: the bar it ended at, its profit, the bars it was held.

    A change of sign ends one trade and begins the next at the same open: what is sold is paid for by the first, what is
    bought by the second.
    """
    bars, names = targets.shape
    found = []
    for s in range(names):
        held, profit, age = 0.0, 0.0, 0
        for t in range(1, bars):
            wanted = targets[t - 1, s] if moved.tradable[s, t] else held
            worth = held * moved.drift[s, t]
            profit += held * moved.overnight[s, t]
            if held != 0.0 and held * wanted <= 0.0:
                found.append((t, profit - cost * abs(worth), age))
                profit, age, worth = 0.0, 0, 0.0
            profit += wanted * moved.intraday[s, t]
            if moved.tradable[s, t]:
                profit -= cost * abs(wanted - worth)
            age += wanted != 0.0
            held = wanted
    return np.array(found, dtype=np.float64).reshape(-1, 3)


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
    """As `mts1b.backtester.evaluate`, arguments already checked; metrics are [P, C]. Always float64."""
    program = program_of(strategy.root)
    moved = moves(panel)
    count = len(next(iter(combos.values()))) if combos else 1
    table = {name: np.empty((len(periods), count)) for name in METRICS}
    kept = np.empty((count, len(panel.ts_ns))) if keep_returns else None
    blocks: list[Floats] = []
    ended: list[Floats] = []
    for c in range(count):
        values = {name: float(column[c]) for name, column in combos.items()}
        wanted = program.targets(values, panel)
        chosen = {name: np.array([value]) for name, value in values.items()}
        check_finite(strategy.name, chosen, np.array([np.isfinite(wanted).all()]))
        result = book(wanted, moved, execution.cost)
        if kept is not None:
            kept[c] = result.returns
        if edges is not None:
            blocks.append(_block_sums(result, edges))
        if edges is not None and trades:
            ended.append(_trade_sums(round_trips(wanted, moved, execution.cost), edges))
        for p, (start, stop) in enumerate(periods):
            for name, value in _metrics(result, slice(start, stop), execution.cost).items():
                table[name][p, c] = value
    stacked = (np.stack(sums, axis=2) if sums else None for sums in (blocks, ended))
    return Evaluation(table, kept, *stacked)


def _block_sums(result: Book, edges: NDArray[np.int64]) -> Floats:
    columns = (result.traded, result.changed, result.gross)
    more = [np.add.reduceat(column[: edges[-1]], edges[:-1]) for column in columns]
    return np.concatenate([block_rows(result.returns, edges.tolist()), np.stack(more)])


def _trade_sums(found: Floats, edges: NDArray[np.int64]) -> Floats:
    """Sums [TRADE_SUMS, K] of trades [N, 3] by the block they ended in."""
    inside = [found[(found[:, 0] >= a) & (found[:, 0] < b)] for a, b in zip(edges[:-1], edges[1:], strict=True)]
    return np.stack([trade_sums(rows[:, 1], rows[:, 2]) for rows in inside], axis=1)


def _metrics(result: Book, cut: slice, cost: float) -> dict[str, float]:
    returns, traded = result.returns[cut], result.traded[cut]
    return {
        "total_return": float(formulas.total_return(returns)),
        "cagr": float(formulas.cagr(returns)),
        "volatility": float(formulas.volatility(returns)),
        "sharpe": float(formulas.sharpe(returns)),
        "sortino": float(formulas.sortino(returns)),
        "calmar": float(formulas.calmar(returns)),
        "max_drawdown": float(formulas.max_drawdown(returns)),
        "max_drawdown_bars": float(formulas.max_drawdown_bars(returns)),
        "skew": float(formulas.skewness(returns)),
        "kurtosis": float(formulas.kurtosis(returns)),
        "turnover": float(traded.mean() * formulas.BARS_PER_YEAR),
        "trades": float(result.changed[cut].sum()),
        "exposure": float(result.gross[cut].mean()),
        "costs": float(traded.sum() * cost),
    }

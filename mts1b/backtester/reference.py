"""The readable backend: numpy, float64, one combination after the other. What every other backend must equal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mts1b.backtester.evaluation import METRICS, Evaluation, check_finite
from mts1b.backtester.execution import Execution, Moves, moves
from mts1b.quantkit import metrics as formulas
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


def evaluate(
    strategy: Strategy,
    combos: Mapping[str, Floats],
    panel: Panel,
    execution: Execution,
    periods: list[tuple[int, int]],
    keep_returns: bool,
) -> Evaluation:
    """As `mts1b.backtester.evaluate`, arguments already checked; metrics are [P, C]."""
    program = program_of(strategy.root)
    moved = moves(panel)
    count = len(next(iter(combos.values()))) if combos else 1
    table = {name: np.empty((len(periods), count)) for name in METRICS}
    kept = np.empty((count, len(panel.ts_ns))) if keep_returns else None
    for c in range(count):
        values = {name: float(column[c]) for name, column in combos.items()}
        wanted = program.targets(values, panel)
        chosen = {name: np.array([value]) for name, value in values.items()}
        check_finite(strategy.name, chosen, np.array([np.isfinite(wanted).all()]))
        result = book(wanted, moved, execution.cost)
        if kept is not None:
            kept[c] = result.returns
        for p, (start, stop) in enumerate(periods):
            for name, value in _metrics(result, slice(start, stop), execution.cost).items():
                table[name][p, c] = value
    return Evaluation(table, kept)


def _metrics(result: Book, cut: slice, cost: float) -> dict[str, float]:
    returns, traded = result.returns[cut], result.traded[cut]
    return {
        "total_return": float(formulas.total_return(returns)),
        "cagr": float(formulas.cagr(returns)),
        "volatility": float(formulas.volatility(returns)),
        "sharpe": float(formulas.sharpe(returns)),
        "max_drawdown": float(formulas.max_drawdown(returns)),
        "skew": float(formulas.skewness(returns)),
        "kurtosis": float(formulas.kurtosis(returns)),
        "turnover": float(traded.mean() * formulas.BARS_PER_YEAR),
        "trades": float(result.changed[cut].sum()),
        "exposure": float(result.gross[cut].mean()),
        "costs": float(traded.sum() * cost),
    }

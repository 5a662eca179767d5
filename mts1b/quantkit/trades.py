"""Statistics of round trips: what share of them won, what they won against what they lost.

A trade of a name begins when its weight leaves 0 (or changes sign) and ends when it is back at 0 (or changes sign).
Its profit is what the name earned in between, costs paid, as a fraction of the name's equal share of NAV. A trade that
has not ended is left out. A ratio whose denominator is 0 is 0, as in `mts1b.quantkit.metrics`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mts1b.quantkit.metrics import ratio

Floats = NDArray[np.float64]

TRADE_SUMS = ("closed", "won", "gained", "lost", "squares", "bars", "best", "worst")
"""Sums over trades: their number; of those with a profit above 0; profits; losses (as a positive number); squares of
both; bars held; highest profit (-inf without trades) and lowest (inf)."""

TRADE_METRICS = (
    "closed_trades",
    "win_rate",
    "profit_factor",
    "expectancy",
    "average_win",
    "average_loss",
    "best_trade",
    "worst_trade",
    "trade_bars",
    "sqn",
    "kelly",
)
"""What `trade_statistics` gives.

win_rate        share of trades with a profit above 0
profit_factor   profits over losses
expectancy      mean profit
sqn             system quality number (Tharp): sqrt(trades) x mean over standard deviation (ddof 1) of profits
kelly           win rate less loss rate over payoff (average win over average loss): Kelly (1956)
trade_bars      mean bars held
"""


def no_trades(*shape: int) -> Floats:
    """The sums [len(TRADE_SUMS), *shape] of no trade at all."""
    sums = np.zeros((len(TRADE_SUMS), *shape))
    sums[TRADE_SUMS.index("best")], sums[TRADE_SUMS.index("worst")] = -np.inf, np.inf
    return sums


def trade_sums(profits: Floats, bars: Floats) -> Floats:
    """The sums [len(TRADE_SUMS)] of trades with `profits` [N], held for `bars` [N]."""
    if not len(profits):
        return no_trades()
    gained, lost = np.maximum(profits, 0.0).sum(), -np.minimum(profits, 0.0).sum()
    spread = (float(profits.max()), float(profits.min()))
    return np.array([len(profits), (profits > 0.0).sum(), gained, lost, (profits**2).sum(), bars.sum(), *spread])


def merge_trades(sums: Floats) -> Floats:
    """Sums [len(TRADE_SUMS), K, ...] of K sets of trades as those of all of them: the second axis is dropped."""
    joined = sums.sum(axis=1)
    for name, join in (("best", np.maximum), ("worst", np.minimum)):
        joined[TRADE_SUMS.index(name)] = join.reduce(sums[TRADE_SUMS.index(name)], axis=0)
    return joined


def trade_statistics(sums: Floats) -> dict[str, Floats]:
    """The statistics `TRADE_METRICS` of trades with `sums` [len(TRADE_SUMS), ...]; without trades all are 0."""
    closed, won, gained, lost, squares, bars, best, worst = sums
    mean = ratio(gained - lost, closed)
    variance = ratio(np.maximum(squares - closed * mean**2, 0.0), np.maximum(closed - 1.0, 0.0))
    win_rate = ratio(won, closed)
    average_win, average_loss = ratio(gained, won), ratio(lost, closed - won)
    payoff = ratio(average_win, average_loss)
    some = closed > 0.0
    return {
        "closed_trades": closed,
        "win_rate": win_rate,
        "profit_factor": ratio(gained, lost),
        "expectancy": mean,
        "average_win": average_win,
        "average_loss": average_loss,
        "best_trade": np.where(some, best, 0.0),
        "worst_trade": np.where(some, worst, 0.0),
        "trade_bars": ratio(bars, closed),
        "sqn": ratio(mean, np.sqrt(variance)) * np.sqrt(closed),
        "kelly": np.where(payoff > 0.0, win_rate - ratio(1.0 - win_rate, payoff), 0.0),
    }

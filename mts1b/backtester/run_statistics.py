"""Statistics of a single run: what an account statement and its list of trades say.

Ratios are built on the geometric mean of daily returns, as in the tables of backtesting.py, whose published example
they reproduce; the metrics of a sweep (`metrics_of`, the formulas of `mts1b.quantkit.metrics`) use the arithmetic
mean. Bars within a day are one return of that day. A year has 252 days, 365 when a bar falls on a Saturday or Sunday.
All are fractions (0.1 is 10 %) unless their name says otherwise; a ratio of nothing is 0.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mts1b.backtester.evaluation import RETURN_METRICS
from mts1b.backtester.event import Run
from mts1b.backtester.ledger import Trades
from mts1b.quantkit import metrics as formulas

Floats = NDArray[np.float64]

DAY_NS = 86_400 * 10**9
CALENDAR_YEAR_DAYS = 365.25


def statistics(run: Run) -> dict[str, float]:
    """The account's statistics, by name.

    equity_final, equity_peak      in money
    total_return
    annual_return                  (1 + g) ** D - 1, g the geometric mean daily return, D days a year
    annual_volatility              of the compounded daily return, v their variance (ddof 1):
                                   sqrt((v + (1 + g) ** 2) ** D - (1 + g) ** (2 D))
    cagr                           by calendar time, a year of 365.25 days; 0 within one day
    sharpe, sortino, calmar        annual return over annual volatility; over sqrt(mean of squared losses * D); over
                                   the deepest drawdown
    max_drawdown                   at most 0;  max_drawdown_days  the longest from a peak until it is reached again
    exposure                       share of bars with a position
    costs_paid, borrow_paid, interest_earned   in money
    and of the trades (see `trade_statistics`).
    """
    equity, days = run.equity, run.ts_ns // DAY_NS
    per_year = 365 if bool(np.isin((days + 3) % 7, (5, 6)).any()) else 252
    daily = equity[np.flatnonzero(np.append(np.diff(days) != 0, True))]
    returns = daily[1:] / daily[:-1] - 1.0 if bool((daily > 0.0).all()) else np.full(max(len(daily) - 1, 0), -1.0)
    growth = _geometric(returns)
    annual = _power(1.0 + growth, per_year) - 1.0
    spread = float(np.var(returns, ddof=1)) if len(returns) > 1 else 0.0
    squares = _power(spread + (1.0 + growth) ** 2, per_year) - _power(1.0 + growth, 2 * per_year)
    volatility = math.sqrt(max(squares, 0.0)) if squares == squares else math.inf
    losses = math.sqrt(float(np.mean(np.minimum(returns, 0.0) ** 2))) if len(returns) else 0.0
    fall = float((equity / np.maximum(np.maximum.accumulate(equity), math.ulp(0.0)) - 1.0).min())
    years = float(run.ts_ns[-1] - run.ts_ns[0]) / DAY_NS / CALENDAR_YEAR_DAYS
    worth = max(float(equity[-1] / equity[0]), 0.0) if equity[0] > 0.0 else 0.0
    return {
        "equity_final": float(equity[-1]),
        "equity_peak": float(equity.max()),
        "total_return": float(equity[-1] / run.account.capital) - 1.0,
        "annual_return": annual,
        "annual_volatility": volatility,
        "cagr": _power(worth, 1.0 / years) - 1.0 if years * CALENDAR_YEAR_DAYS >= 1.0 else 0.0,
        "sharpe": _over(annual, volatility),
        "sortino": _over(annual, losses * math.sqrt(per_year)),
        "calmar": _over(annual, -fall),
        "max_drawdown": fall,
        "max_drawdown_days": _longest_drawdown_days(equity, run.ts_ns),
        "exposure": float(run.in_market.mean()),
        "costs_paid": run.costs_paid,
        "borrow_paid": run.borrow_paid,
        "interest_earned": run.interest_earned,
        **trade_statistics(run.trades),
    }


def trade_statistics(trades: Trades) -> dict[str, float]:
    """Statistics of round trips, open ones included at their last price; all 0 without any.

    trades                       their number
    win_rate                     share with a profit
    best_trade, worst_trade, expectancy   of their returns: largest, smallest, mean
    profit_factor                sum of the returns above 0 over that of those below 0
    sqn                          system quality number (Tharp 2008): sqrt(N) * mean profit / its deviation, ddof 1
    kelly                        win rate - loss rate / (mean profit of winners over mean loss of losers) (Kelly 1956)
    """
    names = ("trades", "win_rate", "best_trade", "worst_trade", "profit_factor", "expectancy", "sqn", "kelly")
    count = len(trades)
    if not count:
        return dict.fromkeys(names, 0.0)
    returns, pnl = trades.returns, trades.pnl
    wins = float((pnl > 0.0).mean())
    deviation = float(pnl.std(ddof=1)) if count > 1 else 0.0
    profit, loss = (float(part.mean()) if len(part) else 0.0 for part in (pnl[pnl > 0.0], -pnl[pnl < 0.0]))
    found = (
        float(count),
        wins,
        float(returns.max()),
        float(returns.min()),
        _over(float(returns[returns > 0.0].sum()), -float(returns[returns < 0.0].sum())),
        float(returns.mean()),
        _over(math.sqrt(count) * float(pnl.mean()), deviation),
        wins - (1.0 - wins) * _over(loss, profit),
    )
    return dict(zip(names, found, strict=True))


def metrics_of(run: Run) -> dict[str, float]:
    """The metrics of a sweep's row (`mts1b.backtester.METRICS`), taken from this run's books."""
    names = {"skew": "skewness"}
    found = {name: float(getattr(formulas, names.get(name, name))(run.returns)) for name in RETURN_METRICS}
    return found | {
        "turnover": float(run.traded.mean() * formulas.BARS_PER_YEAR),
        "trades": float(run.changed.sum()),
        "exposure": float(run.gross.mean()),
        "costs": float(run.costs.sum()),
    }


def _power(base: float, exponent: float) -> float:
    """Power of a number that is not below 0; infinite where a float cannot hold it."""
    try:
        return base**exponent
    except OverflowError:
        return math.inf


def _geometric(returns: Floats) -> float:
    """Geometric mean return; -1 once all is lost."""
    if not len(returns):
        return 0.0
    return math.exp(float(np.log1p(returns).sum()) / len(returns)) - 1.0 if bool((returns > -1.0).all()) else -1.0


def _longest_drawdown_days(equity: Floats, ts_ns: NDArray[np.int64]) -> float:
    """Longest time between two peaks of equity (or the last peak and the end) that are not neighbours, in days."""
    peaks = np.unique(np.append(np.flatnonzero(equity >= np.maximum.accumulate(equity)), len(equity) - 1))
    apart = np.diff(peaks) > 1
    return float((np.diff(ts_ns[peaks])[apart] / DAY_NS).max(initial=0.0))


def _over(top: float, bottom: float) -> float:
    return top / bottom if bottom != 0.0 else 0.0

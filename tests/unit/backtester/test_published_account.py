"""The published example of backtesting.py: GOOG, 2004 to 2013, two moving averages, long and short, all in.

The table is read from the package (a `dev` dependency, AGPL); nothing of it is imported or shipped.
"""

from __future__ import annotations

import csv
import math
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from mts1b.backtester import Account, backtest, statistics
from mts1b.strategy import Panel, close, lag, latch, param, sma, strategy
from mts1b.strategy.panel import FIELDS

PUBLISHED = {
    "trades": 66,
    "equity_final": 51422.98999999996,
    "equity_peak": 75787.44,
    "total_return": 4.142298999999996,
    "annual_return": 0.21191099249053224,
    "annual_volatility": 0.3649716090702389,
    "cagr": 0.21160245705962623,
    "sharpe": 0.5806232244485349,
    "sortino": 1.0853434352488662,
    "calmar": 0.44166409202994605,
    "max_drawdown": -0.4798012705007589,
    "max_drawdown_days": 584,
    "exposure": 0.9674115456238361,
    "win_rate": 0.4696969696969697,
    "best_trade": 0.5359595229490424,
    "worst_trade": -0.1839887353835481,
    "profit_factor": 2.167945974262033,
    "expectancy": 0.032748078066748834,
    "sqn": 1.0766187356697705,
    "kelly": 0.1518705127029717,
}
"""From that package's own test, its percentages as fractions."""


@strategy
def turns(fast=param(2, 50, 10), slow=param(5, 100, 30)):
    """Long from a cross upward, short from a cross downward, out before the first one."""
    one, other = sma(close, fast), sma(close, slow)
    up = (lag(one, 1) < lag(other, 1)) & (one > other)
    down = (lag(one, 1) > lag(other, 1)) & (one < other)
    return latch(up, down) - latch(down, up)


def goog() -> Panel:
    spec = find_spec("backtesting")
    assert spec is not None and spec.origin is not None, "install requirements-dev.lock"
    with (Path(spec.origin).parent / "test" / "GOOG.csv").open() as file:
        _, *rows = csv.reader(file)
    values = np.array([[float(number) for number in row[1:]] for row in rows])
    fields = {name: np.ascontiguousarray(values[:, i : i + 1]) for i, name in enumerate(FIELDS[:5])}
    days = np.array([row[0] for row in rows], dtype="datetime64[ns]").astype(np.int64)
    return Panel(ts_ns=days, symbols=("GOOG",), **fields)


def test_every_published_statistic() -> None:
    account = Account(capital=10_000.0, band=math.inf, commission_bps=0.0, half_spread_bps=0.0)
    run = backtest(turns, {}, goog(), account)
    assert len(run.equity) == 2148
    found = statistics(run)
    assert {name: found[name] for name in PUBLISHED} == pytest.approx(PUBLISHED, rel=1e-8, abs=0.0)

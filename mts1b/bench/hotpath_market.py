"""A market in which every bar makes exactly one order, and the desk that trades it."""

from __future__ import annotations

# mypy: disable-error-code="no-untyped-def"
from dataclasses import dataclass

import numpy as np

from actors.desk import DeskPlan
from actors.feed import Closed
from actors.paper_session import OPENING_CASH, fresh_fund, paper_limits
from mts1b.foundation.clock import NS_PER_DAY, NS_PER_S, Clock
from mts1b.foundation.ids import Symbol
from mts1b.foundation.limits import CONTENT_WINDOW_S, ORDERS_IN_FLIGHT_MAX
from mts1b.marketdata.replay import Replay
from mts1b.strategy.definition import strategy
from mts1b.strategy.language import volume, where
from mts1b.strategy.panel import Panel
from mts1b.strategy.parameters import param

NAMES, HISTORY = 100, 260
PRICE, CALM, BUSY = 100.0, 1e6, 2e6
DAYS_BEFORE = 20_000


@strategy
def busy_names(level=param(1.0, 1e9, 1.5e6)):
    """Holds what trades more than `level` shares in the bar."""
    return where(volume > level, 1.0, 0.0)


def toggled_market(bars: int, per_bar: int, names: int = NAMES) -> Panel:
    """A random walk as history; from row HISTORY on prices stand still and in each bar the next `per_bar` names
    become busy, or calm again: as many targets change, and NAV does not."""
    rng = np.random.default_rng(11)
    walk = PRICE * np.exp(np.cumsum(rng.normal(0.0, 0.01, (HISTORY, names)), axis=0))
    close = np.vstack([np.round(walk, 2), np.full((bars, names), PRICE)])
    turns = np.zeros((HISTORY + bars, names))
    turned = np.arange(bars * per_bar)
    turns[HISTORY + turned // per_bar, turned % names] = 1.0
    is_busy = np.cumsum(turns, axis=0) % 2 == 1
    ts_ns = DAYS_BEFORE * NS_PER_DAY + np.arange(HISTORY + bars) * NS_PER_S
    symbols = tuple(f"N{number:03d}" for number in range(names))
    return Panel(ts_ns, symbols, close, close, close, close, np.where(is_busy, BUSY, CALM), "made up")


@dataclass(frozen=True, slots=True)
class Traded:
    """What is traded: the desk's plan, and the bars that each make one order, made before anything is timed."""

    plan: DeskPlan
    bars: tuple[Closed, ...]


def traded(bars: int, per_bar: int, clock: Clock) -> Traded:
    """A fresh fund over `bars` bars, with limits wide enough for what it does and all of them set."""
    panel = toggled_market(bars, per_bar)
    symbols = [Symbol(name) for name in panel.symbols]
    limits = paper_limits(symbols, OPENING_CASH).model_copy(update={"open_orders_max": 10 * NAMES})
    plan = DeskPlan(
        fresh_fund(clock),
        busy_names,
        {},
        panel,
        HISTORY,
        limits,
        OPENING_CASH,
        in_flight=ORDERS_IN_FLIGHT_MAX,
        content_window_s=CONTENT_WINDOW_S,
    )
    sessions = Replay(panel, HISTORY).sessions()
    return Traded(plan, tuple(Closed(bar.index, bar.ts_ns, 0, bar.closes, bar.rows) for bar in sessions))

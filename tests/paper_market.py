"""A small market and a desk's plan over it, shared by the tests of the paper session."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from actors.desk import DeskPlan
from actors.paper_session import paper_limits
from mts1b.foundation.clock import NS_PER_DAY
from mts1b.foundation.ids import FundId, Symbol
from mts1b.strategy.library import get_strategy
from mts1b.strategy.panel import Panel

FIRST, SESSIONS = 40, 12
VALUES = {"fast": 5, "slow": 20, "vol_window": 10}


def small_market(names: int = 8, bars: int = FIRST + SESSIONS, seed: int = 3) -> Panel:
    """A seeded random walk on the tick, its opens apart from its closes."""
    rng = np.random.default_rng(seed)
    closes = 50 * np.exp(np.cumsum(rng.normal(0.001, 0.02, (bars, names)), axis=0))
    opens = closes * np.exp(rng.normal(0, 0.005, (bars, names)))
    close, open_ = np.round(closes, 2), np.round(opens, 2)
    high, low = np.maximum(open_, close) + 0.01, np.minimum(open_, close) - 0.01
    ts_ns = (np.arange(bars) + 20_000) * NS_PER_DAY
    volume = np.full((bars, names), 1e6)
    return Panel(ts_ns, tuple(f"N{n}" for n in range(names)), open_, high, low, close, volume, "test")


def small_plan(fund: str, panel: Panel | None = None, cash: int = 1_000_000, in_flight: int = 1) -> DeskPlan:
    panel = small_market() if panel is None else panel
    limits = paper_limits([Symbol(name) for name in panel.symbols], Decimal(cash))
    loose = limits.model_copy(update={"notional_max": Decimal(cash), "name_to_nav_max": Decimal(1)})
    strategy = get_strategy("vol_target_cross")
    return DeskPlan(FundId(fund), strategy, VALUES, panel, FIRST, loose, Decimal(cash), in_flight)

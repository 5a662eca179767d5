"""The fund that is put through it: a seeded market over many names, traded session after session without a pause.

`begin` and `end` run in a process of their own: a driver of Ray dies with the head, and chaos must not.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from decimal import Decimal
from functools import partial
from pathlib import Path

import numpy as np

from actors.desk import DeskPlan
from actors.live_fund import begin, end
from actors.paper_session import paper_limits
from mts1b.config import load_settings
from mts1b.deploy.live import VenueCosts
from mts1b.foundation.clock import NS_PER_DAY, SystemClock
from mts1b.foundation.ids import FundId, Symbol
from mts1b.strategy.library import get_strategy
from mts1b.strategy.panel import Panel

NAMES, HISTORY, SESSIONS = 100, 60, 6_000
CASH = Decimal(10_000_000)
IN_FLIGHT = 8
COSTS = VenueCosts(Decimal(1), Decimal(2))


def market(seed: int, names: int = NAMES, bars: int = HISTORY + SESSIONS) -> Panel:
    """A random walk on the cent that reverts, so that prices stay in range; its opens apart from its closes."""
    rng = np.random.default_rng(seed)
    level = np.zeros((bars, names))
    for bar in range(1, bars):
        level[bar] = 0.98 * level[bar - 1] + rng.normal(0, 0.02, names)
    close = np.round(50 * np.exp(level), 2)
    open_ = np.round(close * np.exp(rng.normal(0, 0.003, (bars, names))), 2)
    high, low = np.maximum(open_, close) + 0.01, np.minimum(open_, close) - 0.01
    ts_ns = (np.arange(bars) + 10_000) * NS_PER_DAY
    symbols = tuple(f"N{number:03d}" for number in range(names))
    return Panel(ts_ns, symbols, open_, high, low, close, np.full((bars, names), 1e8), f"chaos-{seed}")


def plan(fund_id: FundId, seed: int) -> DeskPlan:
    """A strategy that has an order for most names at each session, under limits that stop none of them."""
    panel = market(seed)
    limits = paper_limits([Symbol(name) for name in panel.symbols], CASH)
    loose = limits.model_copy(
        update={
            "notional_max": CASH,
            "name_to_nav_max": Decimal(1),
            "day_drawdown_reduce": Decimal("0.9"),
            "day_drawdown_halt": Decimal("0.95"),
            "peak_drawdown_reduce": Decimal("0.9"),
            "peak_drawdown_halt": Decimal("0.95"),
        }
    )
    values = {"fast": 5, "slow": 20, "vol_window": 10}
    strategy = get_strategy("vol_target_cross")
    return DeskPlan(fund_id, strategy, values, panel, HISTORY, loose, CASH, in_flight=IN_FLIGHT)


def begin_here(data_dir: Path, fund_id: FundId, seed: int) -> None:
    """Have the fund trade on the stack of `data_dir`."""
    begin(load_settings(data_dir=data_dir), plan(fund_id, seed), COSTS, 0.0, SystemClock())


def end_here(data_dir: Path, fund_id: FundId) -> None:
    """End it; its journal and log stay."""
    end(load_settings(data_dir=data_dir), fund_id, SystemClock())


async def elsewhere(call: Callable[[], None]) -> None:
    """Run a call in a process of its own; its error is raised here."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        await asyncio.get_running_loop().run_in_executor(pool, call)


async def begin_fund(data_dir: Path, fund_id: FundId, seed: int) -> None:
    """`begin_here`, elsewhere."""
    await elsewhere(partial(begin_here, data_dir, fund_id, seed))


async def end_fund(data_dir: Path, fund_id: FundId) -> None:
    """`end_here`, elsewhere."""
    await elsewhere(partial(end_here, data_dir, fund_id))

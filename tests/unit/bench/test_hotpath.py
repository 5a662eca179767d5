"""The market of the hot path's benchmark makes the orders it says, and what was recorded before is taken off."""

from __future__ import annotations

import numpy as np

from actors.portfolio import Holdings, rebalance
from mts1b.bench.hotpath import since
from mts1b.bench.hotpath_market import HISTORY, NAMES, traded
from mts1b.foundation.clock import SystemClock
from mts1b.foundation.order import Side
from mts1b.platform.telemetry import Recorder


def test_each_bar_makes_the_orders_of_its_own_names() -> None:
    per_bar = 3
    market = traded(2 * NAMES, per_bar, SystemClock())
    plan, held = market.plan, dict.fromkeys(market.plan.symbols, 0)
    stepper = plan.strategy.stepper(plan.strategy.resolve({}), plan.panel.symbols)
    stepper.warm(plan.panel.rows(0, HISTORY))
    for row, bar in enumerate(market.bars):
        assert bar.index == HISTORY + row
        targets = stepper.step(*bar.rows).tolist()
        holdings = Holdings(plan.opening_cash, held)
        orders = rebalance(plan.mandate, plan.symbols, targets, bar.closes, holdings, bar.ts_ns)
        wanted = {plan.symbols[number % NAMES] for number in range(row * per_bar, (row + 1) * per_bar)}
        assert {order.symbol for order in orders} == wanted
        for order in orders:
            held[order.symbol] += int(order.quantity) * (1 if order.side is Side.BUY else -1)
    assert set(held.values()) <= {0, 100}


def test_only_what_came_in_between_is_left() -> None:
    before, after = Recorder(), Recorder()
    for recorder in (before, after):
        recorder.record("step", 1_000_000)
    for _ in range(3):
        after.record("step", 50)
    after.record("other", 7)
    left = since(before, after)
    assert left.steps["step"].count == 3 and left.steps["step"].percentile_ns(100) == 50
    assert left.steps["other"].count == 1 and after.steps["step"].count == 4
    assert np.isclose(left.steps["step"].total_ns, 150)

"""The whole order path in one process: the same workers as in the actors, on ports in memory."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from actors.desk import DeskPlan
from actors.feed import Closed
from actors.local import local_desk
from actors.paper_session import Extent, PaperResult, trade
from actors.strategy import Rebalanced, StrategyWorker
from mts1b.backtester import targets
from mts1b.brokers.paper.matching import Rules
from mts1b.foundation.clock import SystemClock
from mts1b.foundation.errors import InputError
from mts1b.foundation.fill import Fill
from mts1b.foundation.order import Side
from mts1b.strategy import Strategy, close, rank, sector, vwap, where
from mts1b.testing.bus import MemoryBus
from mts1b.testing.journal import MemoryJournal, MemoryStore
from mts1b.testing.venue import MemoryVenue
from tests.paper_market import FIRST, SESSIONS, VALUES, small_market, small_plan

EXTENT = Extent(FIRST, SESSIONS, 1)


def run(plan: DeskPlan, extent: Extent = EXTENT, rules: Rules | None = None) -> tuple[PaperResult, MemoryBus]:
    async def session() -> tuple[PaperResult, MemoryBus]:
        clock, store, bus = SystemClock(), MemoryStore(), MemoryBus()
        venue = MemoryVenue(clock, rules)
        desk = local_desk(plan, MemoryJournal(store, plan.fund_id), bus, venue, venue, clock)

        async def fills() -> list[Fill]:
            return list(store.fills.values())

        try:
            return await trade(desk, plan, extent, fills, clock), bus
        finally:
            await desk.oms.close()

    return asyncio.run(session())


def test_targets_are_the_backtests() -> None:
    plan = small_plan("fund")
    result, _ = run(plan)
    whole = targets(plan.strategy, VALUES, plan.panel)
    np.testing.assert_array_equal(result.targets, whole[FIRST : FIRST + SESSIONS - 1])
    assert result.decided_ns == tuple(plan.panel.ts_ns[FIRST : FIRST + SESSIONS - 1].tolist())


def test_without_costs_fills_are_at_the_opens() -> None:
    panel = small_market()
    result, bus = run(small_plan("fund", panel))
    rows = {int(ts_ns): row for row, ts_ns in enumerate(panel.ts_ns)}
    assert result.fills and result.orders_total == len(result.fills) == len(bus.published)
    for fill in result.fills:
        assert float(fill.price) == panel.open[rows[fill.ts_ns], panel.symbols.index(fill.symbol)]
        assert fill.fee == 0


def test_money_is_conserved() -> None:
    panel = small_market()
    result, _ = run(small_plan("fund", panel), rules=Rules(fee_bps=Decimal(2), slippage_bps=Decimal(5)))
    cash = Decimal(1_000_000) + sum(fill.cash_change for fill in result.fills)
    closes = dict(zip(panel.symbols, panel.close[-1], strict=True))
    worth = sum(fill.side.sign * fill.quantity * Decimal(repr(float(closes[fill.symbol]))) for fill in result.fills)
    assert result.nav[-1][1] == cash + worth
    assert sum(fill.fee for fill in result.fills) > 0


def story(result: PaperResult) -> tuple[object, ...]:
    fills = [(f.symbol, f.side, f.quantity, f.price, f.fee, f.ts_ns) for f in result.fills]
    return fills, result.nav, result.orders, result.refusals, result.targets.tolist()


def test_two_runs_and_more_in_flight_tell_one_story() -> None:
    first, _ = run(small_plan("one"))
    again, _ = run(small_plan("two"))
    wider, _ = run(small_plan("three", in_flight=8))
    assert story(first) == story(again) == story(wider)


def test_refusals_are_counted_by_gate() -> None:
    plan = small_plan("fund")
    tight = replace(plan, limits=plan.limits.model_copy(update={"quantity_max": Decimal(1500)}))
    result, _ = run(tight)
    assert result.refusals[3] == result.orders["denied"] > 0
    assert result.refusal_reasons == {"3:quantity": result.refusals[3]}
    assert all(fill.quantity <= 1500 for fill in result.fills)


def test_unset_limits_deny_everything() -> None:
    plan = small_plan("fund")
    result, _ = run(replace(plan, limits=type(plan.limits)()), Extent(FIRST, 3, 1))
    assert not result.fills and result.orders["denied"] == result.orders_total > 0
    assert result.refusals[1] == result.orders_total


def test_a_name_that_stops_trading_is_left_alone() -> None:
    panel = small_market()
    for field in ("open", "high", "low", "close", "volume"):
        getattr(panel, field)[FIRST + 4 : FIRST + 7, 2] = np.nan
    result, _ = run(small_plan("fund", panel))
    gone = {int(ts_ns) for ts_ns in panel.ts_ns[FIRST + 4 : FIRST + 7]}
    assert not [fill for fill in result.fills if fill.symbol == "N2" and fill.ts_ns in gone]
    assert sum(result.orders.values()) == len(result.fills) + result.orders["expired"]


def test_goes_on_until_there_are_enough_orders() -> None:
    result, _ = run(small_plan("fund"), Extent(FIRST, 2, 20))
    assert 2 < result.sessions < SESSIONS
    assert 20 <= result.orders_total < 20 + 8


def test_only_what_the_rows_before_allow() -> None:
    with pytest.raises(InputError, match="window longer than history"):
        replace(small_plan("fund"), values={"fast": 5, "slow": 50})
    with pytest.raises(InputError, match="sessions"):
        run(small_plan("fund"), Extent(FIRST, SESSIONS + 1, 1))
    with pytest.raises(InputError, match="in_flight"):
        small_plan("fund", in_flight=0)


def test_the_table_has_every_step_of_the_source() -> None:
    result, _ = run(small_plan("fund"))
    assert all(row.count for row in result.latency)
    assert [row.target_ms for row in result.latency] == [10, 5, 5, 1, 1, 2, 5, 2, 2, 20, 50, None]
    assert {fill.side for fill in result.fills} == set(Side)
    shown = result.to_json()
    assert shown["orders"] == {"total": result.orders_total, **result.orders}


def test_orders_are_counted_from_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A strategy that was restarted does not know what it handed over before."""
    whole, _ = run(small_plan("fund"))
    on_bar = StrategyWorker.on_bar

    async def forgetful(self: StrategyWorker, bar: Closed, trade: bool = True) -> Rebalanced:
        return replace(await on_bar(self, bar, trade), statuses={})

    monkeypatch.setattr(StrategyWorker, "on_bar", forgetful)
    result, _ = run(small_plan("fund"))
    assert result.orders == whole.orders
    assert result.orders["filled"] == len(result.fills) > 0
    shorter, _ = run(small_plan("fund"), Extent(FIRST, 2, 20))
    assert shorter.sessions < SESSIONS, "the stop rule counts them too"


def test_vwap_and_sectors_reach_the_strategy() -> None:
    """A strategy that reads both decides on paper what it decides in a backtest; without them it is refused."""
    bare = small_market()
    panel = replace(bare, vwap=np.round((bare.high + bare.low) / 2, 4) - 0.01, sectors=("A", "B") * 4)
    subject = Strategy("within sectors", {}, where(rank(close / vwap, sector) > 0.5, 1.0, 0.0))
    plan = replace(small_plan("fund", panel), strategy=subject, values={})
    result, _ = run(plan)
    whole = targets(subject, {}, panel)
    np.testing.assert_array_equal(result.targets, whole[FIRST : FIRST + SESSIONS - 1])
    assert 0 < whole[FIRST:].sum() < whole[FIRST:].size
    for lacking, remedy in ({"vwap": None}, "column vwap"), ({"sectors": ()}, "mts data sectors"):
        with pytest.raises(InputError, match=remedy):
            replace(plan, panel=replace(panel, **lacking))

"""Recovery in the middle of things, and what must not survive it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from mts1b.brokers.port import VenueOrderState
from mts1b.foundation.clock import NS_PER_S
from mts1b.foundation.commands import CancelOrder
from mts1b.foundation.errors import StackError, UnknownNameError
from mts1b.foundation.ids import ClientOrderId, FundId, Symbol
from mts1b.foundation.order import OrderStatus
from mts1b.oms.local_risk import LocalRisk
from mts1b.oms.service import Oms
from mts1b.testing.journal import MemoryJournal
from tests.unit.oms.desk import OPENING_CASH, Desk
from tests.unit.riskengine.books import FUND

S = OrderStatus


def run(case: Callable[[Desk], Awaitable[None]], **changes: object) -> None:
    async def whole() -> None:
        desk = Desk(**changes)
        await desk.start()
        await case(desk)
        desk.check()
        await desk.oms.close()

    asyncio.run(whole())


def test_commands_wait_until_the_venue_was_asked() -> None:
    async def case(desk: Desk) -> None:
        desk.venue.script = ["late", "lost"]
        doubtful = await desk.oms.submit(desk.command(1))
        assert doubtful.status is S.IN_DOUBT
        asked, answer = asyncio.Event(), asyncio.Event()
        query = desk.venue.query

        async def slow(client_order_id: ClientOrderId) -> VenueOrderState | None:
            asked.set()
            await answer.wait()
            return await query(client_order_id)

        desk.venue.query = slow  # type: ignore[method-assign]
        recovering = asyncio.create_task(desk.oms.recover())
        await asked.wait()
        with pytest.raises(StackError, match="not ready"):
            await desk.oms.submit(desk.command(2))
        with pytest.raises(StackError, match="not ready"):
            await desk.oms.cancel(CancelOrder(doubtful.order_id, "x"))
        answer.set()
        assert (await recovering).in_doubt == 0
        await desk.mark()
        assert (await desk.oms.submit(desk.command(2))).status is S.WORKING

    run(case)


@pytest.mark.parametrize("call", ["submit", "cancel", "query"])
def test_what_was_under_way_before_a_recovery_touches_nothing_after_it(call: str) -> None:
    """A slow answer comes after the journal was read again and the order has ended: it must not bring it back."""

    async def case(desk: Desk) -> None:
        before = await desk.oms.submit(desk.command(1)) if call == "cancel" else None
        asked, answer = asyncio.Event(), asyncio.Event()
        at_venue = getattr(desk.venue, call)

        async def slow(given: Any) -> Any:
            found = await at_venue(given)
            asked.set()
            await answer.wait()
            return found

        setattr(desk.venue, call, slow)
        desk.venue.script = ["late"] if call == "query" else []
        given_up = None if before is None else CancelOrder(before.order_id, "x")
        waiting = asyncio.create_task(desk.oms.cancel(given_up) if given_up else desk.oms.submit(desk.command(1)))
        await asked.wait()
        setattr(desk.venue, call, at_venue)
        await desk.oms.recover()
        await desk.trade()
        ended = dict(desk.store.orders)
        assert [order.status.is_terminal for order in ended.values()] == [True]
        await desk.oms.recover()
        answer.set()
        with pytest.raises(StackError, match="recovered meanwhile"):
            await waiting
        assert desk.store.orders == ended and not desk.oms.open_orders()
        await desk.mark()

    run(case)


def test_an_order_let_go_that_arrives_after_all_is_taken_back() -> None:
    async def case(desk: Desk) -> None:
        arriving = desk.command(1)
        desk.venue.script = ["lost", "lost"]
        order = await desk.oms.submit(arriving)
        waiting = await desk.oms.cancel(CancelOrder(order.order_id, "x"))
        assert waiting.status is S.PENDING_CANCEL, "it may still be under way"
        desk.clock.advance(10 * NS_PER_S)
        await desk.oms.settle()
        gone = desk.store.orders[order.order_id]
        assert gone.status is S.CANCELLED and desk.risk.state.name(Symbol("A")).is_idle
        await desk.exchange.submit(replace(order, send_by_ns=0))  # it was under way all the time
        desk.venue.script = ["lost", "lost"]
        await desk.oms.on_reports(desk.reports())
        assert [item.status for item in desk.oms.open_orders()] == [S.PENDING_CANCEL]
        assert desk.risk.state.name(Symbol("A")).buys == 100, "it may fill: risk counts it"
        assert desk.store.orders[order.order_id].venue_order_id is not None
        await desk.oms.recover()
        await desk.mark()
        assert not desk.oms.open_orders() and not desk.exchange.exchange.working
        await desk.oms.on_reports(desk.reports())
        await desk.trade()
        assert desk.oms.book.position(Symbol("A")).quantity == 0

    run(case)


def test_after_a_restart_the_fund_has_its_marks_again() -> None:
    async def case(desk: Desk) -> None:
        await desk.oms.submit(desk.command(1))
        await desk.trade()
        nav = desk.oms.nav()
        await desk.oms.close()
        desk.journal = MemoryJournal(desk.store, FUND)
        port = LocalRisk(desk.risk)
        desk.oms = Oms(FUND, desk.journal, port, desk.venue, desk.bus, desk.clock, OPENING_CASH, content_window_s=0.0)
        await desk.oms.recover()
        assert desk.oms.nav() == desk.risk.state.nav == nav
        assert (await desk.oms.submit(desk.command(2))).status is S.WORKING, "no new prices are needed"

    run(case)


def test_another_funds_order_is_not_ours_to_cancel() -> None:
    async def case(desk: Desk) -> None:
        order = await desk.oms.submit(desk.command(1))
        ours = desk.oms, desk.risk
        await desk.start(fund=FundId("other"))
        with pytest.raises(UnknownNameError):
            await desk.oms.cancel(CancelOrder(order.order_id, "x"))
        await desk.oms.close()
        desk.oms, desk.risk = ours
        assert [item.status for item in desk.oms.open_orders()] == [S.WORKING]

    run(case)

"""A journal that is an older copy: what it lost is at the venue, and comes back into the book."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from copy import copy, deepcopy
from decimal import Decimal

import pytest

from mts1b.audit.chain import Verified, verify
from mts1b.foundation.errors import VenueError
from mts1b.foundation.ids import Symbol
from mts1b.foundation.order import OrderStatus, Side
from mts1b.oms.adoption import ADOPTED
from mts1b.testing.journal import MemoryStore
from tests.unit.oms.desk import FUND, Desk

A, B = Symbol("A"), Symbol("B")


def run(case: Callable[[Desk], Awaitable[None]]) -> None:
    async def whole() -> None:
        desk = Desk()
        await desk.start()
        await case(desk)

    asyncio.run(whole())


def copied(store: MemoryStore) -> MemoryStore:
    """The store as a copy of it would be: nobody holds a lease in it any more."""
    held = copy(store)
    held.leases = {}
    return deepcopy(held)


async def lost(desk: Desk) -> None:
    """The journal is copied; then much happens; then only the copy is left."""
    await desk.oms.submit(desk.command(1))
    older = copied(desk.store)
    await desk.trade()  # fills the first, which the copy knows as working
    await desk.oms.submit(desk.command(2, 60, symbol="B"))
    await desk.trade()
    await desk.oms.submit(desk.command(3, 40, Side.SELL))  # still open
    await desk.oms.close()
    desk.store = older


def test_what_the_copy_lacks_comes_back() -> None:
    async def case(desk: Desk) -> None:
        await lost(desk)
        oms = await desk.start()
        await oms.on_reports(desk.reports())
        held = {item.symbol: item.quantity for item in oms.book.positions.values()}
        assert held == {A: 100, B: 60} and oms.book.cash == 1_000_000 - 1600
        assert desk.risk.state.cash == oms.book.cash and desk.risk.state.name(A).sells == 40
        taken_up = [order for order in desk.store.orders.values() if order.strategy_id == ADOPTED]
        assert [(order.symbol, order.status) for order in taken_up] == [
            (B, OrderStatus.FILLED),
            (A, OrderStatus.WORKING),
        ]
        assert [link.kind for link in desk.store.links].count("order_adopted") == oms.statistics()["adopted"] == 2
        desk.check()
        await desk.trade()
        assert oms.book.position(A).quantity == 60
        desk.check()
        assert isinstance(verify(desk.store.links, expected_head=desk.store.head), Verified)

    run(case)


def test_a_second_recovery_adopts_nothing_twice() -> None:
    async def case(desk: Desk) -> None:
        await lost(desk)
        oms = await desk.start()
        reports = desk.reports()
        await oms.on_reports(reports)
        await oms.close()
        again = await desk.start()
        await again.on_reports(reports)
        assert again.statistics().get("adopted", 0) == 0
        assert again.book.position(B).quantity == 60
        desk.check()

    run(case)


def test_a_venue_that_does_not_answer_is_asked_again() -> None:
    async def case(desk: Desk) -> None:
        await lost(desk)
        oms = await desk.start()
        desk.venue.script = ["lost"]
        with pytest.raises(VenueError):
            await oms.on_reports(desk.reports())
        await oms.on_reports(desk.reports())
        assert oms.book.cash == Decimal(1_000_000 - 1600) and oms.fund_id == FUND
        desk.check()

    run(case)

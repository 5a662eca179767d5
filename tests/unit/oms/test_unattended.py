"""A person's word about a fund that nobody trades outlives the silence; a halted one has what is open asked back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from mts1b.foundation.errors import InputError, LeaseLost
from mts1b.foundation.ids import FundId
from mts1b.foundation.order import OrderStatus
from mts1b.oms.unattended import Unattended, unattended
from mts1b.riskengine.verdict import Mode
from mts1b.testing.journal import MemoryJournal
from tests.unit.oms.desk import FUND, OPENING_CASH, Desk

S = OrderStatus


def run(case: Callable[[Desk], Awaitable[None]]) -> None:
    async def whole() -> None:
        desk = Desk()
        await desk.start()
        await case(desk)
        await desk.oms.close()

    asyncio.run(whole())


async def meanwhile(desk: Desk, word: Callable[[Unattended], Awaitable[object]]) -> None:
    """While no OMS runs."""
    await desk.oms.close()
    async with unattended(FUND, MemoryJournal(desk.store, FUND), desk.clock) as fund:
        await word(fund)


def test_the_next_start_asks_back_what_is_open_and_blocks() -> None:
    async def case(desk: Desk) -> None:
        order = await desk.oms.submit(desk.command(1))
        await meanwhile(desk, lambda fund: fund.halt(Mode.HALTED, "ann", "fire"))
        assert desk.store.orders[order.order_id].status is S.WORKING
        oms = await desk.start()
        await oms.on_reports(desk.reports())
        assert desk.store.orders[order.order_id].status is S.CANCELLED
        refused = await oms.submit(desk.command(2))
        assert (refused.status, refused.reason) == (S.DENIED, "gate 5: halted")
        assert any('"by":"ann"' in link.content and '"why":"fire"' in link.content for link in desk.store.links)
        await meanwhile(desk, lambda fund: fund.resume("ann", "out"))
        assert (await (await desk.start()).submit(desk.command(3))).status is S.WORKING

    run(case)


def test_a_fund_held_to_reducing_keeps_its_orders() -> None:
    async def case(desk: Desk) -> None:
        order = await desk.oms.submit(desk.command(1))
        await meanwhile(desk, lambda fund: fund.halt(Mode.REDUCING, "ann", ""))
        oms = await desk.start()
        await oms.on_reports(desk.reports())
        assert desk.store.orders[order.order_id].status is S.WORKING
        assert (await oms.submit(desk.command(2))).reason == "gate 5: reducing"

    run(case)


def test_a_re_arm_counts_drawdown_from_what_the_fund_is_worth_then() -> None:
    async def case(desk: Desk) -> None:
        await desk.oms.halt(Mode.HALTED, "ann", "")
        await meanwhile(desk, lambda fund: fund.rearm("ann", "looked"))
        oms = await desk.start()
        assert oms.standing.mode is Mode.ACTIVE
        assert desk.risk.statistics()["peak_nav"] == OPENING_CASH
        assert (await oms.submit(desk.command(1))).status is S.WORKING

    run(case)


def test_only_who_writes_the_fund_may_say_it() -> None:
    async def case(desk: Desk) -> None:
        with pytest.raises(LeaseLost):
            async with unattended(FUND, MemoryJournal(desk.store, FUND), desk.clock):
                pass
        with pytest.raises(InputError, match="never been opened"):
            async with unattended(FundId("other"), MemoryJournal(desk.store, FundId("other")), desk.clock):
                pass

    run(case)

"""Money without a trade: posted once, in the books of OMS and risk alike, whether an OMS runs or not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from mts1b.foundation.errors import InputError
from mts1b.foundation.events import CashKind, CashMoved
from mts1b.foundation.ids import FundId, Symbol
from mts1b.oms.unattended import unattended
from mts1b.testing.journal import MemoryJournal
from tests.unit.oms.desk import FUND, OPENING_CASH, Desk

FEE = CashMoved("m1", FUND, CashKind.BORROW_FEE, "USD", Decimal("-12.50"), "October", 5, Symbol("A"))


def run(case: Callable[[Desk], Awaitable[None]]) -> None:
    async def whole() -> None:
        desk = Desk()
        await desk.start()
        await case(desk)

    asyncio.run(whole())


def test_it_is_posted_once_in_every_book() -> None:
    async def case(desk: Desk) -> None:
        cash = await asyncio.gather(*(desk.oms.move_cash(FEE) for _ in range(3)))
        assert cash == [OPENING_CASH - Decimal("12.50")] * 3
        assert desk.oms.book.cash == desk.risk.state.cash == desk.oms.nav() == cash[0]
        assert [link.kind for link in desk.store.links].count("cash_moved") == 1
        await desk.oms.close()
        again = await desk.start()
        assert again.book.cash == desk.risk.state.cash == cash[0]
        assert await again.move_cash(FEE) == cash[0]
        with pytest.raises(InputError, match="already"):
            await again.move_cash(replace(FEE, amount=Decimal(-13)))
        await again.submit(desk.command(1))
        await desk.trade()
        assert desk.oms.book.cash == desk.risk.state.cash == cash[0] - 1000

    run(case)


def test_a_fund_without_an_oms_is_posted_to_in_its_journal() -> None:
    async def case(desk: Desk) -> None:
        await desk.oms.close()
        async with unattended(FUND, MemoryJournal(desk.store, FUND), desk.clock) as fund:
            assert await fund.move_cash(FEE) == await fund.move_cash(FEE) == OPENING_CASH - Decimal("12.50")
        assert (await desk.start()).book.cash == desk.risk.state.cash == OPENING_CASH - Decimal("12.50")

    run(case)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"amount": Decimal(0)}, "amount"),
        ({"amount": Decimal("NaN")}, "amount"),
        ({"kind": CashKind.DEPOSIT}, "amount"),
        ({"kind": CashKind.WITHDRAWAL, "amount": Decimal(1)}, "amount"),
        ({"kind": CashKind.CONVERSION}, "currency"),
        ({"currency": "EUR"}, "currency"),
        ({"move_id": ""}, "id"),
        ({"move_id": "a\nb"}, "id"),
    ],
)
def test_what_cannot_be_posted_is_named(changes: dict[str, Any], named: str) -> None:
    async def case(desk: Desk) -> None:
        with pytest.raises(InputError) as raised:
            await desk.oms.move_cash(replace(FEE, **changes))
        assert raised.value.field == named and desk.oms.book.cash == OPENING_CASH

    run(case)


def test_another_funds_money_is_not_taken() -> None:
    async def case(desk: Desk) -> None:
        with pytest.raises(InputError, match="fund_id='other'"):
            await desk.oms.move_cash(replace(FEE, fund_id=FundId("other")))

    run(case)

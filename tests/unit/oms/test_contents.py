"""The same order under another key is refused, for a moment."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from mts1b.foundation.clock import NS_PER_S
from mts1b.foundation.ids import IdempotencyKey
from mts1b.foundation.order import OrderStatus, Side
from mts1b.oms import contents
from mts1b.oms.contents import Contents, content_of
from tests.unit.oms.desk import Desk

S = OrderStatus
ONE, TWO = IdempotencyKey("k1"), IdempotencyKey("k2")


def run(case: Callable[[Desk], Awaitable[None]], **changes: object) -> None:
    async def whole() -> None:
        desk = Desk(content_window_s=2.0, **changes)
        await desk.start()
        await case(desk)
        desk.check()
        await desk.oms.close()

    asyncio.run(whole())


def test_what_makes_two_orders_alike() -> None:
    desk = Desk()
    asyncio.run(desk.start())
    order = desk.command(1)
    assert content_of(order) == content_of(desk.command(2)), "the key and the bar do not count"
    assert content_of(order) == content_of(replace(order, quantity=Decimal("100.0"), reference_price=Decimal("1E1")))
    others = [
        desk.command(1, quantity=101),
        desk.command(1, side=Side.SELL),
        desk.command(1, symbol="B"),
        replace(order, limit_price=Decimal(10)),
        replace(order, stop_price=Decimal(10)),
        replace(order, reference_price=Decimal(11)),
        replace(order, strategy_id="t"),  # type: ignore[arg-type]
        replace(order, fund_id="g"),  # type: ignore[arg-type]
    ]
    assert len({content_of(item) for item in (order, *others)}) == len(others) + 1


def test_the_same_again_is_refused_and_the_same_key_is_not() -> None:
    async def case(desk: Desk) -> None:
        first = await desk.oms.submit(desk.command(1))
        second = await desk.oms.submit(desk.command(2))
        assert second.status is S.DENIED and second.reason == "gate 1: duplicate_content"
        told = json.loads(desk.store.links[-1].content)
        assert ["like", "k1"] in told["numbers"] and ["window_ms", "2000"] in told["numbers"]
        assert (await desk.oms.submit(desk.command(1))).order_id == first.order_id
        assert (await desk.oms.submit(desk.command(3, quantity=50))).status is S.WORKING
        assert list(desk.store.orders) == [first.order_id, *list(desk.store.orders)[1:]]
        desk.clock.advance(2 * NS_PER_S)
        assert (await desk.oms.submit(desk.command(2))).status is S.WORKING, "after the window it is a new decision"

    run(case)


def test_two_at_once_make_one_order() -> None:
    async def case(desk: Desk) -> None:
        made = await asyncio.gather(*(desk.oms.submit(desk.command(number)) for number in range(8)))
        assert sorted(order.status for order in made) == [S.DENIED] * 7 + [S.WORKING]
        assert len(desk.exchange.exchange.orders) == 1 and desk.risk.state.open_orders == 1

    run(case)


def test_what_risk_refused_bars_nothing() -> None:
    async def case(desk: Desk) -> None:
        big = desk.command(1, quantity=200)
        assert (await desk.oms.submit(big)).status is S.DENIED
        again = await desk.oms.submit(replace(big, idempotency_key=IdempotencyKey("other")))
        assert again.reason == "gate 3: quantity"

    run(case, quantity_max="150")


def test_the_journal_bars_what_memory_has_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(desk: Desk) -> None:
        await desk.oms.submit(desk.command(1))
        desk.oms._admissions._contents = Contents(2 * NS_PER_S)
        second = await desk.oms.submit(desk.command(2))
        assert second.reason == "gate 1: duplicate_content" and len(desk.exchange.exchange.orders) == 1
        assert desk.risk.state.open_orders == 1, "what was accepted is no longer reserved"

    run(case)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "CONTENTS_IN_MEMORY_MAX", 3)
    held = Contents(100)
    for number in range(5):
        assert held.take(f"c{number}", ONE, 0) == 100
    assert [held.holder(f"c{number}", 50) for number in range(5)] == [None, None, ONE, ONE, ONE]
    assert held.holder("c4", 99) == ONE and held.holder("c4", 100) is None
    held.release("c4", TWO)
    assert held.holder("c4", 50) == ONE, "another's is not ours to release"
    held.release("c4", ONE)
    held.take("new", TWO, 200)
    assert held.holder("c4", 50) is held.holder("c3", 50) is None

"""Brackets and one-cancels-other: the rule as a table, and whole stories through the OMS, crashes included."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from mts1b.foundation.clock import NS_PER_DAY
from mts1b.foundation.commands import CancelOrder, ReplaceOrder, SubmitGroup, SubmitOrder
from mts1b.foundation.errors import InputError, MtsError
from mts1b.foundation.ids import IdempotencyKey, Symbol
from mts1b.foundation.order import Membership, Order, OrderStatus, OrderType, Role, Side, TimeInForce
from mts1b.oms.groups import problem, to_do
from mts1b.oms.messages import Release
from mts1b.testing.journal import MemoryJournal
from mts1b.testing.orders import make_order
from tests.unit.oms.desk import FUND, Desk
from tests.unit.oms.test_crash import DyingJournal

S = OrderStatus
A = Symbol("A")


def member(role: Role, status: OrderStatus, quantity: int, filled: int = 0, number: int = 1) -> Order:
    group = Membership("g", role, Decimal(100))
    return replace(
        make_order(number), status=status, quantity=Decimal(quantity), filled_quantity=Decimal(filled), group=group
    )


def entry(status: OrderStatus, filled: int = 0) -> Order:
    return member(Role.ENTRY, status, 100, filled, 1)


def leg(status: OrderStatus, quantity: int = 100, filled: int = 0, number: int = 2) -> Order:
    return member(Role.LEG, status, quantity, filled, number)


HELD = S.ACCEPTED
RULE: list[tuple[list[Order], list[tuple[int, str, int | None]]]] = [
    ([entry(S.WORKING), leg(HELD), leg(HELD, number=3)], []),
    ([entry(S.PARTIALLY_FILLED, 40), leg(HELD), leg(HELD, number=3)], [(1, "Release", 40), (2, "Release", 40)]),
    ([entry(S.PARTIALLY_FILLED, 60), leg(S.WORKING, 40)], [(1, "ReplaceOrder", 60)]),
    ([entry(S.PARTIALLY_FILLED, 60), leg(S.SUBMITTING, 40)], []),
    ([entry(S.PARTIALLY_FILLED, 60), leg(S.PENDING_REPLACE, 40)], []),
    ([entry(S.FILLED, 100), leg(S.WORKING, 100, 30), leg(S.WORKING, 100, number=3)], [(2, "ReplaceOrder", 70)]),
    ([entry(S.FILLED, 100), leg(S.FILLED, 100, 100), leg(S.WORKING, 70, number=3)], [(2, "CancelOrder", None)]),
    ([entry(S.FILLED, 100), leg(S.FILLED, 100, 100), leg(S.PENDING_CANCEL, 70, number=3)], []),
    ([entry(S.FILLED, 100), leg(S.FILLED, 100, 100), leg(HELD, number=3)], [(2, "CancelOrder", None)]),
    ([entry(S.CANCELLED), leg(HELD), leg(HELD, number=3)], [(1, "CancelOrder", None), (2, "CancelOrder", None)]),
    ([entry(S.CANCELLED, 40), leg(HELD), leg(S.WORKING, 40, number=3)], [(1, "Release", 40)]),
    ([entry(S.REJECTED), leg(S.CANCELLED)], []),
    ([leg(S.WORKING), leg(S.WORKING, number=3)], []),
    ([leg(S.PARTIALLY_FILLED, 100, 25), leg(S.WORKING, number=3)], [(1, "ReplaceOrder", 75)]),
    ([leg(S.PARTIALLY_FILLED, 100, 25), leg(S.FILLED, 75, 75, 3)], [(0, "CancelOrder", None)]),
    ([leg(S.FILLED, 100, 100), leg(S.WORKING, number=3)], [(1, "CancelOrder", None)]),
    ([leg(S.FILLED, 100, 100), leg(S.CANCELLED, number=3)], []),
    ([leg(S.FILLED, 100, 100), leg(S.FILLED, 100, 100, 3)], []),
]


@pytest.mark.parametrize(("members", "wanted"), RULE)
def test_the_rule(members: list[Order], wanted: list[tuple[int, str, int | None]]) -> None:
    found = []
    for order, message in to_do(members):
        number = message.quantity if isinstance(message, Release | ReplaceOrder) else None
        found.append((members.index(order), type(message).__name__, number))
    assert found == wanted


def buy(number: int, **changes: Any) -> SubmitOrder:
    values: dict[str, Any] = {"order_type": OrderType.MARKET, "time_in_force": TimeInForce.GTC}
    return replace(Desk.command(DESK, number), **values | changes)


class _Named:
    """What `Desk.command` reads of a desk."""

    class oms:  # noqa: N801
        fund_id = FUND


DESK: Any = _Named()


def stop(number: int, price: str = "9", quantity: int = 100, **changes: Any) -> SubmitOrder:
    return (
        buy(number, side=Side.SELL, quantity=Decimal(quantity), order_type=OrderType.STOP, stop_price=Decimal(price))
        if not changes
        else replace(stop(number, price, quantity), **changes)
    )


def profit(number: int, price: str = "12", quantity: int = 100) -> SubmitOrder:
    limit = {"order_type": OrderType.LIMIT, "limit_price": Decimal(price)}
    return buy(number, side=Side.SELL, quantity=Decimal(quantity), **limit)


def bracket(first: int = 1) -> SubmitGroup:
    return SubmitGroup(buy(first), (stop(first + 1), profit(first + 2)))


WRONG: list[tuple[SubmitGroup, str]] = [
    (SubmitGroup(buy(1), ()), "0 legs"),
    (SubmitGroup(None, (stop(2),)), "1 legs"),
    (SubmitGroup(buy(1), tuple(stop(number) for number in range(2, 9))), "7 legs"),
    (SubmitGroup(buy(1), (stop(2, symbol=Symbol("B")),)), "more than one fund, strategy or symbol"),
    (SubmitGroup(buy(1), (stop(2, quantity=99),)), "more than one quantity"),
    (SubmitGroup(buy(1), (stop(2, side=Side.BUY),)), "on the side of its entry"),
    (SubmitGroup(buy(1), (stop(2, time_in_force=TimeInForce.IOC),)), "cannot wait"),
    (SubmitGroup(buy(1), (stop(1),)), "one idempotency key twice"),
    (SubmitGroup(buy(1), (stop(2, side=["sell"]),)), "without a side"),
    (SubmitGroup(buy(1), (stop(2, idempotency_key=None),)), "without a side or a key"),
    (SubmitGroup(buy(1), [stop(2)]), "no orders"),  # type: ignore[arg-type]
    (SubmitGroup("x", (stop(2),)), "entry is no order"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("command", "said"), WRONG)
def test_what_is_no_group_is_refused_by_name(command: SubmitGroup, said: str) -> None:
    assert said in problem(command)

    async def case(desk: Desk) -> None:
        (order,) = await desk.oms.submit_group(command)
        assert order.status is S.DENIED and order.reason == "gate 2: malformed_group"
        assert not desk.store.orders and not desk.exchange.exchange.orders

    run(case)


def test_a_group_of_nothing_is_an_error() -> None:
    async def case(desk: Desk) -> None:
        with pytest.raises(InputError, match="group"):
            await desk.oms.submit_group(SubmitGroup(None, ()))

    run(case)


def run(case: Callable[[Desk], Awaitable[None]], **changes: object) -> None:
    async def whole() -> None:
        desk = Desk(**changes)  # type: ignore[arg-type]
        await desk.start()
        await case(desk)
        await follow(desk)
        desk.check()
        await desk.oms.close()

    asyncio.run(whole())


async def follow(desk: Desk) -> None:
    """Everything that the venue has reported, and what follows from it."""
    while True:
        reports = desk.reports()
        if reports:
            await desk.oms.on_reports(reports)
        await desk.oms._groups.settled()
        if not desk.reports():
            return


async def quote(desk: Desk, price: str) -> None:
    exchange = desk.exchange.exchange
    ts_ns = max(exchange.market_ns + 1, desk.session * NS_PER_DAY + 1)
    move = desk.exchange.quote if exchange.is_open else desk.exchange.open_session
    await move(ts_ns, {A: Decimal(price)})
    await follow(desk)


def statuses(desk: Desk) -> list[OrderStatus]:
    return [order.status for order in sorted(desk.store.orders.values(), key=lambda order: order.idempotency_key)]


def test_a_bracket_that_stops_out() -> None:
    async def case(desk: Desk) -> None:
        made = await desk.oms.submit_group(bracket())
        assert [order.status for order in made] == [S.WORKING, S.ACCEPTED, S.ACCEPTED]
        assert len(desk.exchange.exchange.orders) == 1, "legs are held here"
        assert desk.risk.state.name(A).sells == 0 and desk.oms.open_orders()[1].open_quantity == 0
        await quote(desk, "10")
        assert statuses(desk) == [S.FILLED, S.WORKING, S.WORKING]
        assert desk.risk.state.name(A).sells == 200, "either leg may fill"
        await quote(desk, "8.5")
        assert statuses(desk) == [S.FILLED, S.FILLED, S.CANCELLED]
        assert desk.oms.book.position(A).quantity == 0 and not desk.oms._steps.table.groups()

    run(case)


def test_a_bracket_that_takes_its_profit_after_a_better_price_was_asked() -> None:
    async def case(desk: Desk) -> None:
        made = await desk.oms.submit_group(bracket())
        moved = await desk.oms.replace(ReplaceOrder(made[2].order_id, "greed", limit_price=Decimal("13")))
        assert moved.status is S.ACCEPTED and moved.limit_price == 13
        with pytest.raises(InputError, match="follows its group"):
            await desk.oms.replace(ReplaceOrder(made[2].order_id, "more", quantity=Decimal(500)))
        await quote(desk, "10")
        await quote(desk, "12.5")
        assert statuses(desk) == [S.FILLED, S.WORKING, S.WORKING]
        await quote(desk, "13")
        assert statuses(desk) == [S.FILLED, S.CANCELLED, S.FILLED]

    run(case)


def test_an_entry_that_ends_without_a_fill_takes_its_legs_along() -> None:
    async def case(desk: Desk) -> None:
        made = await desk.oms.submit_group(bracket())
        await desk.oms.cancel(CancelOrder(made[0].order_id, "no longer wanted"))
        await desk.oms._groups.settled()
        assert statuses(desk) == [S.CANCELLED] * 3 and len(desk.exchange.exchange.orders) == 1

    run(case)


def test_legs_wait_for_the_last_word_about_their_entry() -> None:
    """The cancel's answer overtakes the fill that crossed it: legs that were let go then would protect nothing."""

    async def case(desk: Desk) -> None:
        made = await desk.oms.submit_group(bracket())
        fill_first = desk.exchange.cancel

        async def crossed(client_order_id: Any) -> Any:
            desk.exchange.exchange.rules = replace(desk.exchange.exchange.rules)
            answer = await fill_first(client_order_id)
            await desk.exchange.open_session(desk.session * NS_PER_DAY + 5, {A: Decimal(10)})
            return answer

        desk.exchange.cancel = crossed  # type: ignore[method-assign]
        desk.venue.script = ["ok", "lost"]
        await desk.oms.cancel(CancelOrder(made[0].order_id, "x"))
        await desk.oms._groups.settled()
        assert statuses(desk) == [S.CANCELLED, S.ACCEPTED, S.ACCEPTED], "the venue did not tell: they wait"
        await desk.oms.settle()
        await desk.oms._groups.settled()
        assert statuses(desk) == [S.CANCELLED] * 3

    run(case)


def test_one_cancels_other() -> None:
    async def case(desk: Desk) -> None:
        await desk.oms.submit(buy(9))
        await quote(desk, "10")
        command = SubmitGroup(None, (stop(1), profit(2)))
        made = await desk.oms.submit_group(command)
        assert [order.status for order in made] == [S.WORKING, S.WORKING]
        again = await desk.oms.submit_group(command)
        assert [order.order_id for order in again] == [order.order_id for order in made]
        await quote(desk, "12")
        assert statuses(desk) == [S.CANCELLED, S.FILLED, S.FILLED]
        assert desk.oms.book.position(A).quantity == 0

    run(case)


@pytest.mark.parametrize("changes", [{"quantity_max": "99"}, {"open_orders_max": 0}])
def test_a_group_is_refused_whole(changes: dict[str, Any]) -> None:
    async def case(desk: Desk) -> None:
        made = await desk.oms.submit_group(bracket())
        assert [order.status for order in made] == [S.DENIED] * 3 and not desk.exchange.exchange.orders
        assert desk.risk.state.open_orders == 0
        again = await desk.oms.submit_group(bracket())
        assert {order.order_id for order in again} == {order.order_id for order in made}

    run(case, **changes)


def test_a_refused_leg_refuses_the_entry() -> None:
    async def case(desk: Desk) -> None:
        odd = replace(bracket(), legs=(stop(2), profit(3, "12.005")))
        made = await desk.oms.submit_group(odd)
        assert all(order.reason == "gate 2: off_tick" for order in made) and not desk.store.orders
        assert desk.risk.state.name(A).is_idle and desk.risk.state.open_orders == 0

    run(case)


@pytest.mark.parametrize("before", [True, False])
def test_no_crash_loses_a_stop(before: bool) -> None:
    """The OMS dies at each commit of a bracket's story in turn; the next one protects what was bought."""

    async def story(desk: Desk) -> None:
        await desk.oms.submit_group(bracket())
        await quote(desk, "10")
        await desk.oms.settle()
        await follow(desk)
        assert statuses(desk) == [S.FILLED, S.WORKING, S.WORKING]
        desk.check()

    async def whole(at: int) -> bool:
        desk, died = Desk(), False
        try:
            await desk.start(DyingJournal(desk.store, at, before))
            await story(desk)
        except (MtsError, AssertionError):
            died = True
        if died:
            assert isinstance(desk.journal, MemoryJournal)
            desk.journal.crash()
            await desk.start()
            await follow(desk)
            await story(desk)
        if isinstance(desk.journal, DyingJournal):
            desk.journal.at = 10**9
        await quote(desk, "8")
        assert statuses(desk) == [S.FILLED, S.FILLED, S.CANCELLED]
        await desk.oms.close()
        return died

    points = 0
    while asyncio.run(whole(points + 1)):
        points += 1
    assert points >= 7


def test_the_key_of_a_group_bars_another_order() -> None:
    async def case(desk: Desk) -> None:
        made = await desk.oms.submit_group(bracket())
        alone = await desk.oms.submit(replace(buy(2), idempotency_key=IdempotencyKey("k2")))
        assert alone.order_id == made[1].order_id

    run(case)


def test_a_halt_while_a_group_is_judged_counts_for_the_whole_group() -> None:
    async def case(desk: Desk) -> None:
        risk = desk.oms._risk
        check = risk.check

        async def check_slowly(command: Any) -> Any:
            decision = await check(command)
            if getattr(command, "idempotency_key", "") == "k3":
                await desk.oms.halt()
            return decision

        risk.check = check_slowly  # type: ignore[method-assign]
        made = await desk.oms.submit_group(bracket())
        assert {order.status for order in made} == {S.DENIED}
        assert not desk.exchange.exchange.orders and desk.risk.state.name(A).buys == 0
        assert desk.risk.state.open_orders == 0

    run(case)

"""How often the venue is asked in one call, and what is left for the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal

import pytest

from mts1b.foundation.commands import CancelOrder
from mts1b.foundation.limits import RESENDS_MAX
from mts1b.foundation.order import OrderStatus
from mts1b.oms.messages import QueryVenue
from tests.unit.oms.desk import Desk

S = OrderStatus


def run(case: Callable[[Desk], Awaitable[None]], **changes: object) -> None:
    async def whole() -> None:
        desk = Desk(**changes)  # type: ignore[arg-type]
        await desk.start()
        await case(desk)
        desk.check()
        await desk.oms.close()

    asyncio.run(whole())


def calls(desk: Desk, name: str) -> int:
    return desk.venue.calls.count(name)


def test_an_order_that_never_arrives_is_sent_so_often_and_no_more() -> None:
    """A request without an answer counts one, and so does what a question leads to: three requests, two questions."""

    async def case(desk: Desk) -> None:
        desk.venue.script = ["lost", "ok"] * 20
        order = await desk.oms.submit(desk.command(1))
        assert order.status is S.IN_DOUBT
        assert (calls(desk, "submit"), calls(desk, "query")) == (3, 2)
        desk.venue.script = []
        assert await desk.oms.settle() == 0
        assert desk.oms.open_orders()[0].status is S.WORKING

    run(case)


def test_a_cancel_whose_answers_are_lost_is_asked_so_often_and_no_more() -> None:
    async def case(desk: Desk) -> None:
        order = await desk.oms.submit(desk.command(1))
        desk.venue.script = ["lost", "ok"] * 20
        order = await desk.oms.cancel(CancelOrder(order.order_id, "enough"))
        assert order.status is S.PENDING_CANCEL
        assert (calls(desk, "cancel"), calls(desk, "query")) == (3, 2)
        desk.venue.script = []
        await desk.oms.settle()
        assert not desk.oms.open_orders()

    run(case)


@pytest.mark.parametrize("asked", [0, RESENDS_MAX])
def test_a_question_is_asked_up_to_the_last_resend(asked: int) -> None:
    async def case(desk: Desk) -> None:
        order = await desk.oms.submit(desk.command(1))
        await desk.oms._dispatch.perform(order, (QueryVenue(),), asked)
        assert calls(desk, "query") == 1
        await desk.oms._dispatch.perform(order, (QueryVenue(),), RESENDS_MAX + 1)
        assert calls(desk, "query") == 1

    run(case)


def test_an_order_is_being_written_until_its_step_is_durable() -> None:
    async def case(desk: Desk) -> None:
        order = await desk.oms.submit(desk.command(1))
        steps = desk.oms._steps
        taken = steps.decide(order, CancelOrder(order.order_id, "enough"))
        waiting = steps.commit(taken)
        assert steps.is_writing(order)
        await waiting
        assert not steps.is_writing(order)
        await desk.oms.settle()

    run(case)


def test_refusals_of_both_kinds_are_counted() -> None:
    async def case(desk: Desk) -> None:
        for number, quantity in ((1, -5), (2, -5), (3, 999), (4, 100)):
            await desk.oms.submit(desk.command(number, quantity))
        assert await desk.oms.order_counts() == {"denied": 3, "working": 1}

    run(case, quantity_max=Decimal(500))


def test_what_has_no_content_is_refused_by_its_form() -> None:
    async def case(desk: Desk) -> None:
        for number, quantity in ((1, "sNaN"), (2, "x")):
            command = desk.command(number)
            broken = Decimal(quantity) if quantity == "sNaN" else quantity
            object.__setattr__(command, "quantity", broken)
            order = await desk.oms.submit(command)
            assert order.status is S.DENIED and order.reason.startswith("gate 2")

    run(case, content_window_s=60.0)

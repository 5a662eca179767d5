"""The OMS against a venue that answers, answers late, or does not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from mts1b.brokers.port import ReportKind
from mts1b.foundation.commands import CancelOrder
from mts1b.foundation.errors import InvariantBroken, LeaseLost, StackError, UnknownNameError
from mts1b.foundation.ids import FillId, FundId, IdempotencyKey, OrderId, Symbol
from mts1b.foundation.order import OrderStatus, Side
from mts1b.oms import order_table
from mts1b.oms.admission import STEPS
from mts1b.testing.journal import MemoryJournal
from tests.unit.oms.desk import OPENING_CASH, Desk

S = OrderStatus


def run(case: Callable[[Desk], Awaitable[None]], **changes: object) -> None:
    async def whole() -> None:
        desk = Desk(**changes)
        await desk.start()
        await case(desk)
        desk.check()
        await desk.oms.close()

    asyncio.run(whole())


def test_an_order_goes_out_fills_and_is_told() -> None:
    async def case(desk: Desk) -> None:
        order = await desk.oms.submit(desk.command(1))
        assert order.status is S.WORKING and order.venue_order_id is not None
        await desk.trade()
        done = await desk.oms.order(order.order_id)
        assert done is not None and done.status is S.FILLED and done.average_price == 10
        assert await desk.oms.drain() == 1
        assert [item.subject for item in desk.bus.published] == ["mts.v1.oms.fills.created"]
        told = json.loads(desk.bus.published[0].payload)
        assert (told["symbol"], told["quantity"], told["price"]) == ("A", "100", "10")
        assert desk.bus.published[0].message_id == told["fill_id"]
        assert desk.oms.nav() == OPENING_CASH - done.fees
        kinds = [link.kind for link in desk.store.links if link.subject_id == order.order_id]
        assert kinds == ["order_received", "order_accepted", "order_submitting", "order_working", "order_filled"]

    run(case)


def test_the_journal_comes_before_the_venue() -> None:
    async def case(desk: Desk) -> None:
        desk.store.fail_next = True
        with pytest.raises(StackError, match="commit failed"):
            await desk.oms.submit(desk.command(1))
        assert desk.venue.calls == []
        with pytest.raises(StackError, match="not ready"):
            await desk.oms.submit(desk.command(2))
        await desk.oms.recover()
        await desk.mark()
        assert (await desk.oms.submit(desk.command(1))).status is S.WORKING

    run(case)


def test_one_key_makes_one_order() -> None:
    async def case(desk: Desk) -> None:
        orders = await asyncio.gather(*(desk.oms.submit(desk.command(1)) for _ in range(10)))
        again = await desk.oms.submit(desk.command(1, quantity=200))
        assert {order.order_id for order in (*orders, again)} == {orders[0].order_id}
        assert desk.venue.calls == ["submit"] and desk.oms.statistics()["duplicates"] == 10

    run(case)


def test_a_key_is_free_after_its_window() -> None:
    async def case(desk: Desk) -> None:
        first = await desk.oms.submit(desk.command(1))
        desk.clock.advance(86_400 * 10**9)
        second = await desk.oms.submit(desk.command(1))
        assert first.order_id != second.order_id
        desk.store.orders[first.order_id] = replace(first, idempotency_key=IdempotencyKey("old"))  # for desk.check

    run(case)


def test_a_refused_order_is_on_record_and_stays_here() -> None:
    async def case(desk: Desk) -> None:
        order = await desk.oms.submit(desk.command(1))
        assert order.status is S.DENIED and order.reason == "gate 3: quantity"
        assert desk.venue.calls == [] and desk.store.orders[order.order_id].status is S.DENIED
        denied = json.loads(desk.store.links[-1].content)
        assert (denied["gate"], denied["reason"]) == (3, "quantity")
        assert ["quantity_max", "99"] in denied["numbers"]
        assert (await desk.oms.submit(desk.command(1))).order_id == order.order_id

    run(case, quantity_max="99")


def test_what_is_no_order_leaves_a_refusal_only() -> None:
    async def case(desk: Desk) -> None:
        for bad in ({"quantity": Decimal("-1")}, {"symbol": None}, {"idempotency_key": None}, {"side": "x"}):
            order = await desk.oms.submit(replace(desk.command(1), **bad))
            assert order.status is S.DENIED
            assert desk.store.links[-1].kind == "order_denied"
        assert desk.store.orders == {} and not desk.oms.open_orders()
        assert (await desk.oms.submit(desk.command(1))).status is S.WORKING

    run(case)


LOST: list[tuple[list[str], OrderStatus, list[str]]] = [
    (["late"], S.WORKING, ["submit", "query"]),
    (["lost"], S.WORKING, ["submit", "query", "submit"]),
    (["lost", "lost"], S.IN_DOUBT, ["submit", "query"]),
    (["late", "late"], S.IN_DOUBT, ["submit", "query"]),
    (["lost", "ok", "lost", "ok", "lost"], S.IN_DOUBT, ["submit", "query", "submit", "query", "submit"]),
    (["lost", "ok", "late", "ok"], S.WORKING, ["submit", "query", "submit", "query"]),
]


@pytest.mark.parametrize(("script", "status", "calls"), LOST)
def test_no_answer_is_asked_about_before_anything_else(
    script: list[str], status: OrderStatus, calls: list[str]
) -> None:
    async def case(desk: Desk) -> None:
        desk.venue.script = list(script)
        order = await desk.oms.submit(desk.command(1))
        assert order.status is status
        assert desk.venue.calls[: len(calls)] == calls
        desk.venue.script = []
        assert await desk.oms.reconcile() == 0
        assert [item.status for item in desk.oms.open_orders()] == [S.WORKING]
        await desk.trade()
        assert desk.oms.book.position(Symbol("A")).quantity == 100
        assert len(desk.exchange.exchange.orders) == 1

    run(case)


def test_a_venue_that_stays_away_does_not_hold_the_caller_for_ever() -> None:
    async def case(desk: Desk) -> None:
        desk.venue.script = ["lost", "ok"] * 20
        order = await desk.oms.submit(desk.command(1))
        assert order.status in (S.IN_DOUBT, S.SUBMITTING) and len(desk.venue.calls) < 12

    run(case)


def test_the_venues_rejection_ends_the_order() -> None:
    async def case(desk: Desk) -> None:
        desk.exchange.exchange.rules = replace(desk.exchange.exchange.rules)
        order = await desk.oms.submit(replace(desk.command(1)))
        assert order.status is S.WORKING
        report = replace(
            desk.exchange.exchange.reports[0],
            sequence=2,
            kind=ReportKind.REJECT,
            reason="no\x00 such\nthing" + "x" * 999,
        )
        done = await desk.oms.on_report(report)
        assert done is not None and done.status is S.REJECTED and done.reason.startswith("no  such thing")
        assert len(done.reason) <= 300
        assert desk.risk.state.name(Symbol("A")).is_idle

    run(case)


def test_fills_may_overtake_the_acknowledgement() -> None:
    async def case(desk: Desk) -> None:
        desk.venue.script = ["late", "lost"]
        await desk.oms.submit(desk.command(1))
        await desk.trade()
        assert desk.oms.book.position(Symbol("A")).quantity == 100
        assert await desk.oms.reconcile() == 0 and not desk.oms.open_orders()

    run(case)


def test_reports_that_come_twice_change_nothing() -> None:
    async def case(desk: Desk) -> None:
        await desk.oms.submit(desk.command(1))
        await desk.trade()
        book, links = desk.oms.book, len(desk.store.links)
        await desk.oms.on_reports(desk.exchange.exchange.reports)
        assert desk.oms.book == book and len(desk.store.links) == links

    run(case)


def test_an_impossible_report_stops_the_oms() -> None:
    async def case(desk: Desk) -> None:
        await desk.oms.submit(desk.command(1))
        await desk.trade()
        fill = next(report for report in desk.exchange.exchange.reports if report.kind is ReportKind.FILL)
        with pytest.raises(InvariantBroken, match="over-fills"):
            await desk.oms.on_report(replace(fill, sequence=99, fill_id=FillId("again")))
        with pytest.raises(StackError, match="not ready"):
            await desk.mark()
        await desk.start(MemoryJournalTakingOver(desk))

    run(case)


class MemoryJournalTakingOver(MemoryJournal):
    """A new process's journal, after the old one was killed."""

    def __init__(self, desk: Desk) -> None:
        assert isinstance(desk.journal, MemoryJournal)
        desk.journal.crash()
        super().__init__(desk.store, desk.oms.fund_id)


def test_foreign_reports_are_counted_and_left_alone() -> None:
    async def case(desk: Desk) -> None:
        await desk.oms.submit(desk.command(1))
        report = replace(desk.exchange.exchange.reports[0], sequence=2, client_order_id="m-other")  # type: ignore[arg-type]
        assert await desk.oms.on_report(report) is None
        assert desk.oms.statistics()["foreign_reports"] == 1

    run(case)


def test_cancel_takes_back_what_has_not_filled() -> None:
    async def case(desk: Desk) -> None:
        order = await desk.oms.submit(desk.command(1))
        done = await desk.oms.cancel(CancelOrder(order.order_id, "no longer wanted"))
        assert done.status is S.CANCELLED
        await desk.trade()
        assert desk.oms.book.position(Symbol("A")).quantity == 0
        assert (await desk.oms.cancel(CancelOrder(order.order_id, "again"))).status is S.CANCELLED
        with pytest.raises(UnknownNameError):
            await desk.oms.cancel(CancelOrder(OrderId("nobody"), "x"))

    run(case)


@pytest.mark.parametrize("script", [["lost"], ["late"], ["lost", "lost"]])
def test_a_cancel_without_an_answer_is_settled(script: list[str]) -> None:
    async def case(desk: Desk) -> None:
        order = await desk.oms.submit(desk.command(1))
        desk.venue.script = list(script)
        await desk.oms.cancel(CancelOrder(order.order_id, "x"))
        desk.venue.script = []
        await desk.oms.reconcile()
        await desk.oms.on_reports(desk.reports())
        found = await desk.oms.order(order.order_id)
        assert found is not None and found.status is S.CANCELLED

    run(case)


def test_a_cancel_that_crosses_the_fill_keeps_the_fill() -> None:
    async def case(desk: Desk) -> None:
        order = await desk.oms.submit(desk.command(1))
        desk.session += 1
        await desk.exchange.open_session(desk.session * 86_400 * 10**9, {Symbol("A"): Decimal(10)})
        done = await desk.oms.cancel(CancelOrder(order.order_id, "too late"))
        assert done.status is S.FILLED
        await desk.oms.on_reports(desk.reports())
        assert desk.oms.book.position(Symbol("A")).quantity == 100

    run(case)


def test_a_cancel_of_an_order_on_its_way_waits_for_it() -> None:
    async def case(desk: Desk) -> None:
        sending = asyncio.create_task(desk.oms.submit(desk.command(1)))
        while not desk.oms.open_orders():  # noqa: ASYNC110 a few turns of the loop
            await asyncio.sleep(0)
        done = await desk.oms.cancel(CancelOrder(desk.oms.open_orders()[0].order_id, "x"))
        assert (await sending).status is S.WORKING and done.status is S.CANCELLED
        assert not desk.exchange.exchange.working

    run(case)


def test_a_silent_bus_delays_nothing_and_loses_nothing() -> None:
    async def case(desk: Desk) -> None:
        desk.bus.is_down = True
        for number in range(5):
            await desk.oms.submit(desk.command(number))
        await desk.trade()
        assert desk.bus.published == [] and len(desk.store.outbox) == 5
        desk.bus.is_down = False
        await desk.oms.drain()
        assert len(desk.bus.published) == 5 and not desk.store.outbox

    run(case)


def test_another_writers_key_bars_ours() -> None:
    async def case(desk: Desk) -> None:
        first = await desk.oms.submit(desk.command(1))
        ours = desk.oms, desk.risk
        await desk.start(fund=FundId("other"))
        order = await desk.oms.submit(desk.command(1))
        assert order.order_id == first.order_id and desk.venue.calls == ["submit"]
        assert desk.risk.state.name(Symbol("A")).buys == 0
        await desk.oms.close()
        desk.oms, desk.risk = ours

    run(case)


def test_a_second_oms_is_refused() -> None:
    async def case(desk: Desk) -> None:
        with pytest.raises(LeaseLost):
            await Desk.start(desk, MemoryJournal(desk.store, desk.oms.fund_id))

    async def whole() -> None:
        desk = Desk()
        await desk.start()
        await case(desk)

    asyncio.run(whole())


def test_memory_is_bounded_and_old_orders_are_still_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_table, "ORDERS_ENDED_IN_MEMORY_MAX", 3)
    monkeypatch.setattr(order_table, "DEDUP_KEYS_IN_MEMORY_MAX", 4)

    async def case(desk: Desk) -> None:
        orders = [await desk.oms.submit(desk.command(number)) for number in range(10)]
        await desk.trade()
        assert len(desk.oms._steps.table) == 3
        first = await desk.oms.order(orders[0].order_id)
        assert first is not None and first.status is S.FILLED
        assert (await desk.oms.submit(desk.command(0))).order_id == orders[0].order_id
        assert len(desk.exchange.exchange.orders) == 10
        book = desk.oms.book
        await desk.oms.on_reports(desk.exchange.exchange.reports)
        assert desk.oms.book == book

    run(case)


def test_every_step_is_timed() -> None:
    class Names(list[str]):
        def record(self, step: str, ns: int) -> None:
            assert ns >= 0
            self.append(step)

    async def case(desk: Desk) -> None:
        names = Names()
        desk.oms._admissions._recorder = desk.oms._dispatch._recorder = desk.oms._steps._recorder = names
        await desk.oms.submit(desk.command(1, side=Side.BUY))
        assert set(names) == set(STEPS) - {"risk_gate_7"}

    run(case)


@pytest.mark.parametrize("turns", range(0, 14))
def test_risk_may_be_restored_while_orders_and_fills_are_in_flight(turns: int) -> None:
    async def case(desk: Desk) -> None:
        for number in range(3):
            await desk.oms.submit(desk.command(number))
        desk.session += 1
        await desk.exchange.open_session(desk.session * 86_400 * 10**9, {Symbol("A"): Decimal(10)})
        following = asyncio.create_task(desk.oms.on_reports(desk.reports()))
        await asyncio.sleep(0)
        sending = [asyncio.create_task(desk.oms.submit(desk.command(number))) for number in range(3, 6)]
        for _ in range(turns):
            await asyncio.sleep(0)
        await desk.oms.restore_risk()
        await asyncio.gather(following, *sending)
        assert desk.risk.state.peak_nav == OPENING_CASH

    run(case)


def test_nothing_works_before_recovery() -> None:
    async def whole() -> None:
        desk = Desk()
        await desk.start()
        await desk.oms.close()
        with pytest.raises(StackError, match="not ready"):
            await desk.oms.submit(desk.command(1))

    asyncio.run(whole())

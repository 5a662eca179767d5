"""What every adapter of the broker port does. A venue under test is a broker whose market the test can move.

@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_conformance(case):
    asyncio.run(with_my_venue(case))
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Protocol

from mts1b.brokers.port import Broker, ReportKind, VenueAck, VenueReject, VenueReport, VenueStatus
from mts1b.foundation.errors import VenueError
from mts1b.foundation.ids import ClientOrderId, Symbol
from mts1b.foundation.order import OrderType, Side, Terms, TimeInForce
from mts1b.testing.orders import make_order

DAY_NS = 86_400 * 1_000_000_000
WAIT_S = 10.0
PRICES = {Symbol("AAPL"): Decimal("101.25"), Symbol("MSFT"): Decimal("55.5")}


class Market(Protocol):
    """Moves the prices of the venue under test; each call returns the venue's last report sequence."""

    async def open_session(self, ts_ns: int, prices: Mapping[Symbol, Decimal]) -> int: ...

    async def quote(self, ts_ns: int, prices: Mapping[Symbol, Decimal]) -> int: ...

    async def close_session(self, ts_ns: int) -> int: ...


@dataclass(frozen=True, slots=True)
class Venue:
    """A fresh venue without fees or slippage, closed, with no orders."""

    broker: Broker
    market: Market


Case = Callable[[Venue], Awaitable[None]]


async def take(broker: Broker, count: int, after: int = 0) -> list[VenueReport]:
    """The next `count` reports above `after`. TimeoutError when they do not come."""
    taken: list[VenueReport] = []
    async with asyncio.timeout(WAIT_S):
        async for report in broker.reports(after):
            taken.append(report)
            if len(taken) == count:
                break
    return taken


def kinds(reports: Sequence[VenueReport]) -> list[ReportKind]:
    return [report.kind for report in reports]


async def an_order_for_the_opening_fills_there(venue: Venue) -> None:
    order = make_order(1)
    ack = await venue.broker.submit(order)
    assert isinstance(ack, VenueAck) and ack.client_order_id == order.client_order_id
    last = await venue.market.open_session(DAY_NS, PRICES)
    reports = await take(venue.broker, 2)
    assert kinds(reports) == [ReportKind.ACK, ReportKind.FILL] and last == reports[-1].sequence == 2
    fill = reports[1]
    assert (fill.price, fill.quantity, fill.fee) == (Decimal("101.25"), order.quantity, Decimal(0))
    assert fill.ts_ns == DAY_NS and fill.fill_id and fill.venue_order_id == ack.venue_order_id


async def a_resend_changes_nothing(venue: Venue) -> None:
    order = make_order(1)
    first = await venue.broker.submit(order)
    again = await asyncio.gather(*(venue.broker.submit(order) for _ in range(4)))
    assert all(answer == first for answer in again)
    await venue.market.open_session(DAY_NS, PRICES)
    assert await venue.broker.submit(order) == first
    state = await venue.broker.query(order.client_order_id)
    assert state is not None and state.filled_quantity == order.quantity and len(state.reports) == 2
    assert (state.symbol, state.side) == (order.symbol, order.side)


async def an_id_names_one_order(venue: Venue) -> None:
    order = make_order(1)
    await venue.broker.submit(order)
    try:
        await venue.broker.submit(replace(order, quantity=Decimal(7)))
    except VenueError:
        return
    raise AssertionError("a second order under the same id was taken")


async def an_unknown_order_is_none(venue: Venue) -> None:
    assert await venue.broker.query(ClientOrderId("m-unheard-of")) is None
    assert isinstance(await venue.broker.cancel(ClientOrderId("m-unheard-of")), VenueReject)


async def a_bad_order_is_rejected_for_good(venue: Venue) -> None:
    order = make_order(1, quantity=Decimal("0.5"))
    answer = await venue.broker.submit(order)
    assert isinstance(answer, VenueReject) and "lot" in answer.reason
    assert await venue.broker.submit(order) == answer
    state = await venue.broker.query(order.client_order_id)
    assert state is not None and state.status is VenueStatus.REJECTED


async def a_cancelled_order_does_not_fill(venue: Venue) -> None:
    order = make_order(1)
    await venue.broker.submit(order)
    assert isinstance(await venue.broker.cancel(order.client_order_id), VenueAck)
    assert isinstance(await venue.broker.cancel(order.client_order_id), VenueReject)
    await venue.market.open_session(DAY_NS, PRICES)
    assert kinds(await take(venue.broker, 2)) == [ReportKind.ACK, ReportKind.CANCEL]
    state = await venue.broker.query(order.client_order_id)
    assert state is not None and state.status is VenueStatus.CANCELLED and state.filled_quantity == 0


async def a_filled_order_cannot_be_cancelled(venue: Venue) -> None:
    order = make_order(1)
    await venue.broker.submit(order)
    await venue.market.open_session(DAY_NS, PRICES)
    answer = await venue.broker.cancel(order.client_order_id)
    assert isinstance(answer, VenueReject) and "filled" in answer.reason


async def a_name_without_a_price_expires(venue: Venue) -> None:
    await venue.broker.submit(make_order(1, symbol=Symbol("GONE")))
    await venue.market.open_session(DAY_NS, PRICES)
    assert kinds(await take(venue.broker, 2)) == [ReportKind.ACK, ReportKind.EXPIRE]


async def a_limit_order_waits_for_its_price(venue: Venue) -> None:
    order = make_order(
        1, order_type=OrderType.LIMIT, time_in_force=TimeInForce.DAY, side=Side.SELL, limit_price=Decimal("102")
    )
    other = replace(order, client_order_id=ClientOrderId("m-other"), limit_price=Decimal("120"))
    await venue.broker.submit(order)
    await venue.broker.submit(other)
    await venue.market.open_session(DAY_NS, PRICES)
    await venue.market.quote(DAY_NS + 1, {Symbol("AAPL"): Decimal("103")})
    await venue.market.close_session(DAY_NS + 2)
    reports = await take(venue.broker, 4)
    assert kinds(reports[2:]) == [ReportKind.FILL, ReportKind.EXPIRE]
    assert reports[2].client_order_id == order.client_order_id and reports[2].price == Decimal("103")


async def a_stop_sleeps_until_its_price(venue: Venue) -> None:
    falling = make_order(
        1, order_type=OrderType.STOP, time_in_force=TimeInForce.GTC, side=Side.SELL, stop_price=Decimal("99")
    )
    limited = make_order(
        2, order_type=OrderType.STOP_LIMIT, time_in_force=TimeInForce.GTC, side=Side.SELL,
        stop_price=Decimal("100"), limit_price=Decimal("99.5"),
    )  # fmt: skip
    await venue.broker.submit(falling)
    await venue.broker.submit(limited)
    await venue.market.open_session(DAY_NS, PRICES)
    assert kinds(await take(venue.broker, 2)) == [ReportKind.ACK] * 2, "101.25 is above both"
    await venue.market.quote(DAY_NS + 1, {Symbol("AAPL"): Decimal("98.5")})
    (filled,) = await take(venue.broker, 1, after=2)
    assert (filled.client_order_id, filled.price) == (falling.client_order_id, Decimal("98.5"))
    await venue.market.quote(DAY_NS + 2, {Symbol("AAPL"): Decimal("101")})
    (late,) = await take(venue.broker, 1, after=3)
    assert (late.client_order_id, late.price) == (limited.client_order_id, Decimal("101")), "awake, it is a limit order"


async def at_once_or_not_at_all(venue: Venue) -> None:
    await venue.market.open_session(DAY_NS, PRICES)
    limit = {"order_type": OrderType.LIMIT, "time_in_force": TimeInForce.FOK}
    await venue.broker.submit(make_order(1, **limit, limit_price=Decimal("101")))
    await venue.broker.submit(make_order(2, **limit, limit_price=Decimal("102")))
    found = kinds(await take(venue.broker, 4))
    assert found == [ReportKind.ACK, ReportKind.EXPIRE, ReportKind.ACK, ReportKind.FILL]


async def an_order_until_a_time_ends_then(venue: Venue) -> None:
    limit = {"order_type": OrderType.LIMIT, "time_in_force": TimeInForce.GTD, "limit_price": Decimal("90")}
    order = make_order(1, **limit, good_till_ns=DAY_NS + 10)
    await venue.broker.submit(order)
    await venue.market.open_session(DAY_NS, PRICES)
    await venue.market.quote(DAY_NS + 9, {Symbol("AAPL"): Decimal("95")})
    await venue.market.close_session(DAY_NS + 9)
    state = await venue.broker.query(order.client_order_id)
    assert state is not None and state.status is VenueStatus.WORKING
    await venue.market.open_session(DAY_NS + 10, {Symbol("AAPL"): Decimal("80")})
    assert kinds(await take(venue.broker, 2)) == [ReportKind.ACK, ReportKind.EXPIRE]


async def other_terms_are_taken_once_and_in_order(venue: Venue) -> None:
    limit = {"order_type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC, "limit_price": Decimal("90")}
    order = make_order(1, **limit)
    await venue.broker.submit(order)
    await venue.market.open_session(DAY_NS, PRICES)
    second = replace(order, wanted=Terms(2, Decimal(60), Decimal("91")))
    assert isinstance(await venue.broker.replace(second), VenueAck)
    assert isinstance(await venue.broker.replace(second), VenueAck), "a resend answers as the first did"
    late = replace(order, wanted=Terms(1, Decimal(500), Decimal("200")))
    assert isinstance(await venue.broker.replace(late), VenueReject), "an older revision comes too late"
    (said,) = await take(venue.broker, 1, after=1)
    assert said.kind is ReportKind.REPLACE and said.terms == second.wanted
    await venue.market.quote(DAY_NS + 1, {Symbol("AAPL"): Decimal("90.5")})
    (filled,) = await take(venue.broker, 1, after=2)
    assert (filled.kind, filled.quantity, filled.price) == (ReportKind.FILL, Decimal(60), Decimal("90.5"))
    ended = await venue.broker.replace(replace(order, wanted=Terms(3, Decimal(70), Decimal("91"))))
    assert isinstance(ended, VenueReject)


async def bad_terms_are_refused_for_good(venue: Venue) -> None:
    limit = {"order_type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC, "limit_price": Decimal("90")}
    order = make_order(1, **limit)
    await venue.broker.submit(order)
    await venue.market.open_session(DAY_NS, PRICES)
    for wanted in (Terms(1, Decimal("0.5"), Decimal("90")), Terms(2, Decimal(50)), Terms(2, Decimal(50), Decimal(91))):
        assert isinstance(await venue.broker.replace(replace(order, wanted=wanted)), VenueReject)
    unknown = make_order(9, **limit, wanted=Terms(1, Decimal(50), Decimal("91")))
    assert isinstance(await venue.broker.replace(unknown), VenueReject)
    taken = await venue.broker.replace(replace(order, wanted=Terms(3, Decimal(50), Decimal("102"))))
    assert isinstance(taken, VenueAck), "the prices reach the market at once"
    assert kinds(await take(venue.broker, 3)) == [ReportKind.ACK, ReportKind.REPLACE, ReportKind.FILL]


async def what_was_to_leave_earlier_does_not_arrive(venue: Venue) -> None:
    late = make_order(1, send_by_ns=1)
    again = replace(late, wanted=Terms(1, Decimal(5)))
    for call in (lambda: venue.broker.submit(late), lambda: venue.broker.replace(again)):
        try:
            await call()
        except VenueError:
            continue
        raise AssertionError("an order was sent after the time it was to leave by")
    assert await venue.broker.query(late.client_order_id) is None


async def reports_resume_where_they_stopped(venue: Venue) -> None:
    for number in range(1, 6):
        await venue.broker.submit(make_order(number))
    await venue.market.open_session(DAY_NS, PRICES)
    whole = await take(venue.broker, 10)
    assert [report.sequence for report in whole] == list(range(1, 11))
    assert await take(venue.broker, 4, after=6) == whole[6:]


async def reports_wait_and_end_with_the_broker(venue: Venue) -> None:
    seen: list[VenueReport] = []

    async def listen() -> None:
        seen.extend([report async for report in venue.broker.reports()])

    listener = asyncio.create_task(listen())
    await asyncio.sleep(0.05)
    await venue.broker.submit(make_order(1))
    await asyncio.sleep(0.2)
    await venue.broker.close()
    await asyncio.wait_for(listener, WAIT_S)
    assert kinds(seen) == [ReportKind.ACK]


CASES: tuple[Case, ...] = (
    an_order_for_the_opening_fills_there,
    a_resend_changes_nothing,
    an_id_names_one_order,
    an_unknown_order_is_none,
    a_bad_order_is_rejected_for_good,
    a_cancelled_order_does_not_fill,
    a_filled_order_cannot_be_cancelled,
    a_name_without_a_price_expires,
    a_limit_order_waits_for_its_price,
    a_stop_sleeps_until_its_price,
    at_once_or_not_at_all,
    an_order_until_a_time_ends_then,
    other_terms_are_taken_once_and_in_order,
    bad_terms_are_refused_for_good,
    what_was_to_leave_earlier_does_not_arrive,
    reports_resume_where_they_stopped,
    reports_wait_and_end_with_the_broker,
)

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
from mts1b.foundation.order import OrderType, Side, TimeInForce
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
    reports_resume_where_they_stopped,
    reports_wait_and_end_with_the_broker,
)

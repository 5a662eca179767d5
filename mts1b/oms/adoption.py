"""An order of ours that the venue has and the journal has lost, as after the restore of an older copy: taken up again.

What the venue says of it is taken: name, side, shares. The rest is lost; the order counts as one that takes any price,
of no strategy. Its fills then reach the book like any other's.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from mts1b.brokers.port import VenueOrderState, VenueReport
from mts1b.foundation.alerts import Finding, Severity
from mts1b.foundation.ids import CLIENT_PREFIX, FundId, IdempotencyKey, OrderId, StrategyId, Symbol
from mts1b.foundation.order import Order, OrderStatus, OrderType, TimeInForce
from mts1b.oms.ports import Note

ADOPTED = StrategyId("adopted")
"""The strategy of orders whose own is not known any more."""

ALERT_S = 3_600.0


def may_be_ours(report: VenueReport) -> bool:
    """Whether the id is one that we give; others belong to somebody else who uses the account."""
    return report.client_order_id.startswith(CLIENT_PREFIX)


def adopted(fund_id: FundId, state: VenueOrderState, now_ns: int, marks: Mapping[Symbol, Decimal]) -> Order | None:
    """The order as far as the venue tells; None when it does not say what it trades."""
    if state.symbol is None or state.side is None:
        return None
    name = f"{ADOPTED}-{state.client_order_id}"
    prices = [report.price for report in state.reports if report.price > 0]
    prices.append(marks.get(state.symbol, Decimal(0)))
    return Order(
        order_id=OrderId(name),
        client_order_id=state.client_order_id,
        idempotency_key=IdempotencyKey(name),
        fund_id=fund_id,
        strategy_id=ADOPTED,
        symbol=state.symbol,
        side=state.side,
        order_type=OrderType.MARKET,
        time_in_force=TimeInForce.DAY,
        quantity=state.quantity,
        reference_price=prices[0],
        created_ns=now_ns,
        updated_ns=now_ns,
        status=OrderStatus.WORKING,
        venue_order_id=state.venue_order_id,
    )


def note(order: Order) -> Note:
    """What goes on record besides its events."""
    return Note(order.order_id, "order_adopted", {"client_order_id": order.client_order_id})


def alert(order: Order) -> Finding:
    """What the watchdog hears: a journal that lacks an order was restored from an older copy, or was changed."""
    told = f"{order.side.value} {order.quantity:f} {order.symbol}"
    summary = (
        f"the venue has an order that the journal had lost: {told} ({order.client_order_id}); it is taken up again"
    )
    return Finding("oms_adopted", order.fund_id, Severity.CRITICAL, summary, (), ALERT_S)

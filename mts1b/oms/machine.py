"""The order machine: `step(order, message, now_ns)` decides what a message does to an order. It does nothing itself.

Two rules hold throughout. What the venue executed is a fact: a fill counts whatever we thought of the order, unless
we never sent it. What is already known changes nothing: a report that comes twice gives an empty step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from mts1b.foundation.commands import CancelOrder, SubmitOrder
from mts1b.foundation.errors import InvariantBroken
from mts1b.foundation.events import (
    CancelRequested,
    OrderAccepted,
    OrderCancelled,
    OrderDenied,
    OrderEvent,
    OrderExpired,
    OrderFilled,
    OrderInDoubt,
    OrderReceived,
    OrderRejected,
    OrderRevived,
    OrderSubmitting,
    OrderWorking,
)
from mts1b.foundation.ids import client_order_id, order_id
from mts1b.foundation.order import Order, OrderStatus
from mts1b.oms.messages import (
    Acknowledged,
    Admission,
    Cancelled,
    CancelRefused,
    Effect,
    Executed,
    Expired,
    Message,
    NoAnswer,
    QueryVenue,
    Rejected,
    SendCancel,
    SendOrder,
    UnknownAtVenue,
)
from mts1b.riskengine.verdict import Refused

S = OrderStatus
_ENDS = {S.FILLED, S.CANCELLED, S.REJECTED, S.EXPIRED}

LEGAL: dict[OrderStatus, frozenset[OrderStatus]] = {
    S.NEW: frozenset({S.DENIED, S.ACCEPTED}),
    S.ACCEPTED: frozenset({S.SUBMITTING}),
    S.SUBMITTING: frozenset({S.SUBMITTING, S.WORKING, S.PARTIALLY_FILLED, S.PENDING_CANCEL, S.IN_DOUBT, *_ENDS}),
    S.IN_DOUBT: frozenset({S.SUBMITTING, S.WORKING, S.PARTIALLY_FILLED, S.PENDING_CANCEL, *_ENDS}),
    S.WORKING: frozenset({S.PARTIALLY_FILLED, S.PENDING_CANCEL, S.IN_DOUBT, *_ENDS}),
    S.PARTIALLY_FILLED: frozenset({S.PARTIALLY_FILLED, S.PENDING_CANCEL, S.IN_DOUBT, *_ENDS}),
    S.PENDING_CANCEL: frozenset({S.PENDING_CANCEL, *_ENDS}),
    S.CANCELLED: frozenset({S.CANCELLED, S.FILLED, S.PENDING_CANCEL}),  # a fill that crossed the cancel; NEVER_REACHED
    S.EXPIRED: frozenset({S.EXPIRED, S.FILLED}),  # a fill that crossed the expiry
    S.FILLED: frozenset(),
    S.REJECTED: frozenset(),
    S.DENIED: frozenset(),
}
"""From a status to those it may move to. Staying means that something was recorded without moving."""

SENT = frozenset({S.SUBMITTING, S.IN_DOUBT, S.WORKING, S.PARTIALLY_FILLED, S.PENDING_CANCEL})
"""The venue may hold shares of such an order."""

NEVER_REACHED = "never reached the venue"
"""Why we let an order go by ourselves. Should it arrive after all, it is open again and taken back."""

FORM_GATES = (1, 2)
"""What these refuse may be a repeat, or anything at all: no order is made of it."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a message does: the order afterwards, events to journal, effects to run once they are journalled.

    Without events the message changed nothing and nothing is journalled. `is_kept` False: the command is no well-formed
    order of its own, so its refusal goes on record without one.
    """

    order: Order
    events: tuple[OrderEvent, ...] = ()
    effects: tuple[Effect, ...] = ()
    is_kept: bool = True


def step(order: Order | None, message: Message, now_ns: int) -> Step:
    """Decide. `order` is None for an Admission only. InvariantBroken when the message cannot be true of the order."""
    if order is None:
        if not isinstance(message, Admission):
            raise InvariantBroken("message", type(message).__name__, "is about no order")
        return _admit(message, now_ns)
    handler = _HANDLERS.get(type(message))
    if handler is None:
        raise InvariantBroken("message", type(message).__name__, f"cannot come to order {order.order_id}")
    return handler(order, message, now_ns)


def new_order(command: SubmitOrder, now_ns: int) -> Order:
    """The order a command makes. Its ids are derived, so that the same command at the same time gives the same."""
    name = order_id(command.idempotency_key, now_ns)
    return Order(
        order_id=name,
        client_order_id=client_order_id(name),
        idempotency_key=command.idempotency_key,
        fund_id=command.fund_id,
        strategy_id=command.strategy_id,
        symbol=command.symbol,
        side=command.side,
        order_type=command.order_type,
        time_in_force=command.time_in_force,
        quantity=command.quantity,
        reference_price=command.reference_price,
        created_ns=now_ns,
        updated_ns=now_ns,
        limit_price=command.limit_price,
    )


def _move(order: Order, status: OrderStatus, now_ns: int, **changes: Any) -> Order:
    if status not in LEGAL[order.status]:
        raise InvariantBroken("order", order.order_id, f"cannot go from {order.status} to {status}")
    return replace(order, status=status, updated_ns=now_ns, **changes)


def _admit(message: Admission, now_ns: int) -> Step:
    new = new_order(message.command, now_ns)
    received = OrderReceived(new, now_ns)
    verdict = message.verdict
    if isinstance(verdict, Refused):
        denied = _move(new, S.DENIED, now_ns, reason=f"gate {verdict.gate}: {verdict.reason}")
        said = OrderDenied(new.order_id, verdict.gate, verdict.reason, verdict.numbers, now_ns)
        if verdict.gate in FORM_GATES:
            return Step(denied, (said,), is_kept=False)
        return Step(denied, (received, said))
    sending = _move(_move(new, S.ACCEPTED, now_ns), S.SUBMITTING, now_ns)
    events = (received, OrderAccepted(new.order_id, now_ns), OrderSubmitting(new.order_id, now_ns))
    return Step(sending, events, (SendOrder(),))


def _acknowledged(order: Order, message: Acknowledged, now_ns: int) -> Step:
    if order.status is S.CANCELLED and order.reason == NEVER_REACHED:
        back = _move(order, S.PENDING_CANCEL, now_ns, venue_order_id=message.venue_order_id, reason="arrived late")
        return Step(back, (OrderRevived(back, now_ns),), (SendCancel(),))
    known = order.venue_order_id is not None and order.status is not S.IN_DOUBT
    if known or order.status not in SENT:
        return Step(order)
    event = OrderWorking(order.order_id, message.venue_order_id, now_ns)
    if order.status is S.PENDING_CANCEL:
        status = S.PENDING_CANCEL
    else:
        status = S.PARTIALLY_FILLED if order.filled_quantity else S.WORKING
    return Step(_move(order, status, now_ns, venue_order_id=message.venue_order_id), (event,))


def _executed(order: Order, message: Executed, now_ns: int) -> Step:
    fill = message.fill
    if fill.fill_id in order.fill_ids:
        return Step(order)
    if (fill.order_id, fill.symbol, fill.side) != (order.order_id, order.symbol, order.side) or fill.quantity <= 0:
        raise InvariantBroken("fill", fill.fill_id, f"is not of order {order.order_id}")
    filled = order.filled_quantity + fill.quantity
    if filled > order.quantity:
        raise InvariantBroken("fill", fill.fill_id, f"over-fills {order.order_id}: {filled} of {order.quantity}")
    worth = order.average_price * order.filled_quantity + fill.price * fill.quantity
    changed = _move(
        order,
        _status_after_fill(order, filled == order.quantity),
        now_ns,
        filled_quantity=filled,
        average_price=worth / filled,
        fees=order.fees + fill.fee,
        fill_ids=(*order.fill_ids, fill.fill_id),
    )
    return Step(changed, (OrderFilled(order.order_id, fill, now_ns),))


def _status_after_fill(order: Order, whole: bool) -> OrderStatus:
    if whole:
        return S.FILLED
    if order.status in (S.CANCELLED, S.EXPIRED, S.PENDING_CANCEL):
        return order.status
    return S.PARTIALLY_FILLED


def _cancelled(order: Order, message: Cancelled, now_ns: int) -> Step:
    if order.status.is_terminal:
        return Step(order)
    event = OrderCancelled(order.order_id, message.reason, now_ns)
    return Step(_move(order, S.CANCELLED, now_ns, reason=message.reason), (event,))


def _rejected(order: Order, message: Rejected, now_ns: int) -> Step:
    if order.status.is_terminal:
        return Step(order)
    if order.filled_quantity:
        raise InvariantBroken("order", order.order_id, "was rejected after it was filled in part")
    event = OrderRejected(order.order_id, message.reason, now_ns)
    return Step(_move(order, S.REJECTED, now_ns, reason=message.reason), (event,))


def _expired(order: Order, message: Expired, now_ns: int) -> Step:
    if order.status.is_terminal:
        return Step(order)
    event = OrderExpired(order.order_id, message.reason, now_ns)
    return Step(_move(order, S.EXPIRED, now_ns, reason=message.reason), (event,))


def _cancel(order: Order, message: CancelOrder, now_ns: int) -> Step:
    if order.status.is_terminal or order.status is S.PENDING_CANCEL:
        return Step(order)
    event = CancelRequested(order.order_id, message.reason, now_ns)
    return Step(_move(order, S.PENDING_CANCEL, now_ns, reason=message.reason), (event,), (SendCancel(),))


def _cancel_refused(order: Order, message: CancelRefused, now_ns: int) -> Step:
    """The venue's report of what happened instead is on its way, or was lost: ask."""
    if order.status is not S.PENDING_CANCEL:
        return Step(order)
    return Step(order, (), (QueryVenue(),))


def _no_answer(order: Order, message: NoAnswer, now_ns: int) -> Step:
    if order.status is not S.SUBMITTING:
        return Step(order, (), () if order.status.is_terminal else (QueryVenue(),))
    event = OrderInDoubt(order.order_id, message.reason, now_ns)
    return Step(_move(order, S.IN_DOUBT, now_ns, reason=message.reason), (event,), (QueryVenue(),))


def _unknown(order: Order, message: UnknownAtVenue, now_ns: int) -> Step:
    """Never heard of it: send it again under the same id, or let it go when it is not wanted any more."""
    if order.status not in SENT:
        return Step(order)
    if order.venue_order_id is not None or order.filled_quantity:
        if order.status is S.IN_DOUBT or order.status is S.PENDING_CANCEL:
            return Step(order)
        reason = "the venue had acknowledged it and knows it no more"
        return Step(_move(order, S.IN_DOUBT, now_ns, reason=reason), (OrderInDoubt(order.order_id, reason, now_ns),))
    if order.status is S.PENDING_CANCEL:
        return _cancelled(order, Cancelled(NEVER_REACHED), now_ns)
    event = OrderSubmitting(order.order_id, now_ns)
    return Step(_move(order, S.SUBMITTING, now_ns), (event,), (SendOrder(),))


_HANDLERS: dict[type[Message], Callable[[Order, Any, int], Step]] = {
    CancelOrder: _cancel,
    Acknowledged: _acknowledged,
    Executed: _executed,
    Cancelled: _cancelled,
    Rejected: _rejected,
    Expired: _expired,
    CancelRefused: _cancel_refused,
    NoAnswer: _no_answer,
    UnknownAtVenue: _unknown,
}

"""The order machine: `step(order, message, now_ns)` decides what a message does to an order. It does nothing itself.

Two rules hold throughout. What the venue executed is a fact: a fill counts whatever we thought of the order, unless
we never sent it. What is already known changes nothing: a report that comes twice gives an empty step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mts1b.foundation.commands import CancelOrder, ReplaceOrder, SubmitOrder
from mts1b.foundation.errors import InvariantBroken
from mts1b.foundation.events import (
    CancelRequested,
    OrderAccepted,
    OrderCancelled,
    OrderDenied,
    OrderExpired,
    OrderFilled,
    OrderHeld,
    OrderInDoubt,
    OrderReceived,
    OrderRejected,
    OrderReleased,
    OrderReplaced,
    OrderRevived,
    OrderSubmitting,
    OrderWorking,
)
from mts1b.foundation.ids import client_order_id, order_id
from mts1b.foundation.order import Membership, Order, OrderStatus
from mts1b.oms.messages import (
    Acknowledged,
    Admission,
    Cancelled,
    CancelRefused,
    Executed,
    Expired,
    Message,
    NoAnswer,
    QueryVenue,
    Rejected,
    Release,
    Replaced,
    ReplaceDenied,
    ReplaceRefused,
    SendCancel,
    SendOrder,
    UnknownAtVenue,
)
from mts1b.oms.replacing import replace_asked, replace_denied, replace_refused, replaced, with_terms
from mts1b.oms.transitions import LATE_ARRIVAL_NS, SEND_WITHIN_NS, SENT, Step, at_work, move
from mts1b.riskengine.verdict import Refused

S = OrderStatus

NEVER_REACHED = "never reached the venue"
"""Why we let an order go by ourselves. Should it arrive after all, it is open again and taken back."""

_ASKED = (S.PENDING_CANCEL, S.PENDING_REPLACE)
"""Something was asked about the order, and an acknowledgement or a part of its fill is no answer to it."""

FORM_GATES = (1, 2)
"""What these refuse may be a repeat, or anything at all: no order is made of it."""


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


def new_order(command: SubmitOrder, now_ns: int, group: Membership | None = None) -> Order:
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
        stop_price=command.stop_price,
        good_till_ns=command.good_till_ns,
        group=group,
    )


def _admit(message: Admission, now_ns: int) -> Step:
    new = new_order(message.command, now_ns, message.group)
    received = OrderReceived(new, now_ns, message.limits_version)
    verdict = message.verdict
    if isinstance(verdict, Refused):
        denied = move(new, S.DENIED, now_ns, reason=f"gate {verdict.gate}: {verdict.reason}")
        by = message.limits_version
        said = OrderDenied(new.order_id, verdict.gate, verdict.reason, verdict.numbers, now_ns, by)
        if verdict.gate in FORM_GATES:
            return Step(denied, (said,), is_kept=False)
        return Step(denied, (received, said))
    accepted = move(new, S.ACCEPTED, now_ns)
    if message.hold:
        return Step(accepted, (OrderHeld(accepted, now_ns),))
    sending = move(accepted, S.SUBMITTING, now_ns, send_by_ns=now_ns + SEND_WITHIN_NS)
    events = (received, OrderAccepted(new.order_id, now_ns), OrderSubmitting(new.order_id, now_ns))
    return Step(sending, events, (SendOrder(),))


def _release(order: Order, message: Release, now_ns: int) -> Step:
    """Send what was held here."""
    if not order.is_held:
        return Step(order)
    if message.quantity <= 0:
        raise InvariantBroken("release", message.quantity, f"of {order.order_id} is no quantity")
    released = replace(order, quantity=message.quantity)
    sending = move(released, S.SUBMITTING, now_ns, send_by_ns=now_ns + SEND_WITHIN_NS)
    return Step(sending, (OrderReleased(sending, now_ns), OrderSubmitting(order.order_id, now_ns)), (SendOrder(),))


def _acknowledged(order: Order, message: Acknowledged, now_ns: int) -> Step:
    if order.status is S.CANCELLED and order.reason == NEVER_REACHED:
        back = move(order, S.PENDING_CANCEL, now_ns, venue_order_id=message.venue_order_id, reason="arrived late")
        return Step(back, (OrderRevived(back, now_ns),), (SendCancel(),))
    known = order.venue_order_id is not None and order.status is not S.IN_DOUBT
    if known or order.status not in SENT:
        return Step(order)
    event = OrderWorking(order.order_id, message.venue_order_id, now_ns)
    status = order.status if order.status in _ASKED else at_work(order)
    return Step(move(order, status, now_ns, venue_order_id=message.venue_order_id), (event,))


def _executed(order: Order, message: Executed, now_ns: int) -> Step:
    fill = message.fill
    if fill.fill_id in order.fill_ids:
        return Step(order)
    if (fill.order_id, fill.symbol, fill.side) != (order.order_id, order.symbol, order.side) or fill.quantity <= 0:
        raise InvariantBroken("fill", fill.fill_id, f"is not of order {order.order_id}")
    filled = order.filled_quantity + fill.quantity
    before, wanted = order, order.wanted
    if wanted is not None and order.quantity < filled <= wanted.quantity:
        order = with_terms(order, wanted)  # it has them already: nothing else explains the fill
    if filled > order.quantity:
        raise InvariantBroken("fill", fill.fill_id, f"over-fills {order.order_id}: {filled} of {order.quantity}")
    worth = order.average_price * order.filled_quantity + fill.price * fill.quantity
    changed = move(
        order,
        _status_after_fill(order, filled == order.quantity),
        now_ns,
        filled_quantity=filled,
        average_price=worth / filled,
        fees=order.fees + fill.fee,
        fill_ids=(*order.fill_ids, fill.fill_id),
    )
    happened = OrderFilled(order.order_id, fill, now_ns)
    return Step(changed, (happened,) if order is before else (OrderReplaced(order, now_ns), happened))


def _status_after_fill(order: Order, whole: bool) -> OrderStatus:
    if whole:
        return S.FILLED
    if order.status is S.PENDING_REPLACE and order.wanted is None:
        return S.PARTIALLY_FILLED
    if order.status in (S.CANCELLED, S.EXPIRED, *_ASKED):
        return order.status
    return S.PARTIALLY_FILLED


def _cancelled(order: Order, message: Cancelled, now_ns: int) -> Step:
    if order.status.is_terminal:
        return Step(order)
    event = OrderCancelled(order.order_id, message.reason, now_ns)
    return Step(move(order, S.CANCELLED, now_ns, reason=message.reason), (event,))


def _rejected(order: Order, message: Rejected, now_ns: int) -> Step:
    if order.status.is_terminal:
        return Step(order)
    if order.filled_quantity:
        raise InvariantBroken("order", order.order_id, "was rejected after it was filled in part")
    event = OrderRejected(order.order_id, message.reason, now_ns)
    return Step(move(order, S.REJECTED, now_ns, reason=message.reason), (event,))


def _expired(order: Order, message: Expired, now_ns: int) -> Step:
    if order.status.is_terminal:
        return Step(order)
    event = OrderExpired(order.order_id, message.reason, now_ns)
    return Step(move(order, S.EXPIRED, now_ns, reason=message.reason), (event,))


def _cancel(order: Order, message: CancelOrder, now_ns: int) -> Step:
    if order.status.is_terminal or order.status is S.PENDING_CANCEL:
        return Step(order)
    if order.is_held:
        return _cancelled(order, Cancelled(message.reason), now_ns)
    event = CancelRequested(order.order_id, message.reason, now_ns)
    return Step(move(order, S.PENDING_CANCEL, now_ns, reason=message.reason), (event,), (SendCancel(),))


def _cancel_refused(order: Order, message: CancelRefused, now_ns: int) -> Step:
    """The venue's report of what happened instead is on its way, or was lost: ask."""
    if order.status is not S.PENDING_CANCEL:
        return Step(order)
    return Step(order, (), (QueryVenue(),))


def _no_answer(order: Order, message: NoAnswer, now_ns: int) -> Step:
    if order.status is not S.SUBMITTING:
        return Step(order, (), () if order.status.is_terminal else (QueryVenue(),))
    event = OrderInDoubt(order.order_id, message.reason, now_ns)
    return Step(move(order, S.IN_DOUBT, now_ns, reason=message.reason), (event,), (QueryVenue(),))


def _unknown(order: Order, message: UnknownAtVenue, now_ns: int) -> Step:
    """Never heard of it: send it again under the same id, or let it go when it is not wanted any more.

    Sending again is harmless however late the first one arrives. Letting go is not: that takes the venue's word from
    after the last moment at which the order may have left.
    """
    if order.status not in SENT:
        return Step(order)
    if order.venue_order_id is not None or order.filled_quantity:
        if order.status is S.IN_DOUBT or order.status is S.PENDING_CANCEL:
            return Step(order)
        reason = "the venue had acknowledged it and knows it no more"
        doubtful = move(order, S.IN_DOUBT, now_ns, reason=reason, wanted=None)
        return Step(doubtful, (OrderInDoubt(order.order_id, reason, now_ns),))
    if order.status is S.PENDING_CANCEL:
        if message.asked_ns <= order.send_by_ns + LATE_ARRIVAL_NS:
            return Step(order)
        return _cancelled(order, Cancelled(NEVER_REACHED), now_ns)
    event = OrderSubmitting(order.order_id, now_ns)
    sending = move(order, S.SUBMITTING, now_ns, send_by_ns=now_ns + SEND_WITHIN_NS)
    return Step(sending, (event,), (SendOrder(),))


_HANDLERS: dict[type[Message], Callable[[Order, Any, int], Step]] = {
    Release: _release,
    CancelOrder: _cancel,
    ReplaceOrder: replace_asked,
    Acknowledged: _acknowledged,
    Executed: _executed,
    Cancelled: _cancelled,
    Rejected: _rejected,
    Expired: _expired,
    CancelRefused: _cancel_refused,
    ReplaceDenied: replace_denied,
    Replaced: replaced,
    ReplaceRefused: replace_refused,
    NoAnswer: _no_answer,
    UnknownAtVenue: _unknown,
}

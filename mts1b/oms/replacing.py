"""Other terms for an order that is open. The venue orders replacements by their revision, so one may be sent again."""

from __future__ import annotations

from dataclasses import replace

from mts1b.foundation.commands import ReplaceOrder
from mts1b.foundation.errors import InvariantBroken
from mts1b.foundation.events import OrderNotReplaced, OrderReplaced, ReplaceRequested
from mts1b.foundation.order import Order, OrderStatus, Terms
from mts1b.oms.messages import QueryVenue, Replaced, ReplaceDenied, ReplaceRefused, SendReplace
from mts1b.oms.transitions import Step, at_work, move

S = OrderStatus

REPLACEABLE = frozenset({S.ACCEPTED, S.WORKING, S.PARTIALLY_FILLED})
"""Before the venue has acknowledged an order, and while another answer is awaited, there is nothing to replace."""


def terms_after(order: Order, command: ReplaceOrder) -> Terms:
    """The terms that the command asks for; what it leaves open stays."""
    return Terms(
        order.revision + 1,
        order.quantity if command.quantity is None else command.quantity,
        order.limit_price if command.limit_price is None else command.limit_price,
        order.stop_price if command.stop_price is None else command.stop_price,
    )


def problem(order: Order, command: ReplaceOrder) -> str:
    """Why the command makes no sense for the order; empty when it does."""
    if order.status not in REPLACEABLE:
        return f"is {order.status} and cannot be replaced"
    terms = terms_after(order, command)
    if (terms.limit_price is not None) != order.order_type.has_limit:
        return f"a {order.order_type} order has {'a' if order.order_type.has_limit else 'no'} limit price"
    if (terms.stop_price is not None) != order.order_type.has_stop:
        return f"a {order.order_type} order has {'a' if order.order_type.has_stop else 'no'} stop price"
    if terms.quantity <= order.filled_quantity:
        return f"has filled {order.filled_quantity} and cannot be made {terms.quantity}: cancel it"
    return ""


def has_terms(order: Order, terms: Terms) -> bool:
    """Whether the order has such quantity and prices already, whatever the revision."""
    return (order.quantity, order.limit_price, order.stop_price) == (
        terms.quantity,
        terms.limit_price,
        terms.stop_price,
    )


def with_terms(order: Order, terms: Terms) -> Order:
    """The order with these terms; a replacement as old as they are is no longer wanted."""
    still = order.wanted if order.wanted is not None and order.wanted.revision > terms.revision else None
    return replace(
        order,
        quantity=terms.quantity,
        limit_price=terms.limit_price,
        stop_price=terms.stop_price,
        revision=terms.revision,
        wanted=still,
    )


def replace_asked(order: Order, message: ReplaceOrder, now_ns: int) -> Step:
    """Ask the venue; of an order that is held here, change it at once."""
    if problem(order, message):
        return Step(order)
    wanted = terms_after(order, message)
    if has_terms(order, wanted):
        return Step(order)
    if order.status is S.ACCEPTED:
        changed = move(with_terms(order, wanted), S.ACCEPTED, now_ns)
        return Step(changed, (OrderReplaced(changed, now_ns),))
    asking = move(order, S.PENDING_REPLACE, now_ns, wanted=wanted)
    return Step(asking, (ReplaceRequested(asking, message.reason, now_ns),), (SendReplace(),))


def replace_denied(order: Order, message: ReplaceDenied, now_ns: int) -> Step:
    """The refusal goes on record; nothing else changes."""
    if order.status.is_terminal:
        return Step(order)
    reason = f"gate {message.verdict.gate}: {message.verdict.reason}"
    kept = replace(order, reason=reason, updated_ns=now_ns)
    return Step(kept, (OrderNotReplaced(kept, reason, now_ns),))


def replaced(order: Order, message: Replaced, now_ns: int) -> Step:
    """Take the venue's terms over, whatever we thought of the order. One that they leave nothing to fill is filled."""
    terms = message.terms
    if order.status.is_terminal or order.status is S.ACCEPTED or terms.revision <= order.revision:
        return Step(order)
    if terms.quantity < order.filled_quantity:
        raise InvariantBroken(
            "terms", terms.quantity, f"of {order.order_id} are below the {order.filled_quantity} filled"
        )
    changed = with_terms(order, terms)
    if terms.quantity == order.filled_quantity:
        status = S.FILLED
    elif order.status is S.PENDING_REPLACE and changed.wanted is None:
        status = at_work(order)
    else:
        status = order.status
    changed = move(changed, status, now_ns)
    return Step(changed, (OrderReplaced(changed, now_ns),))


def replace_refused(order: Order, message: ReplaceRefused, now_ns: int) -> Step:
    """The terms from before hold; the revision is spent. The order may have ended, and that report been lost: ask."""
    if order.status is not S.PENDING_REPLACE or order.wanted is None:
        return Step(order)
    kept = move(order, at_work(order), now_ns, revision=order.wanted.revision, wanted=None)
    return Step(kept, (OrderNotReplaced(kept, message.reason, now_ns),), (QueryVenue(),))

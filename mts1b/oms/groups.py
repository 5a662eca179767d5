"""Orders that belong together: what the legs of a bracket or of one-cancels-other have to do. Pure.

One rule for both. The legs may fill a total together: with an entry what that has filled so far, else the group's
quantity. Each leg wants that total less what the others have filled. So a leg is sent when its entry first fills, grows
with it, shrinks with what another leg fills, and is taken back when nothing is left. The rule looks at the orders as
they stand, never at what happened last: after a crash it says the same again.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from mts1b.foundation.commands import CancelOrder, ReplaceOrder, SubmitGroup, SubmitOrder
from mts1b.foundation.order import Membership, Order, OrderStatus, Role, Side, TimeInForce
from mts1b.oms.messages import Message, Release
from mts1b.oms.replacing import REPLACEABLE

LEGS_MAX = 4
RESTING = (TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTD)

ENTRY_ENDED = "its entry ended without a fill"
GROUP_FILLED = "the others of its group have filled"


def problem(command: SubmitGroup) -> str:
    """Why the orders do not make a group; empty when they do. What each order is by itself, the gates say."""
    legs, entry = command.legs, command.entry
    if not (isinstance(legs, tuple) and all(isinstance(leg, SubmitOrder) for leg in legs)):
        return "legs are no orders"
    if entry is not None and not isinstance(entry, SubmitOrder):
        return "the entry is no order"
    least = 2 if entry is None else 1
    if not least <= len(legs) <= LEGS_MAX:
        return f"has {len(legs)} legs, {least} to {LEGS_MAX} make a group"
    first = legs[0] if entry is None else entry
    if not all(isinstance(leg.side, Side) and isinstance(leg.idempotency_key, str) for leg in (first, *legs)):
        return "has an order without a side or a key"
    if not all(isinstance(leg.quantity, Decimal) and leg.quantity.is_finite() for leg in (first, *legs)):
        return "has an order whose quantity is no number"
    if any((leg.fund_id, leg.strategy_id, leg.symbol) != _whose(first) for leg in legs):
        return "has orders of more than one fund, strategy or symbol"
    if any(leg.quantity != first.quantity for leg in legs):
        return "has orders of more than one quantity"
    if entry is not None and any(leg.side is entry.side for leg in legs):
        return "has a leg on the side of its entry"
    if any(leg.time_in_force not in RESTING for leg in legs):
        return "has a leg that cannot wait: give it day, gtc or gtd"
    keys = [order.idempotency_key for order in (*legs, *([] if entry is None else [entry]))]
    if len(set(keys)) < len(keys):
        return "has one idempotency key twice"
    return ""


def _whose(order: SubmitOrder) -> tuple[str, str, str]:
    return order.fund_id, order.strategy_id, order.symbol


def memberships(command: SubmitGroup, group_id: str) -> tuple[Membership, ...]:
    """Of each order of a well-formed group, the entry first."""
    quantity = command.legs[0].quantity
    leg = Membership(group_id, Role.LEG, quantity)
    entry = () if command.entry is None else (Membership(group_id, Role.ENTRY, quantity),)
    return (*entry, *(leg for _ in command.legs))


def to_do(members: Sequence[Order]) -> list[tuple[Order, Message]]:
    """What the group's rule asks for and nobody is busy with, as messages to its legs."""
    entry = next((order for order in members if order.group and order.group.role is Role.ENTRY), None)
    legs = [order for order in members if order.group and order.group.role is Role.LEG]
    filled = sum((leg.filled_quantity for leg in legs), Decimal(0))
    found: list[tuple[Order, Message]] = []
    for leg in legs:
        assert leg.group is not None
        total = leg.group.quantity if entry is None else entry.filled_quantity
        message = _asked_of(leg, total - (filled - leg.filled_quantity), entry)
        if message is not None:
            found.append((leg, message))
    return found


def _asked_of(leg: Order, wanted: Decimal, entry: Order | None) -> Message | None:
    if leg.status.is_terminal or leg.status is OrderStatus.PENDING_CANCEL:
        return None
    if leg.is_held:
        if wanted > 0:
            return Release(wanted)
        return CancelOrder(leg.order_id, ENTRY_ENDED) if entry is not None and entry.status.is_terminal else None
    if wanted <= leg.filled_quantity:
        return CancelOrder(leg.order_id, GROUP_FILLED)
    if wanted != leg.quantity and leg.status in REPLACEABLE:
        return ReplaceOrder(leg.order_id, "its group's rule", quantity=wanted)
    return None


def awaits_last_word(members: Sequence[Order]) -> Order | None:
    """The entry, when it has ended without a fill and legs still wait for one that may be on its way."""
    entry = next((order for order in members if order.group and order.group.role is Role.ENTRY), None)
    if entry is None or not entry.status.is_terminal or entry.filled_quantity or entry.venue_order_id is None:
        return None
    return entry if any(order.is_held for order in members) else None

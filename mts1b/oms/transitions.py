"""The one table of legal moves, and what a step is. `mts1b.oms.machine` decides within it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mts1b.foundation.changing import changed
from mts1b.foundation.clock import NS_PER_S
from mts1b.foundation.errors import InvariantBroken
from mts1b.foundation.events import OrderEvent
from mts1b.foundation.limits import BROKER_TIMEOUT_S, LATE_ARRIVAL_S
from mts1b.foundation.order import Order, OrderStatus
from mts1b.oms.messages import Effect

S = OrderStatus
_ENDS = frozenset({S.FILLED, S.CANCELLED, S.REJECTED, S.EXPIRED})
_OPEN = frozenset({S.PARTIALLY_FILLED, S.PENDING_CANCEL, S.PENDING_REPLACE, S.IN_DOUBT})

LEGAL: dict[OrderStatus, frozenset[OrderStatus]] = {
    S.NEW: frozenset({S.DENIED, S.ACCEPTED}),
    S.ACCEPTED: frozenset({S.ACCEPTED, S.SUBMITTING, S.CANCELLED}),
    S.SUBMITTING: frozenset({S.SUBMITTING, S.WORKING, S.PARTIALLY_FILLED, S.PENDING_CANCEL, S.IN_DOUBT}) | _ENDS,
    S.IN_DOUBT: frozenset({S.IN_DOUBT, S.SUBMITTING, S.WORKING, S.PARTIALLY_FILLED, S.PENDING_CANCEL}) | _ENDS,
    S.WORKING: frozenset({S.WORKING}) | _OPEN | _ENDS,
    S.PARTIALLY_FILLED: _OPEN | _ENDS,
    S.PENDING_REPLACE: frozenset({S.WORKING}) | _OPEN | _ENDS,
    S.PENDING_CANCEL: frozenset({S.PENDING_CANCEL}) | _ENDS,
    S.CANCELLED: frozenset({S.CANCELLED, S.FILLED, S.PENDING_CANCEL}),  # a fill that crossed the cancel; NEVER_REACHED
    S.EXPIRED: frozenset({S.EXPIRED, S.FILLED}),  # a fill that crossed the expiry
    S.FILLED: frozenset(),
    S.REJECTED: frozenset(),
    S.DENIED: frozenset(),
}
"""From a status to those it may move to. Staying means that something was recorded without moving."""

SENT = frozenset({S.SUBMITTING, S.IN_DOUBT, S.WORKING, S.PARTIALLY_FILLED, S.PENDING_CANCEL, S.PENDING_REPLACE})
"""The venue may hold shares of such an order."""

SEND_WITHIN_NS = int(BROKER_TIMEOUT_S * NS_PER_S)
"""How long after a step its order may still leave for the venue."""

LATE_ARRIVAL_NS = int(LATE_ARRIVAL_S * NS_PER_S)
"""How long after that the venue may still receive it."""


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


def move(order: Order, status: OrderStatus, now_ns: int, **changes: Any) -> Order:
    """The order in another status. InvariantBroken when the table has no such move."""
    if status not in LEGAL[order.status]:
        raise InvariantBroken("order", order.order_id, f"cannot go from {order.status} to {status}")
    return changed(order, status=status, updated_ns=now_ns, **changes)


def at_work(order: Order) -> OrderStatus:
    """Where an order stands that the venue holds and nothing more is asked about."""
    return S.PARTIALLY_FILLED if order.filled_quantity else S.WORKING

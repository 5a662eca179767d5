"""What the OMS asks of a venue, and what a venue answers. Every adapter passes `mts1b.testing.broker_conformance`.

The venue knows an order by its client order id only, and an id names one order for ever: a second `submit` of it
changes nothing and answers as the first did. That makes a resend after a crash or a timeout harmless.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from mts1b.foundation.ids import ClientOrderId, FillId, Symbol, VenueOrderId
from mts1b.foundation.order import Order, Side, Terms


@dataclass(frozen=True, slots=True)
class VenueAck:
    """The venue holds the order (or, answering a cancel, has taken it back). Not a fill. Sent when safe on its disk."""

    client_order_id: ClientOrderId
    venue_order_id: VenueOrderId
    ts_ns: int


@dataclass(frozen=True, slots=True)
class VenueReject:
    """The venue will not do it, for the given reason. Final: repeating it gives the same answer."""

    client_order_id: ClientOrderId
    reason: str
    ts_ns: int


class ReportKind(StrEnum):
    ACK = "ack"
    FILL = "fill"
    CANCEL = "cancel"
    REJECT = "reject"
    EXPIRE = "expire"
    REPLACE = "replace"


@dataclass(frozen=True, slots=True)
class VenueReport:
    """One thing that happened to an order at the venue.

    `sequence` counts the venue's reports from 1 without gaps: resume with the last one seen. A fill carries its
    `fill_id` (unique at the venue), `quantity` in shares, `price` per share and `fee` in cash, positive when paid. A
    replacement carries the `terms` that hold from here on.
    """

    sequence: int
    kind: ReportKind
    client_order_id: ClientOrderId
    venue_order_id: VenueOrderId
    ts_ns: int
    fill_id: FillId | None = None
    quantity: Decimal = Decimal(0)
    price: Decimal = Decimal(0)
    fee: Decimal = Decimal(0)
    reason: str = ""
    terms: Terms | None = None


class VenueStatus(StrEnum):
    WORKING = "working"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class VenueOrderState:
    """The venue's view of one order: `reports` is its whole story in sequence order, so recovery can replay it.

    `symbol` and `side` let a book that has lost the order take it up again; a venue that does not say gives None.
    """

    client_order_id: ClientOrderId
    venue_order_id: VenueOrderId
    status: VenueStatus
    quantity: Decimal
    filled_quantity: Decimal
    reason: str = ""
    reports: tuple[VenueReport, ...] = ()
    symbol: Symbol | None = None
    side: Side | None = None


class Broker(Protocol):
    """A venue. Methods raise VenueTimeout when no answer came in time (the order is in doubt: `query` it), VenueError
    when the venue cannot be reached or breaks its protocol."""

    async def submit(self, order: Order) -> VenueAck | VenueReject:
        """Hand over an order. Answers once the venue has it safe; its fills come as reports.

        Nothing leaves after `order.send_by_ns` (when it is not 0): VenueError. A venue that can is asked to refuse what
        arrives later, so that a sender who was stopped in between does no harm.
        """
        ...

    async def replace(self, order: Order) -> VenueAck | VenueReject:
        """Give a working order the terms in `order.wanted`; bounded by `send_by_ns` like `submit`.

        Of one order's replacements the venue takes each revision once and in rising order: a second time changes
        nothing and answers as the first did. VenueReject when the order is unknown, at its end, or the terms make no
        sense.
        """
        ...

    async def cancel(self, client_order_id: ClientOrderId) -> VenueAck | VenueReject:
        """Take an order back. VenueReject when it is unknown or already at its end."""
        ...

    async def query(self, client_order_id: ClientOrderId) -> VenueOrderState | None:
        """The venue's view of an order; None when the venue has never heard of it."""
        ...

    def reports(self, after: int = 0) -> AsyncIterator[VenueReport]:
        """Every report with a sequence above `after`, in order, each once; waits for more until `close`.

        Reconnects by itself. VenueError when the venue stays away or a sequence is missing.
        """
        ...

    async def close(self) -> None:
        """Let go of connections. Open orders stay at the venue. Ends `reports`."""
        ...

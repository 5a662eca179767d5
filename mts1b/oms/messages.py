"""What can happen to an order: everything `mts1b.oms.machine.step` takes in besides commands."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from mts1b.foundation.commands import CancelOrder, ReplaceOrder, SubmitOrder
from mts1b.foundation.fill import Fill
from mts1b.foundation.ids import VenueOrderId
from mts1b.foundation.order import Membership, Terms
from mts1b.riskengine.verdict import Refused, Verdict


@dataclass(frozen=True, slots=True)
class Admission:
    """A new command and what the risk chain says to it, by which version of the limits. `hold`: accepted, it is not
    sent before a `Release`."""

    command: SubmitOrder
    verdict: Verdict
    group: Membership | None = None
    hold: bool = False
    limits_version: int = 0


@dataclass(frozen=True, slots=True)
class Release:
    """What an order was held for has come: send it, for `quantity` unsigned shares."""

    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The venue holds the order."""

    venue_order_id: VenueOrderId


@dataclass(frozen=True, slots=True)
class Executed:
    """The venue reports a fill."""

    fill: Fill


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The venue has taken the order back."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The venue will not take the order."""

    reason: str


@dataclass(frozen=True, slots=True)
class Expired:
    """Time in force ended at the venue."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class CancelRefused:
    """The venue will not take the order back: it knows none such, or the order has ended."""

    reason: str


@dataclass(frozen=True, slots=True)
class ReplaceDenied:
    """A risk gate refused other terms: they are not asked for."""

    verdict: Refused


@dataclass(frozen=True, slots=True)
class Replaced:
    """The venue has given the order these terms."""

    terms: Terms


@dataclass(frozen=True, slots=True)
class ReplaceRefused:
    """The venue will not give the order other terms: it knows none such, the order has ended, or they make no sense."""

    reason: str


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """We sent something about the order and heard nothing in time."""

    reason: str


@dataclass(frozen=True, slots=True)
class UnknownAtVenue:
    """Asked by client order id at `asked_ns`, the venue has never heard of the order."""

    asked_ns: int


Message = (
    Admission
    | Release
    | CancelOrder
    | ReplaceOrder
    | Acknowledged
    | Executed
    | Cancelled
    | Rejected
    | Expired
    | CancelRefused
    | ReplaceDenied
    | Replaced
    | ReplaceRefused
    | NoAnswer
    | UnknownAtVenue
)


@dataclass(frozen=True, slots=True)
class SendOrder:
    """Hand the order to the venue, under its client order id."""


@dataclass(frozen=True, slots=True)
class SendCancel:
    """Ask the venue to take it back."""


@dataclass(frozen=True, slots=True)
class SendReplace:
    """Ask the venue for the terms in `order.wanted`."""


@dataclass(frozen=True, slots=True)
class QueryVenue:
    """Ask the venue what it knows of the order."""


Effect = SendOrder | SendCancel | SendReplace | QueryVenue

"""What happened, in the past tense. Each carries the order's id and the time in UTC nanoseconds."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from mts1b.foundation.fill import Fill
from mts1b.foundation.ids import FundId, OrderId, Symbol, VenueOrderId
from mts1b.foundation.order import Order


@dataclass(frozen=True, slots=True)
class OrderReceived:
    """The OMS has taken the order in; nothing has left the house."""

    order: Order
    ts_ns: int
    limits_version: int = 0  # that it was decided by


@dataclass(frozen=True, slots=True)
class OrderDenied:
    """A risk gate refused. `numbers` are what decided it, as text pairs."""

    order_id: OrderId
    gate: int
    reason: str
    numbers: tuple[tuple[str, str], ...]
    ts_ns: int
    limits_version: int = 0


@dataclass(frozen=True, slots=True)
class OrderAccepted:
    """Every gate accepted; the order may be sent."""

    order_id: OrderId
    ts_ns: int


@dataclass(frozen=True, slots=True)
class OrderHeld:
    """Every gate accepted a leg, which rests here until its entry has filled."""

    order: Order
    ts_ns: int


@dataclass(frozen=True, slots=True)
class OrderReleased:
    """A leg that was held is wanted at the venue, for the quantity it has now."""

    order: Order
    ts_ns: int


@dataclass(frozen=True, slots=True)
class OrderSubmitting:
    """The order is about to be sent. Journalled before it is."""

    order_id: OrderId
    ts_ns: int


@dataclass(frozen=True, slots=True)
class OrderWorking:
    """The venue holds the order."""

    order_id: OrderId
    venue_order_id: VenueOrderId
    ts_ns: int


@dataclass(frozen=True, slots=True)
class OrderFilled:
    """The venue executed some or all of it."""

    order_id: OrderId
    fill: Fill
    ts_ns: int


@dataclass(frozen=True, slots=True)
class CancelRequested:
    order_id: OrderId
    reason: str
    ts_ns: int


@dataclass(frozen=True, slots=True)
class ReplaceRequested:
    """Other terms are wanted: those in `order.wanted`. Until the venue has answered either may hold."""

    order: Order
    reason: str
    ts_ns: int


@dataclass(frozen=True, slots=True)
class OrderReplaced:
    """The order has other terms than before."""

    order: Order
    ts_ns: int


@dataclass(frozen=True, slots=True)
class OrderNotReplaced:
    """The venue refused other terms: those from before hold."""

    order: Order
    reason: str
    ts_ns: int


@dataclass(frozen=True, slots=True)
class OrderCancelled:
    order_id: OrderId
    reason: str
    ts_ns: int


@dataclass(frozen=True, slots=True)
class OrderRejected:
    """The venue refused it."""

    order_id: OrderId
    reason: str
    ts_ns: int


@dataclass(frozen=True, slots=True)
class OrderExpired:
    """Its time in force ended before it was filled whole."""

    order_id: OrderId
    reason: str
    ts_ns: int


@dataclass(frozen=True, slots=True)
class OrderInDoubt:
    """We sent it and heard nothing: ask the venue by client order id before anything else."""

    order_id: OrderId
    reason: str
    ts_ns: int


@dataclass(frozen=True, slots=True)
class OrderRevived:
    """We had let it go as never arrived, and the venue holds it after all: it may fill, and is being taken back."""

    order: Order
    ts_ns: int


OrderEvent = (
    OrderReceived
    | OrderDenied
    | OrderAccepted
    | OrderHeld
    | OrderReleased
    | OrderSubmitting
    | OrderWorking
    | OrderFilled
    | CancelRequested
    | ReplaceRequested
    | OrderReplaced
    | OrderNotReplaced
    | OrderCancelled
    | OrderRejected
    | OrderExpired
    | OrderInDoubt
    | OrderRevived
)


class CashKind(StrEnum):
    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    BORROW_FEE = "borrow_fee"
    DIVIDEND = "dividend"
    INTEREST = "interest"
    CONVERSION = "conversion"  # one currency into another: two of them, one for each


@dataclass(frozen=True, slots=True)
class CashMoved:
    """Money that came or went without a trade: `amount` of `currency`, signed. `move_id` names it for ever."""

    move_id: str
    fund_id: FundId
    kind: CashKind
    currency: str
    amount: Decimal
    note: str
    ts_ns: int
    symbol: Symbol | None = None


@dataclass(frozen=True, slots=True)
class SharesSplit:
    """`denominator` shares of a name became `numerator` at `ts_ns`; fills from before that count in the new shares.

    `quantity`: signed shares held afterwards, whole lots; `cash`: what was paid for the fraction, in the name's
    `currency`.
    """

    fund_id: FundId
    symbol: Symbol
    numerator: Decimal
    denominator: Decimal
    quantity: Decimal
    cash: Decimal
    currency: str
    ts_ns: int


FundEvent = CashMoved | SharesSplit
"""What happens to a fund's book besides orders."""


@dataclass(frozen=True, slots=True)
class NavMarked:
    """A fund valued at the given prices: cash plus the worth of its shares."""

    fund_id: str
    nav: Decimal
    cash: Decimal
    gross: Decimal
    ts_ns: int

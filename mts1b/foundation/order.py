"""An order and its life. Money, price and quantity are Decimal: nothing here is ever a float."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from mts1b.foundation.ids import (
    ClientOrderId,
    FillId,
    FundId,
    IdempotencyKey,
    OrderId,
    StrategyId,
    Symbol,
    VenueOrderId,
)


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell: what the order does to the position."""
        return 1 if self is Side.BUY else -1


class OrderType(StrEnum):
    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"  # a market order once the market has reached its stop price
    STOP_LIMIT = "stop_limit"  # a limit order once the market has reached its stop price

    @property
    def has_limit(self) -> bool:
        """Whether such an order carries a limit price."""
        return self in (OrderType.LIMIT, OrderType.STOP_LIMIT)

    @property
    def has_stop(self) -> bool:
        """Whether such an order carries a stop price."""
        return self in (OrderType.STOP, OrderType.STOP_LIMIT)


class TimeInForce(StrEnum):
    DAY = "day"
    GTC = "gtc"  # until cancelled
    IOC = "ioc"  # what cannot be had at once is let go
    FOK = "fok"  # whole and at once, or not at all
    GTD = "gtd"  # until `good_till_ns`
    OPG = "opg"  # at the next opening, else expired


class OrderStatus(StrEnum):
    """Where an order is in its life. The legal moves are one table in `mts1b.oms.machine`."""

    NEW = "new"
    DENIED = "denied"
    ACCEPTED = "accepted"  # past every gate and not sent: a leg that waits for its entry rests here
    SUBMITTING = "submitting"
    WORKING = "working"
    PARTIALLY_FILLED = "partially_filled"
    PENDING_CANCEL = "pending_cancel"
    PENDING_REPLACE = "pending_replace"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    IN_DOUBT = "in_doubt"

    @property
    def is_terminal(self) -> bool:
        return self in TERMINAL


TERMINAL = frozenset(
    {OrderStatus.DENIED, OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.EXPIRED}
)


@dataclass(frozen=True, slots=True)
class Terms:
    """What of an order can be replaced: unsigned shares and prices per share. `revision` counts the replacements of
    one order from 1, so that the venue tells an old one that comes late."""

    revision: int
    quantity: Decimal
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None


class Role(StrEnum):
    """What an order is in its group."""

    ENTRY = "entry"  # opens the position that the legs protect
    LEG = "leg"  # one of those of which what one fills, the others do not


@dataclass(frozen=True, slots=True)
class Membership:
    """An order's place in a bracket (an entry and its legs) or in a group of one-cancels-other (legs alone).

    `quantity`: unsigned shares that the legs may fill together; with an entry, never more than it has filled.
    """

    group_id: str
    role: Role
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Order:
    """One order as the OMS knows it. A new value replaces it at each step.

    `quantity` and `filled_quantity` are unsigned shares. `reference_price` is the price the decision was sized with;
    risk values a market order by it. `fees` are in the fund's currency, positive when paid. `fill_ids` are the
    fills already counted, so that a report that comes twice changes nothing. `revision` is that of the terms it has,
    `wanted` are those the venue was asked for and has not answered about. `send_by_ns`: nothing that is sent of it may
    leave later (UTC nanoseconds; 0: no bound), so that from then on the venue's word is final.
    """

    order_id: OrderId
    client_order_id: ClientOrderId
    idempotency_key: IdempotencyKey
    fund_id: FundId
    strategy_id: StrategyId
    symbol: Symbol
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    quantity: Decimal
    reference_price: Decimal
    created_ns: int
    updated_ns: int
    limit_price: Decimal | None = None
    status: OrderStatus = OrderStatus.NEW
    filled_quantity: Decimal = Decimal(0)
    average_price: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    venue_order_id: VenueOrderId | None = None
    reason: str = ""
    fill_ids: tuple[FillId, ...] = ()
    stop_price: Decimal | None = None
    good_till_ns: int | None = None
    revision: int = 0
    wanted: Terms | None = None
    group: Membership | None = None
    send_by_ns: int = 0

    @property
    def is_held(self) -> bool:
        """Whether the order rests here until its entry has filled: the venue has never heard of it."""
        return self.status is OrderStatus.ACCEPTED

    @property
    def open_quantity(self) -> Decimal:
        """Shares that the venue may still fill; 0 once the order is terminal, and while it is held."""
        return Decimal(0) if self.status.is_terminal or self.is_held else self.quantity - self.filled_quantity

    @property
    def exposed_quantity(self) -> Decimal:
        """Shares that may still be filled at worst: those of a replacement under way, when they are more."""
        if self.wanted is None or not self.open_quantity:
            return self.open_quantity
        return max(self.quantity, self.wanted.quantity) - self.filled_quantity

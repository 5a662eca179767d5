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


class TimeInForce(StrEnum):
    DAY = "day"
    GTC = "gtc"
    IOC = "ioc"
    OPG = "opg"  # at the next opening, else expired


class OrderStatus(StrEnum):
    """Where an order is in its life. The legal moves are one table in `mts1b.oms.machine`."""

    NEW = "new"
    DENIED = "denied"
    ACCEPTED = "accepted"
    SUBMITTING = "submitting"
    WORKING = "working"
    PARTIALLY_FILLED = "partially_filled"
    PENDING_CANCEL = "pending_cancel"
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
class Order:
    """One order as the OMS knows it. A new value replaces it at each step.

    `quantity` and `filled_quantity` are unsigned shares. `reference_price` is the price the decision was sized with;
    risk values a market order by it. `fees` are in the fund's currency, positive when paid. `fill_ids` are the
    fills already counted, so that a report that comes twice changes nothing.
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

    @property
    def open_quantity(self) -> Decimal:
        """Shares that may still be filled; 0 once the order is terminal."""
        return Decimal(0) if self.status.is_terminal else self.quantity - self.filled_quantity

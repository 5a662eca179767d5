"""What is asked of the order path, in the imperative."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from mts1b.foundation.ids import FundId, IdempotencyKey, OrderId, StrategyId, Symbol
from mts1b.foundation.order import OrderType, Side, TimeInForce


@dataclass(frozen=True, slots=True)
class SubmitOrder:
    """Ask for one order. `decided_ns` is the bar the decision was made on; `reference_price` sized it.

    `limit_price` and `stop_price` where the type has them; `good_till_ns` (UTC nanoseconds) with GTD.
    """

    idempotency_key: IdempotencyKey
    fund_id: FundId
    strategy_id: StrategyId
    symbol: Symbol
    side: Side
    quantity: Decimal
    reference_price: Decimal
    decided_ns: int
    order_type: OrderType = OrderType.MARKET
    time_in_force: TimeInForce = TimeInForce.OPG
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    good_till_ns: int | None = None


@dataclass(frozen=True, slots=True)
class SubmitGroup:
    """Ask for orders that belong together, taken whole or not at all.

    With an `entry` it is a bracket: the legs are held here and sent once it has filled, for what it has filled. Without
    one the legs are sent at once. What one leg fills is taken off the others; see `mts1b.oms.groups`.
    """

    entry: SubmitOrder | None
    legs: tuple[SubmitOrder, ...]


@dataclass(frozen=True, slots=True)
class ReplaceOrder:
    """Ask for other terms of an order that is open; what is None stays. It keeps its ids and what it has filled."""

    order_id: OrderId
    reason: str
    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """Ask for an order to be taken back. Always passes risk gates 3 to 7."""

    order_id: OrderId
    reason: str


@dataclass(frozen=True, slots=True)
class CancelAll:
    """Ask for every open order of the fund to be taken back; of one strategy or one name only, when given."""

    reason: str
    strategy_id: StrategyId | None = None
    symbol: Symbol | None = None

"""What is asked of the order path, in the imperative."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from mts1b.foundation.ids import FundId, IdempotencyKey, OrderId, StrategyId, Symbol
from mts1b.foundation.order import OrderType, Side, TimeInForce


@dataclass(frozen=True, slots=True)
class SubmitOrder:
    """Ask for one order. `decided_ns` is the bar the decision was made on; `reference_price` sized it."""

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


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """Ask for an order to be taken back. Always passes risk gates 3 to 7."""

    order_id: OrderId
    reason: str

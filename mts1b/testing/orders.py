"""Orders for tests, with everything that does not matter filled in."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from mts1b.foundation import ids
from mts1b.foundation.ids import FundId, StrategyId, Symbol
from mts1b.foundation.order import Order, OrderType, Side, TimeInForce


def make_order(number: int = 1, **changes: Any) -> Order:
    """Order `number`: buy 100 AAPL at the next opening, unless `changes` say otherwise. Ids follow from `number`."""
    fund, strategy, symbol = FundId("fund"), StrategyId("strategy"), Symbol("AAPL")
    key = ids.idempotency_key(fund, strategy, symbol, number)
    order_id = ids.order_id(key, number)
    values: dict[str, Any] = {
        "order_id": order_id,
        "client_order_id": ids.client_order_id(order_id),
        "idempotency_key": key,
        "fund_id": fund,
        "strategy_id": strategy,
        "symbol": symbol,
        "side": Side.BUY,
        "order_type": OrderType.MARKET,
        "time_in_force": TimeInForce.OPG,
        "quantity": Decimal(100),
        "reference_price": Decimal("10"),
        "created_ns": number,
        "updated_ns": number,
    }
    return Order(**values | changes)

"""A trade that happened at the venue."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from mts1b.foundation.ids import FillId, FundId, OrderId, StrategyId, Symbol
from mts1b.foundation.order import Side


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution: unsigned shares, price per share, `fee` in the fund's currency, positive when paid."""

    fill_id: FillId
    order_id: OrderId
    fund_id: FundId
    strategy_id: StrategyId
    symbol: Symbol
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    ts_ns: int

    @property
    def cash_change(self) -> Decimal:
        """What the fill does to cash: price times quantity, signed, less the fee."""
        return -self.side.sign * self.quantity * self.price - self.fee

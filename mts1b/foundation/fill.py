"""A trade that happened at the venue."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from mts1b.foundation.ids import FillId, FundId, OrderId, StrategyId, Symbol
from mts1b.foundation.order import Side


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution: unsigned shares, price per share, `fee`, positive when paid, both in `currency` ("": the fund's
    own)."""

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
    currency: str = ""

    @property
    def cash_change(self) -> Decimal:
        """What the fill does to cash: price times quantity, signed, less the fee."""
        return -self.side.sign * self.quantity * self.price - self.fee

    def in_shares_after(self, numerator: Decimal, denominator: Decimal) -> Fill:
        """The same execution counted in the shares of after a split; its money is unchanged but for rounding."""
        quantity = self.quantity * numerator / denominator
        return replace(self, quantity=quantity, price=self.price * denominator / numerator)

"""What a fund holds of one name."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from mts1b.foundation.ids import FundId, Symbol


@dataclass(frozen=True, slots=True)
class Position:
    """Signed shares, average entry price, realised PnL before fees, fees paid. Changed only by `mts1b.oms.book`."""

    fund_id: FundId
    symbol: Symbol
    quantity: Decimal = Decimal(0)
    average_price: Decimal = Decimal(0)
    realised_pnl: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)

    def unrealised_pnl(self, mark: Decimal) -> Decimal:
        """PnL of the open shares at `mark`, the price per share."""
        return self.quantity * (mark - self.average_price)

"""What the OMS says on the bus."""

from __future__ import annotations

from mts1b.foundation.fill import Fill
from mts1b.foundation.order import Side
from mts1b.platform.events import Event, Exact, event


@event("oms.fills.created", key="fill_id")
class FillCreated(Event):
    """An execution, once it is in the journal. Unsigned shares, price per share, fee positive when paid, both in
    `currency` ("": the fund's own)."""

    fee: Exact
    fill_id: str
    fund_id: str
    order_id: str
    price: Exact
    quantity: Exact
    side: Side
    strategy_id: str
    symbol: str
    ts_ns: int
    currency: str = ""

    @classmethod
    def of(cls, fill: Fill) -> FillCreated:
        """What the bus is told of a fill."""
        return cls(
            fee=fill.fee,
            fill_id=fill.fill_id,
            fund_id=fill.fund_id,
            order_id=fill.order_id,
            price=fill.price,
            quantity=fill.quantity,
            side=fill.side,
            strategy_id=fill.strategy_id,
            symbol=fill.symbol,
            ts_ns=fill.ts_ns,
            currency=fill.currency,
        )

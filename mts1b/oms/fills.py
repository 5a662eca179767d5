"""A fund's fills as the journal has them, for reports."""

from __future__ import annotations

from mts1b.foundation.fill import Fill
from mts1b.foundation.ids import FundId
from mts1b.oms.encode import fill_from
from mts1b.platform.db import Pool, translated

FILLS = """SELECT fill_id, order_id, fund_id, strategy_id, symbol, side, quantity, price, fee, "timestamp"
    FROM fills WHERE fund_id = $1 ORDER BY "timestamp", symbol, fill_id"""


async def fund_fills(pool: Pool, fund_id: FundId) -> list[Fill]:
    """Every fill of the fund, oldest first."""
    with translated("journal"):
        records = await pool.fetch(FILLS, fund_id)
    return [fill_from(dict(record)) for record in records]

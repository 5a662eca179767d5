"""What the journal holds of orders and positions, for people: newest first, as many as asked for."""

from __future__ import annotations

from typing import Any

from mts1b.platform.db import Pool, translated

ORDERS = """SELECT order_id, client_order_id, fund_id, strategy_id, symbol, side, order_type, time_in_force, quantity,
        limit_price, stop_price, status, filled_quantity, average_price, fees, venue_order_id, reason, created_at,
        updated_at
    FROM orders
    WHERE ($1::text IS NULL OR fund_id = $1) AND ($2::text IS NULL OR status = $2) AND ($3::text IS NULL OR symbol = $3)
        AND NOT ($4 AND status IN ('denied', 'filled', 'cancelled', 'rejected', 'expired'))
    ORDER BY created_at DESC, order_id LIMIT $5"""

POSITIONS = """SELECT p.fund_id, p.symbol, p.quantity, p.average_price, m.price AS mark, p.quantity * m.price AS value,
        p.quantity * (m.price - p.average_price) AS unrealised_pnl, p.realised_pnl, p.fees, p.updated_at
    FROM positions AS p LEFT JOIN marks AS m ON m.fund_id = p.fund_id AND m.symbol = p.symbol
    WHERE ($1::text IS NULL OR p.fund_id = $1) AND ($2 OR p.quantity <> 0)
    ORDER BY p.fund_id, p.symbol"""

CASH_MOVES = """SELECT fund_id, move_id, kind, currency, amount, note, symbol, "timestamp" FROM cash_moves
    WHERE fund_id = $1 ORDER BY sequence DESC"""

Rows = list[dict[str, Any]]


async def orders(
    pool: Pool, fund_id: str | None, status: str | None, symbol: str | None, only_open: bool, limit: int
) -> Rows:
    """The newest orders; None asks for all funds, statuses or names. Times are UTC nanoseconds."""
    with translated("journal"):
        return [dict(row) for row in await pool.fetch(ORDERS, fund_id, status, symbol, only_open, limit)]


async def positions(pool: Pool, fund_id: str | None, closed: bool = False) -> Rows:
    """Positions with what they are worth at the last marks; `closed`: those of nothing, which have a past, too."""
    with translated("journal"):
        return [dict(row) for row in await pool.fetch(POSITIONS, fund_id, closed)]


async def cash_moves(pool: Pool, fund_id: str) -> Rows:
    """Money that came to the fund or left it without a trade, the newest first."""
    with translated("journal"):
        return [dict(row) for row in await pool.fetch(CASH_MOVES, fund_id)]

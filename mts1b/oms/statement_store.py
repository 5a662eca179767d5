"""What statements are made of, read out of the journal as of one moment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from mts1b.foundation.clock import NS_PER_DAY, from_ns
from mts1b.foundation.errors import InputError, unknown_name
from mts1b.foundation.ids import FundId, Symbol
from mts1b.oms.encode import fill_from, move_from
from mts1b.oms.statement import Happened, Ledger, Valued
from mts1b.platform.db import Connection, Pool, transaction

EPOCH = date(1970, 1, 1)

FUNDS = "SELECT fund_id, opening_cash, cash FROM funds WHERE $1::text IS NULL OR fund_id = $1 ORDER BY fund_id"
FUND_IDS = "SELECT fund_id FROM funds ORDER BY fund_id"
LAST_DAY = 'SELECT max("timestamp") / $2 FROM nav_marks WHERE $1::text IS NULL OR fund_id = $1'
VALUED = """SELECT sequence, content FROM audit_chain WHERE subject_id = $1 AND kind = 'nav_marked'
    AND (content::json ->> 'ts_ns')::bigint >= $2 AND (content::json ->> 'ts_ns')::bigint < $3
    ORDER BY (content::json ->> 'ts_ns')::bigint DESC, sequence DESC LIMIT 1"""
PRICES = """SELECT DISTINCT ON (symbol) symbol, price FROM day_marks WHERE fund_id = $1 AND day <= $2
    ORDER BY symbol, day DESC"""
FILLS = """SELECT e.sequence, f.* FROM order_events AS e JOIN fills AS f
    ON f.order_id = e.order_id AND f.fill_id = e.content -> 'fill' ->> 'fill_id'
    WHERE e.kind = 'order_filled' AND f.fund_id = $1 ORDER BY e.sequence"""
MOVES = "SELECT * FROM cash_moves WHERE fund_id = $1 ORDER BY sequence"
POSITIONS = "SELECT symbol, quantity FROM positions WHERE fund_id = $1"


async def ledgers(pool: Pool, day: date | None, fund: str | None) -> list[Ledger]:
    """Of every fund, or this one, that was valued on the day; None: the last day on which any was.

    UnknownNameError for a fund that was never opened; InputError when none was valued on the day.
    """
    async with transaction(pool) as connection:
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        funds = await connection.fetch(FUNDS, fund)
        if fund is not None and not funds:
            raise unknown_name("fund", fund, [row["fund_id"] for row in await connection.fetch(FUND_IDS)])
        if day is None:
            last = await connection.fetchval(LAST_DAY, fund, NS_PER_DAY)
            day = EPOCH if last is None else EPOCH + timedelta(days=last)
        found = [await _ledger(connection, dict(row), day) for row in funds]
    valued = [ledger for ledger in found if ledger is not None]
    if not valued:
        raise InputError("date", day.isoformat(), "no fund was valued on it", "give a day of the market, YYYY-MM-DD")
    return valued


async def _ledger(connection: Connection, fund: Mapping[str, Any], day: date) -> Ledger | None:
    fund_id, begins_ns = FundId(fund["fund_id"]), (day - EPOCH).days * NS_PER_DAY
    closing = await _valued(connection, fund_id, begins_ns, begins_ns + NS_PER_DAY)
    if closing is None:
        return None
    fills = [Happened(row["sequence"], fill_from(dict(row))) for row in await connection.fetch(FILLS, fund_id)]
    moves = [Happened(row["sequence"], move_from(dict(row))) for row in await connection.fetch(MOVES, fund_id)]
    return Ledger(
        fund_id,
        day,
        fund["opening_cash"],
        await _valued(connection, fund_id, 0, begins_ns),
        closing,
        sorted((*fills, *moves), key=lambda one: one.sequence),
        fund["cash"],
        {Symbol(row["symbol"]): row["quantity"] for row in await connection.fetch(POSITIONS, fund_id)},
    )


async def _valued(connection: Connection, fund_id: FundId, first_ns: int, end_ns: int) -> Valued | None:
    """The last valuation of the time from `first_ns` before `end_ns`."""
    row = await connection.fetchrow(VALUED, fund_id, first_ns, end_ns)
    if row is None:
        return None
    told = json.loads(row["content"])
    nav, cash, gross = (Decimal(told[name]) for name in ("nav", "cash", "gross"))
    prices = await connection.fetch(PRICES, fund_id, (from_ns(told["ts_ns"]).date() - EPOCH).days)
    return Valued(row["sequence"], told["ts_ns"], nav, cash, gross, {Symbol(p["symbol"]): p["price"] for p in prices})

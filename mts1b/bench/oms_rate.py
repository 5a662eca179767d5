"""Orders a second through one OMS, durable: the plain OMS as the actor holds it, on Postgres, with its risk at hand."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import numpy as np

from mts1b.bench.oms_desk import oms_desk
from mts1b.bench.own_stack import OwnStack, own_stack
from mts1b.bench.result import BenchResult
from mts1b.bench.session import Session
from mts1b.config import Settings
from mts1b.deploy.endpoints import postgres_source
from mts1b.platform import db

SECONDS, IN_FLIGHT_HTTP, IN_FLIGHT_NEAR = 60, 8, 16
HTTP_PER_S_MIN, NEAR_PER_S_MIN, P99_MS_MAX = 300.0, 1_000.0, 50.0
FLAT_WARM, FLAT_ORDERS, STORED = 1_000, 6_000, (1_000, 1_000_000)

STORE = """INSERT INTO orders (order_id, client_order_id, idempotency_key, fund_id, strategy_id, symbol, side,
    order_type, time_in_force, quantity, reference_price, status, filled_quantity, average_price, fees, created_at,
    updated_at, revision, dedup_until, reason)
SELECT 'old-' || n, 'old-' || n, 'old-' || n, 'old', 'old', 'N' || n % 20, 'buy',
    'market', 'opg', 1, 10, 'filled', 1, 10, 0, n, n, 0, n + 1, '' FROM generate_series($1::bigint, $2::bigint) AS n"""
OLD_FUND = "INSERT INTO funds (fund_id, opening_cash, cash, updated_at) VALUES ('old', 0, 0, 0) ON CONFLICT DO NOTHING"


def oms(session: Session, settings: Settings | None = None) -> BenchResult:
    """Orders a second for 60 s against the exchange's process over HTTP, then against its matching in this process, and
    what an order costs with 10^3 and with 10^6 orders stored.

    First, in each run, what was placed is counted: InvariantBroken unless every order was answered as working, is at
    the venue once, and is booked as filled. `settings`: a stack that is up already.
    """
    with own_stack(session, ("postgres", "nats"), settings) as up:
        return asyncio.run(_all(session, up))


async def _all(session: Session, up: OwnStack) -> BenchResult:
    seconds = session.size(SECONDS, 1)
    figures: dict[str, float] = {"seconds": seconds}
    try:
        pool = await db.open_pool("bench", postgres_source(up.settings, up.endpoints), pool_size=8)
        await db.migrate(pool)
        for name, in_flight in (("http", IN_FLIGHT_HTTP), ("near", IN_FLIGHT_NEAR)):
            session.tell(f"{name} venue")
            async with oms_desk(session, up, pool, name) as desk:
                rate = await desk.for_seconds(seconds, in_flight)
                figures |= {f"{name}_orders": len(rate.times_ms), f"{name}_orders_per_s": rate.per_s}
                for percent in (50, 99):
                    figures[f"{name}_p{percent}_ms"] = float(np.percentile(rate.times_ms, percent))
        try:
            figures |= await _flat(session, up, pool)
        finally:
            await pool.execute("DELETE FROM orders WHERE fund_id = 'old'")
    finally:
        await db.close_pools()
    return BenchResult("oms", figures, _judged(figures))


async def _flat(session: Session, up: OwnStack, pool: db.Pool) -> dict[str, float]:
    """Milliseconds an order costs, one OMS after another, each with more stored than the one before."""
    figures, stored = {}, 0
    for wanted in STORED if not session.quick else (STORED[0], 2 * STORED[0]):
        session.tell(f"{wanted:,} orders stored")
        await _store(pool, stored, wanted)
        stored = wanted
        async with oms_desk(session, up, pool, "near") as desk:
            await desk.for_orders(session.size(FLAT_WARM, 20), IN_FLIGHT_NEAR)
            rate = await desk.for_orders(session.size(FLAT_ORDERS, 50), IN_FLIGHT_NEAR)
            figures[f"stored_{wanted}_cost_ms"] = 1e3 / rate.per_s
    few, many = figures.values()
    return {**figures, "stored_ratio": many / few}


async def _store(pool: db.Pool, stored: int, wanted: int) -> None:
    """So many orders, vacuumed as they would have been by the time there are as many."""
    await pool.execute(OLD_FUND)
    await pool.execute(STORE, stored + 1, wanted)
    await pool.execute("VACUUM (ANALYZE) orders, order_keys")


def _judged(figures: Mapping[str, float]) -> dict[str, float]:
    least = {"http_orders_per_s": HTTP_PER_S_MIN, "near_orders_per_s": NEAR_PER_S_MIN}
    most = {"http_p99_ms": P99_MS_MAX, "near_p99_ms": P99_MS_MAX}
    within = {name: figures[name] >= bound for name, bound in least.items()}
    within |= {name: figures[name] <= bound for name, bound in most.items()}
    targets = {f"target_{name}": bound for name, bound in (least | most).items()}
    return targets | {f"{name}_within": float(kept) for name, kept in within.items()}

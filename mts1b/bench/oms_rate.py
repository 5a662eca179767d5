"""Orders a second through one OMS, durable: the plain OMS as the actor holds it, on Postgres, with its risk at hand."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

import numpy as np

from actors.assumed import LOT
from actors.oms import OmsWorker
from actors.paper_session import fresh_fund, paper_limits
from actors.risk import RiskWorker
from actors.risk_link import InnerRisk
from mts1b.bench.near_venue import NearVenue
from mts1b.bench.own_stack import OwnStack, own_stack
from mts1b.bench.result import BenchResult
from mts1b.bench.session import Session
from mts1b.brokers.paper.client import PaperBroker, PaperMarket
from mts1b.brokers.paper.matching import Rules
from mts1b.brokers.paper.process import ExchangeProcess
from mts1b.brokers.port import Broker
from mts1b.config import Settings
from mts1b.deploy.endpoints import postgres_source
from mts1b.foundation.clock import NS_PER_DAY, NS_PER_MS, NS_PER_S
from mts1b.foundation.commands import SubmitOrder
from mts1b.foundation.errors import InvariantBroken
from mts1b.foundation.ids import FundId, IdempotencyKey, StrategyId, Symbol
from mts1b.foundation.instrument import Instrument
from mts1b.foundation.limits import TICK
from mts1b.foundation.order import OrderStatus, Side
from mts1b.oms.fills import fund_fills
from mts1b.oms.journal import Journal
from mts1b.oms.service import Oms
from mts1b.platform import db
from mts1b.platform.loaded import keep_loaded
from mts1b.platform.telemetry import Recorder
from mts1b.riskengine.master import MasterData, Reference
from mts1b.riskengine.service import RiskService

SECONDS, IN_FLIGHT_HTTP, IN_FLIGHT_NEAR = 60, 8, 16
HTTP_PER_S_MIN, NEAR_PER_S_MIN, P99_MS_MAX = 300.0, 1_000.0, 50.0
FLAT_ORDERS, STORED = 2_000, (1_000, 1_000_000)
SYMBOLS = tuple(Symbol(f"N{number}") for number in range(20))
PRICE, CASH = Decimal(10), Decimal(1_000_000_000)
AUCTION_S = 0.25

STORE = """INSERT INTO orders (order_id, client_order_id, idempotency_key, fund_id, strategy_id, symbol, side,
    order_type, time_in_force, quantity, reference_price, status, filled_quantity, average_price, fees, created_at,
    updated_at, revision, dedup_until, reason)
SELECT 'old-' || n, 'old-' || n, 'old-' || n, 'old', 'old', 'N' || n % 20, 'buy',
    'market', 'opg', 1, 10, 'filled', 1, 10, 0, n, n, 0, n + 1, '' FROM generate_series($1::bigint, $2::bigint) AS n"""
OLD_FUND = "INSERT INTO funds (fund_id, opening_cash, cash, updated_at) VALUES ('old', 0, 0, 0) ON CONFLICT DO NOTHING"


class Market(Protocol):
    """Where auctions are held."""

    async def open_session(self, ts_ns: int, prices: Mapping[Symbol, Decimal]) -> int: ...


@dataclass(slots=True)
class Rate:
    """One run: milliseconds of each order, and the seconds it took."""

    times_ms: list[float] = field(default_factory=list)
    elapsed_s: float = 0.0

    @property
    def per_s(self) -> float:
        return len(self.times_ms) / self.elapsed_s


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
            async with _run(session, up, pool, name) as desk:
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
        async with _run(session, up, pool, "near", stored, wanted) as desk:
            stored = wanted
            session.tell(f"{wanted:,} orders stored")
            await pool.execute("ANALYZE orders")
            rate = await desk.for_orders(session.size(FLAT_ORDERS, 50), IN_FLIGHT_NEAR)
            figures[f"stored_{wanted}_cost_ms"] = 1e3 / rate.per_s
    few, many = figures.values()
    return {**figures, "stored_ratio": many / few}


@contextlib.asynccontextmanager
async def _run(
    session: Session, up: OwnStack, pool: db.Pool, name: str, stored: int = 0, wanted: int = 0
) -> AsyncIterator[_Desk]:
    """A fresh fund on its venue, started, and checked at the end. With `wanted`, orders stored up to that many."""
    fund_id = fresh_fund(session.clock)
    if wanted:
        await pool.execute(OLD_FUND)
        await pool.execute(STORE, stored + 1, wanted)
    async with contextlib.AsyncExitStack() as open_things:
        broker: Broker
        market: Any
        if name == "http":
            venue = await ExchangeProcess.start(up.folder / fund_id, Rules(), session.clock)
            open_things.push_async_callback(venue.stop)
            broker, market = PaperBroker(venue.endpoint), PaperMarket(venue.endpoint)
            open_things.push_async_callback(market.close)
        else:
            broker = market = NearVenue(session.clock)
        open_things.push_async_callback(broker.close)
        desk = _Desk(session, pool, fund_id, broker, market)
        await desk.start()
        try:
            yield desk
            await desk.check()
        finally:
            await desk.worker.close()


class _Desk:
    """One OMS, and the client that hands it orders, so many at a time."""

    def __init__(self, session: Session, pool: db.Pool, fund_id: FundId, broker: Broker, market: Market) -> None:
        self._session, self._pool, self._fund_id, self._market = session, pool, fund_id, market
        limits = paper_limits(SYMBOLS, CASH).model_copy(update={"open_orders_max": 100_000, "name_to_nav_max": CASH})
        instruments = [Instrument(symbol, Decimal(TICK), LOT) for symbol in SYMBOLS]
        master = MasterData.of(instruments, dict.fromkeys(SYMBOLS, Decimal(10**9)))
        service = RiskService(fund_id, limits, session.clock)
        service.refer(Reference(limits, master=master))
        service.set_covariance(SYMBOLS, np.eye(len(SYMBOLS)) * 1e-4)
        gate = InnerRisk(RiskWorker(service))

        async def build(recorder: Recorder) -> Oms:
            journal = Journal(pool, fund_id)
            made = Oms(fund_id, journal, gate, broker, _Bus(), session.clock, CASH, recorder, 0.0)
            gate.restore_it = made.restore_risk
            return made

        self.worker = OmsWorker(build, broker, gate, Recorder())
        self._made, self._day = 0, 20_000
        self._prices = dict.fromkeys(SYMBOLS, PRICE)

    async def start(self) -> None:
        await self.worker.start()
        keep_loaded()  # as the actor does
        await self.worker.mark(self._prices, self._day * NS_PER_DAY)

    async def for_seconds(self, seconds: float, in_flight: int) -> Rate:
        end_ns = self._session.clock.monotonic_ns() + int(seconds * NS_PER_S)
        return await self._rate(in_flight, lambda: self._session.clock.monotonic_ns() < end_ns)

    async def for_orders(self, orders: int, in_flight: int) -> Rate:
        last = self._made + orders
        return await self._rate(in_flight, lambda: self._made < last)

    async def check(self) -> None:
        """InvariantBroken unless each order was filled once, and booked."""
        await self._auction()
        counts = await self.worker.order_counts()
        fills = await fund_fills(self._pool, self._fund_id)
        if counts != {OrderStatus.FILLED.value: self._made} or len({fill.order_id for fill in fills}) != self._made:
            raise InvariantBroken("orders", counts, f"{self._made} were made, {len(fills)} fills are booked")

    async def _rate(self, in_flight: int, goes_on: Any) -> Rate:
        rate, clock = Rate(), self._session.clock
        began_ns = clock.monotonic_ns()

        async def client() -> None:
            while goes_on():
                since_ns = clock.monotonic_ns()
                order = await self.worker.submit(self._command())
                if order.status is not OrderStatus.WORKING and order.status is not OrderStatus.FILLED:
                    raise InvariantBroken("order", order.reason, f"is {order.status}")
                rate.times_ms.append((clock.monotonic_ns() - since_ns) / NS_PER_MS)

        async def auctions() -> None:
            while True:
                await asyncio.sleep(AUCTION_S)
                await self._auction()

        market = asyncio.create_task(auctions())
        await asyncio.gather(*(client() for _ in range(in_flight)))
        rate.elapsed_s = (clock.monotonic_ns() - began_ns) / NS_PER_S
        market.cancel()
        await asyncio.wait([market])
        return rate

    async def _auction(self) -> None:
        self._day += 1
        sequence = await self._market.open_session(self._day * NS_PER_DAY, self._prices)
        await self.worker.caught_up(sequence)

    def _command(self) -> SubmitOrder:
        self._made += 1
        ids = IdempotencyKey(f"{self._fund_id}-{self._made}"), self._fund_id, StrategyId("bench")
        return SubmitOrder(*ids, SYMBOLS[self._made % len(SYMBOLS)], Side.BUY, Decimal(1), PRICE, self._made)


class _Bus:
    """Takes every message: what the bus costs is another benchmark's."""

    async def publish(self, subject: str, payload: bytes, message_id: str) -> None:
        return


def _judged(figures: Mapping[str, float]) -> dict[str, float]:
    least = {"http_orders_per_s": HTTP_PER_S_MIN, "near_orders_per_s": NEAR_PER_S_MIN}
    most = {"http_p99_ms": P99_MS_MAX, "near_p99_ms": P99_MS_MAX}
    within = {name: figures[name] >= bound for name, bound in least.items()}
    within |= {name: figures[name] <= bound for name, bound in most.items()}
    targets = {f"target_{name}": bound for name, bound in (least | most).items()}
    return targets | {f"{name}_within": float(kept) for name, kept in within.items()}

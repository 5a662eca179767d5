"""One plain OMS as the actor holds it, on Postgres, with its risk at hand, and the client that hands it orders."""

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
from mts1b.bench.own_stack import OwnStack
from mts1b.bench.session import Session
from mts1b.brokers.paper.client import PaperBroker, PaperMarket
from mts1b.brokers.paper.matching import Rules
from mts1b.brokers.paper.process import ExchangeProcess
from mts1b.brokers.port import Broker
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
from mts1b.oms.veto import Veto
from mts1b.platform import db
from mts1b.platform.loaded import keep_loaded
from mts1b.platform.telemetry import Recorder
from mts1b.riskengine.master import MasterData, Reference
from mts1b.riskengine.service import RiskService

SYMBOLS = tuple(Symbol(f"N{number}") for number in range(20))
PRICE, CASH = Decimal(10), Decimal(1_000_000_000)
AUCTION_S = 0.25


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


@contextlib.asynccontextmanager
async def oms_desk(session: Session, up: OwnStack, pool: db.Pool, venue: str) -> AsyncIterator[OmsDesk]:
    """A fresh fund on its venue, started, and checked at the end. `venue`: the exchange's process over "http", or its
    matching in this process, "near"."""
    fund_id = fresh_fund(session.clock)
    async with contextlib.AsyncExitStack() as open_things:
        broker: Broker
        market: Any
        if venue == "http":
            exchange = await ExchangeProcess.start(up.folder / fund_id, Rules(), session.clock)
            open_things.push_async_callback(exchange.stop)
            broker, market = PaperBroker(exchange.endpoint), PaperMarket(exchange.endpoint)
            open_things.push_async_callback(market.close)
        else:
            broker = market = NearVenue(session.clock)
        open_things.push_async_callback(broker.close)
        desk = OmsDesk(session, pool, fund_id, broker, market)
        await desk.start()
        try:
            yield desk
            await desk.check()
        finally:
            await desk.worker.close()


class OmsDesk:
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
            self._oms = made
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

    async def at_pace(self, orders: int, per_s: float) -> list[float]:
        """Milliseconds of each of so many orders, one begun every 1 / `per_s`, however long those before it take."""
        clock, began_ns = self._session.clock, self._session.clock.monotonic_ns()
        placed: list[asyncio.Task[float]] = []
        async with self._auctions():
            for number in range(orders):
                due_ns = began_ns + int(number * NS_PER_S / per_s)
                await asyncio.sleep(max(0.0, (due_ns - clock.monotonic_ns()) / NS_PER_S))
                placed.append(asyncio.create_task(self._placed()))
            return list(await asyncio.gather(*placed))

    def register_veto(self, veto: Veto | None) -> None:
        """Gate 7 of this OMS from now on."""
        self._oms.register_veto(veto)

    async def _rate(self, in_flight: int, goes_on: Any) -> Rate:
        rate, clock = Rate(), self._session.clock
        began_ns = clock.monotonic_ns()

        async def client() -> None:
            while goes_on():
                rate.times_ms.append(await self._placed())

        async with self._auctions():
            await asyncio.gather(*(client() for _ in range(in_flight)))
            rate.elapsed_s = (clock.monotonic_ns() - began_ns) / NS_PER_S
        return rate

    async def _placed(self) -> float:
        """Milliseconds until one more order was at work. InvariantBroken when it is not."""
        since_ns = self._session.clock.monotonic_ns()
        order = await self.worker.submit(self._command())
        if order.status is not OrderStatus.WORKING and order.status is not OrderStatus.FILLED:
            raise InvariantBroken("order", order.reason, f"is {order.status}")
        return (self._session.clock.monotonic_ns() - since_ns) / NS_PER_MS

    @contextlib.asynccontextmanager
    async def _auctions(self) -> AsyncIterator[None]:
        """One after another, AUCTION_S apart, while the block runs."""

        async def held() -> None:
            while True:
                await asyncio.sleep(AUCTION_S)
                await self._auction()

        market = asyncio.create_task(held())
        try:
            yield
        finally:
            market.cancel()
            await asyncio.wait([market])

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

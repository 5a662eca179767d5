"""A whole order core in one process: memory journal, memory venue with faults to order, memory bus, local risk."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np

from mts1b.audit.chain import Verified, verify
from mts1b.brokers.port import Broker, VenueAck, VenueOrderState, VenueReject, VenueReport
from mts1b.foundation.clock import NS_PER_DAY
from mts1b.foundation.commands import SubmitOrder
from mts1b.foundation.errors import VenueTimeout
from mts1b.foundation.ids import ClientOrderId, FundId, IdempotencyKey, StrategyId, Symbol
from mts1b.foundation.order import Order, Side
from mts1b.oms.local_risk import LocalRisk
from mts1b.oms.ports import JournalPort
from mts1b.oms.service import Oms
from mts1b.riskengine import RiskService
from mts1b.testing.bus import MemoryBus
from mts1b.testing.clock import SimulatedClock
from mts1b.testing.journal import MemoryJournal, MemoryStore
from mts1b.testing.venue import MemoryVenue
from tests.unit.riskengine.books import FUND, MASTER, SYMBOLS, limits

PRICE = Decimal("10")
OPENING_CASH = Decimal(1_000_000)


class Faults:
    """A venue whose answers get lost to order: each call takes the next word of `script`, `ok` when there is none.

    `lost`: the venue never heard it. `late`: it did, and its answer got lost.
    """

    def __init__(self, venue: Broker) -> None:
        self.venue, self.script, self.calls = venue, list[str](), list[str]()

    async def submit(self, order: Order) -> VenueAck | VenueReject:
        return await self._through("submit", lambda: self.venue.submit(order))

    async def replace(self, order: Order) -> VenueAck | VenueReject:
        return await self._through("replace", lambda: self.venue.replace(order))

    async def cancel(self, client_order_id: ClientOrderId) -> VenueAck | VenueReject:
        return await self._through("cancel", lambda: self.venue.cancel(client_order_id))

    async def query(self, client_order_id: ClientOrderId) -> VenueOrderState | None:
        return await self._through("query", lambda: self.venue.query(client_order_id))

    def reports(self, after: int = 0) -> Any:
        return self.venue.reports(after)

    async def close(self) -> None:
        await self.venue.close()

    async def _through(self, name: str, call: Callable[[], Any]) -> Any:
        self.calls.append(name)
        word = self.script.pop(0) if self.script else "ok"
        if word == "lost":
            raise VenueTimeout("venue", name, "no answer", "ask")
        answer = await call()
        if word == "late":
            raise VenueTimeout("venue", name, "no answer", "ask")
        return answer


class Ticking(SimulatedClock):
    """No two readings are the same: an order made again would have another id."""

    def now_ns(self) -> int:
        self.advance(1)
        return super().now_ns()


class Desk:
    """What outlives an OMS (clock, store, venue, bus) and the OMS of the moment."""

    def __init__(self, content_window_s: float = 0.0, **changes: Any) -> None:
        self.content_window_s = content_window_s
        self.clock = Ticking(10**18)
        self.store, self.bus = MemoryStore(), MemoryBus()
        self.exchange = MemoryVenue(self.clock)
        self.venue = Faults(self.exchange)
        self.changes = changes
        self.session = 20_000
        self.journal: JournalPort = MemoryJournal(self.store, FUND)

    async def start(self, journal: JournalPort | None = None, fund: FundId = FUND) -> Oms:
        """A new OMS on what is stored, recovered and marked at PRICE."""
        self.journal = journal or MemoryJournal(self.store, fund)
        self.risk = RiskService(fund, limits(**self.changes), self.clock, MASTER)
        self.risk.set_covariance(SYMBOLS, np.eye(len(SYMBOLS)) * 1e-4)
        port, window_s = LocalRisk(self.risk), self.content_window_s
        self.oms = Oms(
            fund, self.journal, port, self.venue, self.bus, self.clock, OPENING_CASH, content_window_s=window_s
        )
        await self.oms.recover()
        await self.mark()
        return self.oms

    async def mark(self) -> None:
        prices = {symbol: PRICE for symbol in SYMBOLS}
        await self.oms.mark(prices, self.session * NS_PER_DAY)
        self.risk.mark(prices, self.session * NS_PER_DAY)

    def command(self, number: int, quantity: int = 100, side: Side = Side.BUY, symbol: str = "A") -> SubmitOrder:
        return SubmitOrder(
            IdempotencyKey(f"k{number}"), self.oms.fund_id, StrategyId("s"), Symbol(symbol), side, Decimal(quantity),
            PRICE, number,
        )  # fmt: skip

    def reports(self) -> list[VenueReport]:
        """What the venue reported and the OMS has not followed."""
        return self.exchange.exchange.reports[self.oms.report_sequence :]

    async def trade(self) -> None:
        """One opening auction, followed to its end."""
        self.session += 1
        await self.exchange.open_session(self.session * NS_PER_DAY, {symbol: PRICE for symbol in SYMBOLS})
        await self.oms.on_reports(self.reports())
        await self.exchange.close_session(self.session * NS_PER_DAY + 1)
        await self.oms.on_reports(self.reports())

    def check(self) -> None:
        """Nothing lost, nothing doubled: the venue's own log is the judge."""
        fills = [report for report in self.exchange.exchange.reports if report.kind == "fill"]
        orders = {order.client_order_id: order for order in self.store.orders.values()}
        assert set(self.exchange.exchange.orders) <= set(orders), "the venue holds an order that is not journalled"
        followed = [report for report in fills if report.sequence <= self.oms.report_sequence]
        assert {fill.fill_id for fill in followed} <= set(self.store.fills)
        keys = [order.idempotency_key for order in self.store.orders.values()]
        assert len(keys) == len(set(keys)), "one decision made two orders"
        cash = OPENING_CASH
        held: dict[Symbol, Decimal] = {}
        for fill in self.store.fills.values():
            cash += fill.cash_change
            held[fill.symbol] = held.get(fill.symbol, Decimal(0)) + fill.side.sign * fill.quantity
        assert cash == self.oms.book.cash
        assert held == {item.symbol: item.quantity for item in self.oms.book.positions.values()}
        assert isinstance(verify(self.store.links, expected_head=self.store.head), Verified)
        state = self.risk.state
        assert state.cash == cash and {s: n.held for s, n in state.names.items() if n.held} == {
            symbol: quantity for symbol, quantity in held.items() if quantity
        }
        working: dict[Symbol, Decimal] = {}
        for order in self.oms.open_orders():
            if order.exposed_quantity:
                working[order.symbol] = working.get(order.symbol, Decimal(0)) + order.exposed_quantity
        assert working == {s: n.buys + n.sells for s, n in state.names.items() if n.buys + n.sells}

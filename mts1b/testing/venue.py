"""The paper exchange in this process: the same matching, without a socket, a disk or a process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal

from mts1b.brokers.paper.client import paper_order
from mts1b.brokers.paper.matching import (
    Amend,
    Cancel,
    CloseSession,
    Command,
    Exchange,
    OpenSession,
    OutOfTurn,
    Place,
    Quote,
    Rules,
)
from mts1b.brokers.port import ReportKind, VenueAck, VenueOrderState, VenueReject, VenueReport
from mts1b.foundation.clock import Clock
from mts1b.foundation.errors import VenueError
from mts1b.foundation.ids import ClientOrderId, Symbol
from mts1b.foundation.order import Order


class MemoryVenue:
    """Both sides of a venue: the broker port, and the session calls that `PaperMarket` has."""

    def __init__(self, clock: Clock, rules: Rules | None = None) -> None:
        self.exchange = Exchange(rules=rules or Rules())
        self._clock = clock
        self._grown = asyncio.Event()
        self._closed = False

    async def submit(self, order: Order) -> VenueAck | VenueReject:
        self._in_time(order)
        self._do(Place(paper_order(order), self._clock.now_ns()))
        first = self.exchange.orders[order.client_order_id].state.reports[0]
        if first.kind is ReportKind.REJECT:
            return VenueReject(order.client_order_id, first.reason, first.ts_ns)
        return VenueAck(order.client_order_id, first.venue_order_id, first.ts_ns)

    async def replace(self, order: Order) -> VenueAck | VenueReject:
        self._in_time(order)
        assert order.wanted is not None, "the order wants no other terms"
        now_ns, name = self._clock.now_ns(), order.client_order_id
        if problem := self.exchange.amend_problem(name, order.wanted):
            if name in self.exchange.orders:
                self._do(Amend(name, order.wanted, now_ns))  # the revision is spent
            return VenueReject(name, problem, now_ns)
        self._do(Amend(name, order.wanted, now_ns))
        return VenueAck(name, self.exchange.orders[name].state.venue_order_id, now_ns)

    async def cancel(self, client_order_id: ClientOrderId) -> VenueAck | VenueReject:
        now_ns = self._clock.now_ns()
        state = self.exchange.query(client_order_id)
        if state is None:
            return VenueReject(client_order_id, "unknown order", now_ns)
        if client_order_id not in self.exchange.working:
            return VenueReject(client_order_id, f"already {state.status}", now_ns)
        self._do(Cancel(client_order_id, now_ns))
        return VenueAck(client_order_id, state.venue_order_id, now_ns)

    async def query(self, client_order_id: ClientOrderId) -> VenueOrderState | None:
        return self.exchange.query(client_order_id)

    async def reports(self, after: int = 0) -> AsyncIterator[VenueReport]:
        while not self._closed:
            for report in self.exchange.reports[after:]:
                after = report.sequence
                yield report
            self._grown.clear()
            if after == len(self.exchange.reports) and not self._closed:
                await self._grown.wait()

    async def close(self) -> None:
        self._closed = True
        self._grown.set()

    async def open_session(self, ts_ns: int, prices: Mapping[Symbol, Decimal]) -> int:
        return self._do(OpenSession(ts_ns, dict(prices)))

    async def quote(self, ts_ns: int, prices: Mapping[Symbol, Decimal]) -> int:
        return self._do(Quote(ts_ns, dict(prices)))

    async def close_session(self, ts_ns: int) -> int:
        return self._do(CloseSession(ts_ns))

    def _in_time(self, order: Order) -> None:
        if 0 < order.send_by_ns < self._clock.now_ns():
            raise VenueError("venue", "memory", "the request comes too late", "ask about the order")

    def _do(self, command: Command) -> int:
        try:
            reports = self.exchange.decide(command)
        except OutOfTurn as error:
            raise VenueError("venue", "memory", str(error), "see the problem") from None
        self.exchange.apply(command, reports)
        if reports:
            self._grown.set()
        return len(self.exchange.reports)

"""The paper exchange's matching in this process, without a socket or a disk: what is left is the OMS's own work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal

from mts1b.brokers.paper.client import paper_order
from mts1b.brokers.paper.matching import Cancel, Command, Exchange, OpenSession, Place
from mts1b.brokers.port import VenueAck, VenueOrderState, VenueReject, VenueReport
from mts1b.foundation.clock import Clock
from mts1b.foundation.errors import VenueError
from mts1b.foundation.ids import ClientOrderId, Symbol
from mts1b.foundation.order import Order


class NearVenue:
    """The broker port, and the opening auctions of its market."""

    def __init__(self, clock: Clock) -> None:
        self.exchange = Exchange()
        self._clock, self._grown = clock, asyncio.Event()

    async def submit(self, order: Order) -> VenueAck | VenueReject:
        now_ns = self._clock.now_ns()
        self._do(Place(paper_order(order), now_ns))
        state = self.exchange.orders[order.client_order_id].state
        return VenueAck(order.client_order_id, state.venue_order_id, now_ns)

    async def replace(self, order: Order) -> VenueAck | VenueReject:
        raise VenueError("order", order.order_id, "is not replaced here", "use the paper exchange")

    async def cancel(self, client_order_id: ClientOrderId) -> VenueAck | VenueReject:
        now_ns = self._clock.now_ns()
        if client_order_id not in self.exchange.working:
            return VenueReject(client_order_id, "is not at work", now_ns)
        self._do(Cancel(client_order_id, now_ns))
        state = self.exchange.orders[client_order_id].state
        return VenueAck(client_order_id, state.venue_order_id, now_ns)

    async def query(self, client_order_id: ClientOrderId) -> VenueOrderState | None:
        return self.exchange.query(client_order_id)

    async def reports(self, after: int = 0) -> AsyncIterator[VenueReport]:
        while True:
            for report in self.exchange.reports[after:]:
                after = report.sequence
                yield report
            self._grown.clear()
            if len(self.exchange.reports) == after:
                await self._grown.wait()

    async def open_session(self, ts_ns: int, prices: Mapping[Symbol, Decimal]) -> int:
        self._do(OpenSession(ts_ns, prices))
        return len(self.exchange.reports)

    async def close(self) -> None:
        """Nothing to let go of."""

    def _do(self, command: Command) -> None:
        self.exchange.apply(command, self.exchange.decide(command))
        self._grown.set()

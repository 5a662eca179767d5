"""The broker port of one OMS process, over the network: its adapter and the venue's stream of reports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from mts1b.brokers.port import VenueAck, VenueOrderState, VenueReject, VenueReport
from mts1b.foundation.clock import Clock
from mts1b.foundation.errors import VenueError
from mts1b.foundation.ids import ClientOrderId
from mts1b.foundation.limits import QUEUE_DEPTH_MAX
from mts1b.foundation.order import Order
from mts1b.testing.sim.loop import Process
from mts1b.testing.sim.network import Lane, Network
from mts1b.testing.sim.venue import SimVenue

SILENCE_S = 1.0
"""How long a stream may say nothing before its connection is made anew, which brings what was lost at its end."""

RECONNECT_S = 0.1


class SimBroker:
    """A Broker. `sent` hears of everything that leaves, before it does."""

    def __init__(
        self,
        venue: SimVenue,
        at_venue: Process,
        me: Process,
        network: Network,
        clock: Clock,
        sent: Callable[[str, Order | ClientOrderId], None],
    ) -> None:
        self._venue, self._at_venue, self._me, self._network = venue, at_venue, me, network
        self._clock, self._sent = clock, sent
        self._connection = 0

    async def submit(self, order: Order) -> VenueAck | VenueReject:
        self._in_time(order)
        self._sent("submit", order)
        return await self._ask(self._venue.submit, order)

    async def replace(self, order: Order) -> VenueAck | VenueReject:
        self._in_time(order)
        self._sent("replace", order)
        return await self._ask(self._venue.replace, order)

    async def cancel(self, client_order_id: ClientOrderId) -> VenueAck | VenueReject:
        self._sent("cancel", client_order_id)
        return await self._ask(self._venue.cancel, client_order_id)

    async def query(self, client_order_id: ClientOrderId) -> VenueOrderState | None:
        return await self._ask(self._venue.query, client_order_id)

    async def reports(self, after: int = 0) -> AsyncIterator[VenueReport]:
        """As the port says: in order, each once. A stream that is silent or has a hole is taken up again."""
        while True:
            if self._connection:
                await asyncio.sleep(RECONNECT_S)
            came: asyncio.Queue[VenueReport] = asyncio.Queue(QUEUE_DEPTH_MAX)
            self._connection += 1
            self._network.send(self._at_venue, self._listen, self._connection, after, came)
            while True:
                try:
                    async with asyncio.timeout(SILENCE_S):
                        report = await came.get()
                except TimeoutError:
                    break
                if report.sequence == after + 1:
                    after = report.sequence
                    yield report
                elif report.sequence > after:
                    break  # one was lost, or is late

    async def close(self) -> None:
        self._connection = 0

    def _listen(self, connection: int, after: int, came: asyncio.Queue[VenueReport]) -> None:
        """At the venue: everything after `after`, then what comes, for as long as the connection lasts."""
        lane = Lane()

        def tell(report: VenueReport) -> None:
            if connection != self._connection or self._me.is_dead:
                self._venue.listeners.remove(tell)
            else:
                self._network.send(self._me, came.put_nowait, report, lane=lane)

        for report in self._venue.reports[after:]:
            self._network.send(self._me, came.put_nowait, report, lane=lane)
        self._venue.listeners.append(tell)

    def _in_time(self, order: Order) -> None:
        if 0 < order.send_by_ns < self._clock.now_ns():
            raise VenueError("venue", "simulated", "the order was to leave earlier: not sent", "ask about the order")

    async def _ask(self, answer: Callable[..., Any], *question: object) -> Any:
        return await self._network.ask(self._me, self._at_venue, answer, *question)

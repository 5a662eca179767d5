"""The broker worker: holds the venue's connections for the OMS, and its reports until the OMS has taken them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from mts1b.brokers.port import Broker, ReportKind, VenueAck, VenueOrderState, VenueReject, VenueReport
from mts1b.foundation.ids import ClientOrderId
from mts1b.foundation.limits import QUEUE_DEPTH_MAX
from mts1b.foundation.order import Order

BATCH_REPORTS = 500
ACKS_WAIT_S = 0.2


class BrokerWorker:
    """The broker port with its reports as batches to be fetched: one reader, which names the last report it has."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._reports: deque[VenueReport] = deque()
        self._changed = asyncio.Condition()
        self._pump: asyncio.Task[None] | None = None
        self._head = 0  # the report before the oldest one held
        self._counts = {"submitted": 0, "replaced": 0, "cancelled": 0, "queried": 0, "reports": 0}

    async def submit(self, order: Order) -> VenueAck | VenueReject:
        self._counts["submitted"] += 1
        return await self._broker.submit(order)

    async def replace(self, order: Order) -> VenueAck | VenueReject:
        self._counts["replaced"] += 1
        return await self._broker.replace(order)

    async def cancel(self, client_order_id: ClientOrderId) -> VenueAck | VenueReject:
        self._counts["cancelled"] += 1
        return await self._broker.cancel(client_order_id)

    async def query(self, client_order_id: ClientOrderId) -> VenueOrderState | None:
        self._counts["queried"] += 1
        return await self._broker.query(client_order_id)

    async def reports_after(self, after: int, wait_s: float) -> list[VenueReport]:
        """The next reports above `after`, at most BATCH_REPORTS; empty when none came within `wait_s`.

        Reports up to `after` are let go. Asking for older ones again starts over at the venue. Acknowledgements, which
        `submit` has given already, are no news: alone they wait ACKS_WAIT_S for company.
        """
        if self._pump is None or after < self._head or self._pump.done():
            await self._start(after)
        async with self._changed:
            while self._reports and self._reports[0].sequence <= after:
                self._head = self._reports.popleft().sequence
            self._changed.notify_all()  # room for the pump
            if not await self._within(wait_s, lambda: bool(self._reports)):
                return []
            await self._within(ACKS_WAIT_S, lambda: any(report.kind is not ReportKind.ACK for report in self._reports))
        if not self._reports and self._pump is not None and self._pump.done():
            self._pump.result()  # raises what ended it
        return [report for _, report in zip(range(BATCH_REPORTS), self._reports, strict=False)]

    async def statistics(self) -> dict[str, int]:
        return {**self._counts, "waiting_reports": len(self._reports)}

    async def close(self) -> None:
        """Let go of the venue."""
        await self._broker.close()
        await self._stop()

    async def _within(self, wait_s: float, condition: Callable[[], bool]) -> bool:
        """Whether the condition came true, or the pump ended, in time. The lock is held."""
        try:
            async with asyncio.timeout(wait_s):
                await self._changed.wait_for(lambda: self._pump is None or self._pump.done() or condition())
        except TimeoutError:
            return False
        return True

    async def _start(self, after: int) -> None:
        await self._stop()
        self._reports.clear()
        self._head = after
        self._pump = asyncio.create_task(self._read(after))

    async def _stop(self) -> None:
        pump, self._pump = self._pump, None
        if pump is not None:
            pump.cancel()
            await asyncio.wait([pump])

    async def _read(self, after: int) -> None:
        try:
            async for report in self._broker.reports(after):
                async with self._changed:
                    await self._changed.wait_for(lambda: len(self._reports) < QUEUE_DEPTH_MAX)
                    self._reports.append(report)
                    self._counts["reports"] += 1
                    self._changed.notify_all()
        finally:
            async with self._changed:
                self._changed.notify_all()

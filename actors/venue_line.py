"""The broker port in the OMS's process: it speaks to the venue itself, and hears of it through the broker actor."""

from __future__ import annotations

from collections.abc import AsyncIterator

from mts1b.brokers.port import Broker, VenueAck, VenueOrderState, VenueReject, VenueReport
from mts1b.foundation.ids import ClientOrderId
from mts1b.foundation.order import Order


class VenueLine:
    """Requests go over `speaks`, reports come over `hears`.

    A hop to another process costs an order more than the venue does (`mts bench hotpath`); reports are not waited for.
    """

    def __init__(self, speaks: Broker, hears: Broker) -> None:
        self._speaks, self._hears = speaks, hears

    async def submit(self, order: Order) -> VenueAck | VenueReject:
        return await self._speaks.submit(order)

    async def replace(self, order: Order) -> VenueAck | VenueReject:
        return await self._speaks.replace(order)

    async def cancel(self, client_order_id: ClientOrderId) -> VenueAck | VenueReject:
        return await self._speaks.cancel(client_order_id)

    async def query(self, client_order_id: ClientOrderId) -> VenueOrderState | None:
        return await self._speaks.query(client_order_id)

    def reports(self, after: int = 0) -> AsyncIterator[VenueReport]:
        return self._hears.reports(after)

    async def close(self) -> None:
        """Let go of the venue; who brings the reports is another's."""
        await self._speaks.close()

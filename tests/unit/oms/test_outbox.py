"""The outbox publishes what waits for as long as its OMS is the writer, however often that changed hands."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

from mts1b.foundation.errors import LeaseLost
from mts1b.oms.outbox import Outbox
from mts1b.oms.ports import JournalPort, OutboxMessage
from mts1b.testing.bus import MemoryBus
from mts1b.testing.clock import SimulatedClock


class Changing:
    """A journal whose lease is lost, and taken again, while the first message is noted as published."""

    def __init__(self) -> None:
        self.waiting = [(1, OutboxMessage("mts.v1.oms.fills.created", "fill-1", "{}"))]
        self.outbox: Outbox | None = None
        self.marks, self.is_empty = 0, asyncio.Event()

    async def unpublished(self, limit: int) -> Sequence[tuple[int, OutboxMessage]]:
        return self.waiting[:limit]

    async def mark_published(self, ids: Sequence[int], ts_ns: int) -> None:
        self.marks += 1
        if self.marks == 1:
            assert self.outbox is not None
            self.outbox.wake()  # as `recover` does: this OMS is the writer again
            raise LeaseLost("fund_id", "fund", "another OMS has taken over", "it publishes what is left")
        self.waiting.clear()
        self.is_empty.set()


def test_woken_while_it_loses_the_lease_it_goes_on() -> None:
    async def whole() -> None:
        journal, bus = Changing(), MemoryBus()
        journal.outbox = Outbox(cast(JournalPort, journal), bus, SimulatedClock())
        journal.outbox.wake()
        async with asyncio.timeout(5):
            await journal.is_empty.wait()
        assert journal.marks == 2
        assert {message.message_id for message in bus.published} == {"fill-1"}

    asyncio.run(whole())

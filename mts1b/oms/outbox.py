"""From the journal to the bus: what a step says to the world leaves after the step is durable, and at least once.

A crash between publishing and noting it repeats the message under the same id, which the bus drops.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mts1b.foundation.errors import LeaseLost, StackError
from mts1b.foundation.limits import OUTBOX_BATCH_MAX, OUTBOX_RETRY_S

if TYPE_CHECKING:
    from mts1b.foundation.clock import Clock
    from mts1b.oms.ports import BusPort, JournalPort


class Outbox:
    """Publishes in the order of the journal, one message after another, in the background once woken."""

    def __init__(self, journal: JournalPort, bus: BusPort, clock: Clock) -> None:
        self._journal, self._bus, self._clock = journal, bus, clock
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._woken = False
        self.published = 0

    def wake(self) -> None:
        """There is something to publish. Returns at once."""
        self._woken = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def drain(self) -> int:
        """Publish all that waits now; returns how many. StackError when the bus does not answer: nothing is lost."""
        sent, is_more = 0, True
        async with self._lock:
            while is_more and (batch := await self._journal.unpublished(OUTBOX_BATCH_MAX)):
                for _, message in batch:
                    await self._bus.publish(message.subject, message.payload.encode(), message.message_id)
                await self._journal.mark_published([row for row, _ in batch], self._clock.now_ns())
                sent += len(batch)
                is_more = len(batch) == OUTBOX_BATCH_MAX  # what came meanwhile has woken the next one
        self.published += sent
        return sent

    async def close(self) -> None:
        """Publish what waits, if the bus answers, and stop."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await asyncio.gather(self.drain(), return_exceptions=True)

    async def _run(self) -> None:
        while self._woken:
            self._woken = False
            try:
                await self.drain()
            except LeaseLost:  # another publishes what is left; or this one, woken when it became the writer again
                continue
            except StackError:  # the bus is away: the messages wait in the journal
                self._woken = True
                await asyncio.sleep(OUTBOX_RETRY_S)

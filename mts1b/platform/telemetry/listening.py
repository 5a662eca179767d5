"""The other end: hear of operations as they end, and read what was kept of them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Protocol

from mts1b.foundation.errors import DataError
from mts1b.foundation.limits import QUEUE_DEPTH_MAX
from mts1b.platform.telemetry.rollup import MINUTE_NS, Rollup, unpacked
from mts1b.platform.telemetry.spans import Operation
from mts1b.platform.telemetry.wire import LISTENERS, NEWCOMERS, OPERATIONS, Line, listener_message, read_operations

ANNOUNCE_S = 2.0
"""How often listeners repeat their wish, if no process is new; it counts for twice as long and a little."""


class Archive(Protocol):
    """Where rollups are kept."""

    async def kept_since(self, since_ns: int) -> list[bytes]:
        """What was stored since then, UTC."""


async def rollups_since(archive: Archive, since_ns: int) -> list[Rollup]:
    """Every minute that had not ended at `since_ns` (UTC), of every process. DataError when one cannot be read."""
    begun_ns = since_ns - since_ns % MINUTE_NS
    found = [unpacked(message) for message in await archive.kept_since(begun_ns)]
    return [rollup for rollup in found if rollup.minute * MINUTE_NS >= begun_ns]


class Listening:
    """Operations of all services that take at least `threshold_ns`, as they end.

    `missed` counts those that did not get through: too many for their process to send or for us to take.
    """

    def __init__(self, line: Line, threshold_ns: int) -> None:
        self._line, self._threshold_ns = line, threshold_ns
        self._name = f"{os.getpid()}-{os.urandom(3).hex()}"
        self._heard: asyncio.Queue[Operation] = asyncio.Queue(QUEUE_DEPTH_MAX)
        self._newcomer = asyncio.Event()
        self.missed = 0
        self.unreadable = 0

    async def start(self) -> None:
        """From now on every operation is heard. StackError when the bus does not answer."""
        await self._line.hear(f"{OPERATIONS}.>", self._take)
        await self._line.hear(NEWCOMERS, lambda _process: self._newcomer.set())
        await self._announce()

    async def operations(self) -> AsyncIterator[Operation]:
        """For ever, once started. StackError when the bus is lost."""
        announcing = asyncio.create_task(self._announce_again())
        getting = asyncio.create_task(self._heard.get())
        try:
            while True:
                await asyncio.wait({announcing, getting}, return_when=asyncio.FIRST_COMPLETED)
                if getting.done():
                    yield getting.result()
                    getting = asyncio.create_task(self._heard.get())
                elif announcing.done():
                    announcing.result()
        finally:
            for task in (announcing, getting):
                task.cancel()
            await asyncio.wait({announcing, getting})

    async def _announce(self) -> None:
        await self._line.tell(LISTENERS, listener_message(self._name, self._threshold_ns, 2.5 * ANNOUNCE_S))

    async def _announce_again(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._newcomer.wait(), ANNOUNCE_S)
            self._newcomer.clear()
            await self._announce()

    def _take(self, message: bytes) -> None:
        try:
            heard = read_operations(message)
        except DataError:
            self.unreadable += 1
            return
        self.missed += heard.dropped
        for operation in heard.operations:
            if operation.duration_ns < self._threshold_ns:
                continue
            if self._heard.full():
                self.missed += 1
            else:
                self._heard.put_nowait(operation)

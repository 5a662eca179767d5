"""Events that leave in the background, for those who must not wait for the bus."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from mts1b.foundation.errors import StackError
from mts1b.foundation.limits import QUEUE_DEPTH_MAX
from mts1b.platform.events import Event

RETRY_S = 1.0


class Publisher(Protocol):
    """The part of the bus that is needed here."""

    async def publish_typed(self, happened: Event) -> object: ...


class PublishLater:
    """Events leave one after another, each again until the bus has it. `connect` is asked when the first one is there.

    With more than QUEUE_DEPTH_MAX waiting the oldest goes; `dropped` counts those.
    """

    def __init__(self, connect: Callable[[], Awaitable[Publisher]]) -> None:
        self._connect = connect
        self._waiting: deque[Event] = deque()
        self._task: asyncio.Task[None] | None = None
        self.sent = self.dropped = 0

    def put(self, happened: Event) -> None:
        """Returns at once. Call it from the event loop that the bus belongs to."""
        self._waiting.append(happened)
        if len(self._waiting) > QUEUE_DEPTH_MAX:
            self._waiting.popleft()
            self.dropped += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def close(self, wait_s: float = 1.0) -> None:
        """Give what waits a moment to leave."""
        if self._task is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._task, wait_s)

    async def _run(self) -> None:
        while self._waiting:
            happened = self._waiting[0]
            try:
                await (await self._connect()).publish_typed(happened)
            except StackError:  # the bus is away: it hears of it when it is back
                await asyncio.sleep(RETRY_S)
                continue
            self.sent += 1
            if self._waiting and self._waiting[0] is happened:  # it may have been dropped meanwhile
                self._waiting.popleft()

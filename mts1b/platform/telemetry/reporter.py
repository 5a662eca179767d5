"""The thread of a process that says what its operations took: slow ones at once, all of them by the minute.

The operations themselves wait for nothing here: they leave a record in a bounded queue, or only a count.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from contextlib import suppress

from mts1b.foundation.clock import NS_PER_MS, NS_PER_S
from mts1b.foundation.errors import DataError, StackError
from mts1b.foundation.limits import QUEUE_DEPTH_MAX
from mts1b.platform.telemetry.rollup import MINUTE_NS, Rollup, packed
from mts1b.platform.telemetry.spans import COLLECTOR, Collector, Operation, Totals
from mts1b.platform.telemetry.wire import (
    LISTENERS,
    NEWCOMERS,
    OPERATIONS,
    OPERATIONS_PER_MESSAGE,
    Connect,
    Line,
    operations_message,
    read_listener,
    rollup_subject,
)

SLOW_NS = 50 * NS_PER_MS
"""From here on an operation is told of whether anybody listens or not: the source's threshold."""

FLUSH_S = 2.0
"""How often the minute at hand is told anew, when anything happened in it."""

RETRY_S = 1.0
MINUTES_UNSENT_MAX = 180
"""Minutes kept while the bus is away; the oldest go first."""


class Reporter:
    """`start` it once the process knows what it is; `close` sends the rest. Works on without a bus until it has one."""

    def __init__(
        self, connect: Connect, instance: str, collector: Collector = COLLECTOR, slow_ns: int = SLOW_NS
    ) -> None:
        self._connect, self._collector, self._slow_ns = connect, collector, slow_ns
        self.instance = instance
        self._waiting: deque[Operation] = deque()
        self._dropped = 0
        self._counting = threading.Lock()
        self._listeners: dict[str, tuple[int, int]] = {}  # name -> threshold, until when
        self._minute, self._sent = self._minute_now(), 0
        self._unsent: dict[int, Totals] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._roused = False
        self._ending = False
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="telemetry", daemon=True)

    def start(self) -> None:
        self._collector.listen(self.take, self._slow_ns)
        self._thread.start()

    def close(self, timeout_s: float = 2.0) -> None:
        """Send what there is and end; give up after `timeout_s`. From another thread than its own."""
        self._ending = True
        self._rouse()
        self._thread.join(timeout_s)
        self._collector.unlisten(self.take)

    def take(self, operation: Operation) -> None:
        """Queue one operation to be told of; when the queue is full it is counted and let go."""
        if len(self._waiting) >= QUEUE_DEPTH_MAX:
            with self._counting:
                self._dropped += 1
            return
        self._waiting.append(operation)
        self._rouse()

    def _rouse(self) -> None:
        if self._loop is not None and not self._roused:
            self._roused = True
            with suppress(RuntimeError):  # the loop has ended, and with it whoever could be told
                self._loop.call_soon_threadsafe(self._wake.set)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        while True:
            with suppress(StackError):
                line = await self._connect()
                try:
                    await self._serve(line)
                finally:
                    await line.close()
            if self._ending:
                return
            await self._sleep(RETRY_S)
            self._collect()

    async def _serve(self, line: Line) -> None:
        """Until the process ends; StackError when the line is lost."""
        await line.hear(LISTENERS, self._heard)
        await line.tell(NEWCOMERS, self.instance.encode())
        due_ns = 0
        while True:
            ending = self._ending
            await self._tell(line)
            if ending or self._collector.monotonic_ns() >= due_ns:
                self._collect()
                await self._keep(line)
                self._forget_listeners()
                due_ns = self._collector.monotonic_ns() + int(FLUSH_S * NS_PER_S)
            if ending:
                return
            await self._sleep((due_ns - self._collector.monotonic_ns()) / NS_PER_S)

    async def _sleep(self, at_most_s: float) -> None:
        if not self._ending:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), max(0.0, at_most_s))
        self._roused = False  # before the queue is looked at: what comes later wakes it again
        self._wake.clear()

    async def _tell(self, line: Line) -> None:
        while self._waiting:
            batch = [self._waiting[place] for place in range(min(len(self._waiting), OPERATIONS_PER_MESSAGE))]
            dropped = self._dropped
            await line.tell(f"{OPERATIONS}.{self._collector.service}", operations_message(batch, dropped))
            with self._counting:
                self._dropped -= dropped
            for _ in batch:
                self._waiting.popleft()

    def _collect(self) -> None:
        """Take what the collector has: over again for the minute at hand, for good when it has passed."""
        now = self._minute_now()
        found = self._collector.recent(clear=now != self._minute)
        count = sum(histogram.count for histogram in found.durations.values())
        if count != self._sent:
            self._unsent[self._minute] = found
            self._sent = count
        if now != self._minute:
            self._minute, self._sent = now, 0
        while len(self._unsent) > MINUTES_UNSENT_MAX:
            del self._unsent[min(self._unsent)]

    async def _keep(self, line: Line) -> None:
        for minute in sorted(self._unsent):
            rollup = Rollup(self._collector.service, self.instance, minute, self._unsent[minute])
            for part, message in enumerate(packed(rollup)):
                await line.keep(rollup_subject(rollup, part), message)
            del self._unsent[minute]

    def _heard(self, message: bytes) -> None:
        try:
            name, threshold_ns, for_s = read_listener(message)
        except DataError:
            return  # nobody of ours: there is nothing to answer, and nobody to tell
        self._listeners[name] = threshold_ns, self._collector.monotonic_ns() + int(for_s * NS_PER_S)
        self._forget_listeners()

    def _forget_listeners(self) -> None:
        now_ns = self._collector.monotonic_ns()
        self._listeners = {name: wish for name, wish in self._listeners.items() if wish[1] > now_ns}
        wanted_ns = min((threshold_ns for threshold_ns, _ in self._listeners.values()), default=self._slow_ns)
        self._collector.listen(self.take, min(wanted_ns, self._slow_ns))

    def _minute_now(self) -> int:
        return self._collector.clock.now_ns() // MINUTE_NS


def instance_name() -> str:
    """What tells this process from every other one, also from one with its pid before or on another machine."""
    return f"{os.getpid()}-{os.urandom(3).hex()}"

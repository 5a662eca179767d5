"""Where changes are sent: each sink has its own queue and is tried until it takes them, and none waits for another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from mts1b.foundation.alerts import Ease, Finding, Severity
from mts1b.foundation.clock import NS_PER_S, Clock
from mts1b.foundation.errors import MtsError
from mts1b.foundation.limits import QUEUE_DEPTH_MAX
from mts1b.watchdog.book import Change

ALERT = "watchdog_delivery"

LOG = logging.getLogger("mts1b.watchdog")

LATE_S = 5.0
"""An alert that a sink has not taken so long after it was due is late, and that is an alert of its own."""

ATTEMPT_S = 4.0
"""How long one attempt may take."""

RETRY_S, RETRY_S_MAX = 0.25, 1.0


class Sink(Protocol):
    """Takes changes, one after another. What it raises as MtsError is tried again with the same change."""

    @property
    def name(self) -> str: ...

    async def send(self, change: Change) -> None: ...


@dataclass(frozen=True, slots=True)
class SinkStatistics:
    """One sink so far. `waiting` changes, the first since `since_ns` (monotonic); `dropped`: too many waited."""

    name: str
    sent: int
    waiting: int
    dropped: int
    since_ns: int | None
    problem: str


class _Outlet:
    """One sink, its queue, its task."""

    def __init__(self, sink: Sink, clock: Clock) -> None:
        self._sink, self._clock = sink, clock
        self._queue: asyncio.Queue[tuple[int, Change]] = asyncio.Queue(QUEUE_DEPTH_MAX)
        self._under_way: int | None = None
        self._sent = self._dropped = 0
        self._problem = ""

    def put(self, change: Change) -> None:
        if self._queue.full():
            self._queue.get_nowait()
            self._queue.task_done()
            self._dropped += 1
        self._queue.put_nowait((self._clock.monotonic_ns(), change))

    async def run(self) -> None:
        while True:
            self._under_way, change = await self._queue.get()
            await self._deliver(change)
            self._under_way = None
            self._queue.task_done()

    async def idle(self) -> None:
        await self._queue.join()

    def statistics(self) -> SinkStatistics:
        waiting = self._queue.qsize() + (self._under_way is not None)
        return SinkStatistics(self._sink.name, self._sent, waiting, self._dropped, self._under_way, self._problem)

    async def _deliver(self, change: Change) -> None:
        wait_s = RETRY_S
        while True:
            try:
                async with asyncio.timeout(ATTEMPT_S):
                    await self._sink.send(change)
            except MtsError as error:
                self._problem = error.problem
            except TimeoutError:
                self._problem = f"took more than {ATTEMPT_S:g} s"
            except Exception as error:  # a defect of the sink must neither end it nor be silent
                LOG.exception("the sink %s failed", self._sink.name)
                self._problem = f"{type(error).__name__}: {error}"
            else:
                self._sent += 1
                self._problem = ""
                return
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, RETRY_S_MAX)


class Delivery:
    """All sinks. `start` in the event loop that runs them; `close` gives them a moment for what waits."""

    def __init__(self, sinks: Sequence[Sink], clock: Clock) -> None:
        self._clock = clock
        self._outlets = [_Outlet(sink, clock) for sink in sinks]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(outlet.run()) for outlet in self._outlets]

    def put(self, change: Change) -> None:
        """Hand a change to every sink. Returns at once."""
        for outlet in self._outlets:
            outlet.put(change)

    async def failed(self) -> None:
        """Returns never; raises what ended a sink's task, which is a defect of ours."""
        await asyncio.gather(*self._tasks)

    async def idle(self) -> None:
        """Returns once every sink has everything."""
        await asyncio.gather(*(outlet.idle() for outlet in self._outlets))

    async def close(self, wait_s: float = 1.0) -> None:
        """Wait that long for what is under way, then stop."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.idle(), wait_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def statistics(self) -> list[SinkStatistics]:
        return [outlet.statistics() for outlet in self._outlets]

    def findings(self) -> list[Finding]:
        """One finding for each sink: late, or well."""
        return [self._finding(sink) for sink in self.statistics()]

    def _finding(self, sink: SinkStatistics) -> Finding:
        late_s = 0.0 if sink.since_ns is None else (self._clock.monotonic_ns() - sink.since_ns) / NS_PER_S
        state = Severity.WARNING if late_s > LATE_S else Ease.WELL
        summary = f"{sink.waiting} changes wait for {late_s:.0f} s: {sink.problem or 'it does not answer'}"
        numbers = (
            ("late_s", late_s),
            ("waiting_count", float(sink.waiting)),
            ("dropped_count", float(sink.dropped)),
        )
        return Finding(ALERT, sink.name, state, summary, numbers)

"""How a service tells the watchdog what it noticed: over the bus, where it waits until a watchdog is there."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress

from mts1b.foundation.alerts import Ease, Finding, Severity
from mts1b.foundation.clock import Clock
from mts1b.foundation.errors import StackError
from mts1b.foundation.ids import digest
from mts1b.foundation.limits import QUEUE_DEPTH_MAX
from mts1b.platform.eventbus import EventBus
from mts1b.platform.events import Event, event

RETRY_S = 1.0


@event("watchdog.conditions.reported", key="event_id")
class ConditionReported(Event):
    """A finding of a service about itself. `state`: a severity, "holds" or "well". Seconds and UTC nanoseconds."""

    event_id: str
    alert: str
    subject: str
    state: Severity | Ease
    summary: str
    numbers: dict[str, float]
    lasts_s: float
    ts_ns: int

    @classmethod
    def of(cls, finding: Finding, ts_ns: int, number: int = 0) -> ConditionReported:
        """The event; `number` tells findings of one moment apart."""
        return cls(
            event_id=digest("condition", finding.alert, finding.subject, finding.state, ts_ns, number),
            alert=finding.alert,
            subject=finding.subject,
            state=finding.state,
            summary=finding.summary,
            numbers=dict(finding.numbers),
            lasts_s=finding.lasts_s,
            ts_ns=ts_ns,
        )

    @property
    def finding(self) -> Finding:
        numbers = tuple(self.numbers.items())
        return Finding(self.alert, self.subject, self.state, self.summary, numbers, self.lasts_s)


class BusAlerts:
    """An AlertPort on the bus: findings leave one after another in the background, again until the bus has them.

    With more than QUEUE_DEPTH_MAX waiting, the oldest goes.
    """

    def __init__(self, bus: EventBus, clock: Clock) -> None:
        self._bus, self._clock = bus, clock
        self._waiting: deque[ConditionReported] = deque(maxlen=QUEUE_DEPTH_MAX)
        self._task: asyncio.Task[None] | None = None
        self._told = 0

    def tell(self, finding: Finding) -> None:
        """Returns at once. Call it from the event loop of the bus."""
        self._told += 1
        self._waiting.append(ConditionReported.of(finding, self._clock.now_ns(), self._told))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def close(self, wait_s: float = 1.0) -> None:
        """Give what waits a moment to leave."""
        if self._task is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._task, wait_s)

    async def _run(self) -> None:
        while self._waiting:
            try:
                await self._bus.publish_typed(self._waiting[0])
            except StackError:  # the bus is away: it is told when it is back
                await asyncio.sleep(RETRY_S)
            else:
                self._waiting.popleft()

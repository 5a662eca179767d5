"""How a service tells the watchdog what it noticed: over the bus, where it waits until a watchdog is there."""

from __future__ import annotations

from mts1b.foundation.alerts import Ease, Finding, Severity
from mts1b.foundation.clock import Clock
from mts1b.foundation.ids import digest
from mts1b.platform.events import Event, event
from mts1b.platform.later import PublishLater


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
    """An AlertPort on the bus: findings leave in the background, each again until the bus has it."""

    def __init__(self, later: PublishLater, clock: Clock) -> None:
        self._later, self._clock = later, clock
        self._told = 0

    def tell(self, finding: Finding) -> None:
        """Returns at once. Call it from the event loop of the bus."""
        self._told += 1
        self._later.put(ConditionReported.of(finding, self._clock.now_ns(), self._told))

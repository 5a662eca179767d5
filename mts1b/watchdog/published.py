"""What the watchdog says on the bus, and what it hears there."""

from __future__ import annotations

from mts1b.foundation.alerts import Severity
from mts1b.platform.events import Event, event
from mts1b.watchdog.book import Alert, Change, ChangeKind


class _AlertEvent(Event):
    alert_id: str
    alert: str
    subject: str
    severity: Severity
    summary: str
    numbers: dict[str, float]
    raised_ns: int
    ts_ns: int
    event_id: str


@event("watchdog.alerts.raised", key="event_id")
class AlertRaised(_AlertEvent):
    """Something is wrong, or worse than it was: then `alert_id` is that of the first raising. Times in UTC ns."""


@event("watchdog.alerts.cleared", key="event_id")
class AlertCleared(_AlertEvent):
    """It is well again."""


def alert_event(change: Change) -> AlertRaised | AlertCleared:
    """The event that tells of a change."""
    alert = change.alert
    model = AlertRaised if change.kind is ChangeKind.RAISED else AlertCleared
    return model(
        alert_id=alert.alert_id,
        alert=alert.alert,
        subject=alert.subject,
        severity=alert.severity,
        summary=alert.summary,
        numbers=dict(alert.numbers),
        raised_ns=alert.raised_ns,
        ts_ns=change.ts_ns,
        event_id=_event_id(change.kind, alert),
    )


def _event_id(kind: ChangeKind, alert: Alert) -> str:
    """An alert is raised once at each severity, and cleared once."""
    return f"{alert.alert_id}-{alert.severity.value if kind is ChangeKind.RAISED else kind.value}"


@event("watchdog.features.observed", key="event_id")
class FeaturesObserved(Event):
    """Values of features at one bar, of one name or many. `subject`: whose they are, as `fund/strategy`.

    A value that is missing is None.
    """

    event_id: str
    subject: str
    ts_ns: int
    features: dict[str, list[float | None]]


@event("watchdog.features.expected", key="event_id")
class FeaturesExpected(Event):
    """Values of features over the history that the strategy was made on: what live ones are compared with.

    `observations`: bars that the values are of.
    """

    event_id: str
    subject: str
    ts_ns: int
    observations: int
    features: dict[str, list[float | None]]


@event("watchdog.returns.expected", key="event_id")
class ReturnsExpected(Event):
    """Returns by bar of a fund's strategy in its backtest: what the fund's own returns are compared with."""

    event_id: str
    fund_id: str
    ts_ns: int
    returns: list[float]

"""The log, the bus and the webhook."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from mts1b.foundation.alerts import Severity
from mts1b.platform.eventbus import EventBus
from mts1b.watchdog.book import Change, ChangeKind
from mts1b.watchdog.published import alert_event

LOG = logging.getLogger("mts1b.watchdog")

LEVELS = {Severity.INFO: logging.INFO, Severity.WARNING: logging.WARNING, Severity.CRITICAL: logging.CRITICAL}


def told(change: Change) -> str:
    """A change on one line."""
    alert = change.alert
    if change.kind is ChangeKind.CLEARED:
        return f"cleared: {alert.alert} of {alert.subject}"
    return f"{alert.severity.value}: {alert.alert} of {alert.subject}: {alert.summary}"


class LogSink:
    """A line at the level of the severity; cleared ones at info."""

    name = "log"

    async def send(self, change: Change) -> None:
        level = LEVELS[change.alert.severity] if change.kind is ChangeKind.RAISED else logging.INFO
        LOG.log(level, "%s", told(change), extra={"alert_id": change.alert.alert_id, "numbers": change.alert.numbers})


class BusSink:
    """The event, to `mts.v1.watchdog.alerts.raised` or `.cleared`; sent twice it is there once."""

    name = "nats"

    def __init__(self, connect: Callable[[], Awaitable[EventBus]]) -> None:
        self._connect = connect

    async def send(self, change: Change) -> None:
        """StackError while the bus is away."""
        bus = await self._connect()
        await bus.publish_typed(alert_event(change), timeout_s=2.0)


Post = Callable[[dict[str, Any]], Awaitable[None]]
"""Posts one JSON object; raises MtsError when it was not taken."""


class WebhookSink:
    """A JSON object by HTTP POST: `text` for people (chat programs show it), the event's fields for programs.

    A receiver that answered too late gets the same `event_id` again.
    """

    name = "webhook"

    def __init__(self, post: Post) -> None:
        self._post = post

    async def send(self, change: Change) -> None:
        happened = alert_event(change).model_dump(mode="json")
        await self._post({"text": told(change), "kind": change.kind.value, **happened})

"""Slow consumers: durable readers of the bus whose events wait, or that do not acknowledge what they hold. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from mts1b.foundation.alerts import Ease, Finding, Severity
from mts1b.watchdog.grade import Levels, worst

ALERT = "slow_consumer"
UNREAD_ALERT = "unread_consumer"
"""Nobody asks for the events that wait, be they ever so few."""


class Lag(Protocol):
    """One durable consumer as the bus tells of it (`mts1b.platform.eventbus.ConsumerLag`)."""

    @property
    def stream(self) -> str: ...
    @property
    def durable(self) -> str: ...
    @property
    def wait(self) -> int: ...
    @property
    def in_flight(self) -> int: ...
    @property
    def redelivered(self) -> int: ...
    @property
    def readers(self) -> int: ...
    @property
    def delivered(self) -> int: ...


@dataclass(frozen=True, slots=True)
class ConsumerLevels:
    """`wait`: events that wait for it. `in_flight`: events it was given and has not acknowledged."""

    wait: Levels = Levels(1_000, 10_000)
    in_flight: Levels = Levels(500, 5_000)


def consumer_findings(
    lags: Iterable[Lag], levels: ConsumerLevels, before: Mapping[str, int] = MappingProxyType({})
) -> list[Finding]:
    """Two findings for each durable consumer. How long it may last before an alert is the book's to know.

    `before`: deliveries by consumer when it was last looked at (see `deliveries`).
    """
    return [finding for lag in lags for finding in (_slow(lag, levels), _unread(lag, before.get(name_of(lag))))]


def deliveries(lags: Iterable[Lag]) -> dict[str, int]:
    """What to hand in as `before` the next time."""
    return {name_of(lag): lag.delivered for lag in lags}


def _slow(lag: Lag, levels: ConsumerLevels) -> Finding:
    state = worst(levels.wait.grade(lag.wait), levels.in_flight.grade(lag.in_flight))
    summary = f"{lag.wait:,} events wait, {lag.in_flight:,} are not acknowledged"
    return Finding(ALERT, name_of(lag), state, summary, _numbers(lag))


def _unread(lag: Lag, before: int | None) -> Finding:
    """Something is to be done, nobody asks for it, and nothing was handed out since the last look."""
    is_unread = lag.wait + lag.in_flight > 0 and not lag.readers and lag.delivered == before
    summary = f"{lag.wait:,} events wait, {lag.in_flight:,} are not acknowledged, and nobody reads"
    return Finding(UNREAD_ALERT, name_of(lag), Severity.WARNING if is_unread else Ease.WELL, summary, _numbers(lag))


def name_of(lag: Lag) -> str:
    """What an alert calls it."""
    return f"{lag.stream}/{lag.durable}"


def _numbers(lag: Lag) -> tuple[tuple[str, float], ...]:
    return (
        ("wait_count", float(lag.wait)),
        ("in_flight_count", float(lag.in_flight)),
        ("redelivered_count", float(lag.redelivered)),
        ("readers_count", float(lag.readers)),
    )

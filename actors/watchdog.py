"""The watchdog worker: the checks of one stack and its venues, wired to what they look at, and their alerts to whom
they concern. It runs as an actor, or in a process of its own, which sees Ray itself go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from mts1b.brokers.paper.client import PaperHttp
from mts1b.brokers.paper.endpoint import Endpoint
from mts1b.config import Settings
from mts1b.config_sections import Watchdog
from mts1b.deploy.endpoints import PARTS, Endpoints, source_of
from mts1b.deploy.health import ask
from mts1b.foundation.alerts import Finding
from mts1b.foundation.clock import NS_PER_DAY, Clock
from mts1b.foundation.errors import StackError
from mts1b.platform import db, eventbus
from mts1b.platform.http import close_clients, configure
from mts1b.platform.secrets import Secrets
from mts1b.watchdog import terms
from mts1b.watchdog.book import Alert, Change
from mts1b.watchdog.checks import (
    Ask,
    ConsumerCheck,
    DatabaseCheck,
    DeliveryCheck,
    DependencyCheck,
    DriftCheck,
    FlowCheck,
    FundCheck,
    PoolCheck,
)
from mts1b.watchdog.database import PoolFigures
from mts1b.watchdog.delivery import Delivery, Sink, SinkStatistics
from mts1b.watchdog.hearing import Hearing
from mts1b.watchdog.pools import exposed_pools
from mts1b.watchdog.postgres import fund_returns
from mts1b.watchdog.series import PNL_ALERT, SeriesBook
from mts1b.watchdog.sinks import BusSink, LogSink, WebhookSink
from mts1b.watchdog.store import AlertStore
from mts1b.watchdog.watch import Check, Watch
from mts1b.watchdog.webhook import webhook_post

CHECK_CONNECTIONS = 2
"""Of the checks. Alerts are kept over a connection of their own, which no slow check holds."""

STORE_RETRY_S = 1.0
FORGET_S = 3_600.0
DELIVERY_PERIOD_S = 1.0
POOLS_PERIOD_S = 1.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WatchdogPlan:
    """What to watch, and how: it travels to the actor. `targets`: where processes tell of their metrics pages."""

    stack: Endpoints
    settings: Settings
    targets: str | None = None
    venues: Mapping[str, Endpoint] = field(default_factory=dict)

    @property
    def section(self) -> Watchdog:
        return self.settings.watchdog


@dataclass(frozen=True, slots=True)
class WatchdogStatistics:
    """The watchdog so far. `passes` by check, `heard` by event, `sinks`: what each was sent."""

    passes: dict[str, int]
    heard: dict[str, int]
    standing: int
    venues: tuple[str, ...]
    sinks: tuple[SinkStatistics, ...]


class Once(Generic[T]):
    """Opened by whoever needs it first, while others wait; opened again when that failed."""

    def __init__(self, make: Callable[[], Awaitable[T]]) -> None:
        self._make, self._lock = make, asyncio.Lock()

    async def __call__(self) -> T:
        async with self._lock:
            return await self._make()


class WatchdogWorker:
    """`start`, then it watches until `close`. A task that ends is a defect of ours and handed to `give_up`."""

    def __init__(
        self,
        plan: WatchdogPlan,
        clock: Clock,
        give_up: Callable[[BaseException], None] | None = None,
    ) -> None:
        self._plan, self._clock, self._give_up = plan, clock, give_up
        self._venues: dict[str, PaperHttp] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._kept = {part: source_of(part, plan.settings, plan.stack) for part in ("postgres", "nats", "valkey")}
        self._pool = Once(partial(db.open_pool, "watchdog", self._kept["postgres"], CHECK_CONNECTIONS))
        self._bus = Once(partial(eventbus.open_bus, "watchdog", self._kept["nats"]))
        self._store = AlertStore(Once(partial(db.open_pool, "watchdog-alerts", self._kept["postgres"], 1)))
        self._delivery = Delivery(self._sinks(), clock)
        series = SeriesBook(terms.drift_terms(plan.section.drift))
        self._hearing = Hearing(series, terms.flow_terms(plan.section.vpin), self._store, self._told, clock)
        self._watch = Watch(self._checks(), terms.alert_terms(plan.section), self._changed, clock)
        self._listeners: list[Callable[[Change], None]] = []

    async def start(self) -> None:
        """Begin to watch. Does nothing when it has already. Needs no server to be up."""
        if self._tasks:
            return
        configure(self._plan.settings)
        for name, endpoint in self._plan.venues.items():
            await self.watch_venue(name, endpoint)
        self._delivery.start()
        work = (self._watch.run, self._delivery.failed, self._remember, partial(self._hearing.listen, self._bus))
        self._tasks = [asyncio.create_task(task()) for task in work]
        for task in self._tasks:
            task.add_done_callback(self._ended)

    async def alerts(self) -> tuple[Alert, ...]:
        """What stands, the most severe first."""
        return self._watch.book.standing

    async def tell(self, finding: Finding) -> None:
        """Take in what somebody else noticed."""
        self._told(finding)

    async def watch_venue(self, name: str, endpoint: Endpoint) -> None:
        """Have a paper exchange among the dependencies, under this name."""
        await self.forget_venue(name)
        self._venues[name] = PaperHttp(endpoint, self._plan.section.dependency.timeout_s)

    async def forget_venue(self, name: str) -> None:
        """It was taken down on purpose. Its alerts are cleared."""
        known = self._venues.pop(name, None)
        if known is not None:
            await known.close()

    async def statistics(self) -> WatchdogStatistics:
        return WatchdogStatistics(
            passes=dict(self._watch.passes),
            heard=dict(self._hearing.heard),
            standing=len(self._watch.book.standing),
            venues=tuple(self._venues),
            sinks=tuple(self._delivery.statistics()),
        )

    def on_change(self, listener: Callable[[Change], None]) -> None:
        """Call `listener` with every change, in this process."""
        self._listeners.append(listener)

    async def close(self) -> None:
        """Stop watching. What stands stays so in Postgres until the next watchdog finds it well."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.remove_done_callback(self._ended)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._delivery.close()
        for name in tuple(self._venues):
            await self.forget_venue(name)
        await close_clients()
        await eventbus.close_buses()
        await db.close_pools()

    def _sinks(self) -> list[Sink]:
        sinks: list[Sink] = [LogSink(), BusSink(self._bus), self._store]
        if self._plan.section.webhook_url is not None:
            secrets = Secrets(self._plan.settings.secrets, self._clock)
            sinks.append(WebhookSink(webhook_post(self._plan.section.webhook_url, secrets)))
        return sinks

    def _checks(self) -> list[Check]:
        section, stack = self._plan.section, self._plan.stack
        checks: list[Check] = [
            DependencyCheck(
                self._asks,
                terms.latency_levels(section.dependency),
                self._clock,
                section.dependency.timeout_s,
                section.dependency.period_s,
            ),
            DriftCheck(self._hearing.series, self._refresh, section.drift.period_s, section.drift.timeout_s),
            FlowCheck(self._hearing.flows, section.vpin.period_s, section.vpin.period_s + 5.0),
            DeliveryCheck(self._delivery, DELIVERY_PERIOD_S),
        ]
        if stack.nats_url:
            levels = terms.consumer_levels(section.consumer)
            checks.append(ConsumerCheck(self._bus, levels, section.consumer.period_s, section.consumer.timeout_s))
        if stack.postgres_dsn:
            times = section.database.period_s, section.database.timeout_s
            checks.append(DatabaseCheck(self._pool, terms.database_levels(section.database), *times))
            checks.append(FundCheck(self._pool, self._clock, *times))
        pools = partial(PoolCheck, self._pools, terms.database_levels(section.database))
        checks.append(pools(POOLS_PERIOD_S, section.database.timeout_s))
        return checks

    def _asks(self) -> dict[str, Ask]:
        """Every part of the stack that has an address, and every venue."""
        limit_s = self._plan.section.dependency.timeout_s
        parts = {
            part: partial(ask, part, self._plan.stack, limit_s, self._kept.get(part))
            for part in PARTS
            if self._plan.stack.address(part)
        }
        return {
            **parts,
            **{f"venue {name}": partial(http.ask, "GET", "/status") for name, http in self._venues.items()},
        }

    async def _pools(self) -> list[PoolFigures]:
        return [] if self._plan.targets is None else await exposed_pools(Path(self._plan.targets))

    async def _refresh(self) -> None:
        """The newest returns of every fund that there are expected ones of."""
        for fund_id in self._hearing.series.subjects(PNL_ALERT):
            returns = await fund_returns(await self._pool(), fund_id, self._plan.section.drift.window)
            self._hearing.series.replace((PNL_ALERT, fund_id), returns)

    async def _remember(self) -> None:
        """Go on where an earlier watchdog ended, as soon as Postgres can tell; then keep its tables small."""
        while True:
            try:
                self._watch.resume(await self._store.standing())
                await self._hearing.remember()
                break
            except StackError:  # the dependency check tells of it
                await asyncio.sleep(STORE_RETRY_S)
        kept_ns = int(self._plan.section.history_days * NS_PER_DAY)
        while True:
            with suppress(StackError):  # next time, then
                await self._store.forget(self._clock.now_ns() - kept_ns)
            await asyncio.sleep(FORGET_S)

    def _told(self, finding: Finding) -> None:
        self._watch.take([finding])

    def _changed(self, change: Change) -> None:
        self._delivery.put(change)
        for listener in self._listeners:
            listener(change)

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and self._give_up is not None:
            self._give_up(error)

"""The checks: each asks its part of the world and has a pure detector say how it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mts1b.foundation.alerts import Finding
from mts1b.foundation.clock import NS_PER_DAY, NS_PER_MS, Clock
from mts1b.foundation.errors import MtsError
from mts1b.platform.db import Pool
from mts1b.platform.eventbus import EventBus
from mts1b.watchdog import consumers, database, dependencies, flow, funds, series
from mts1b.watchdog.consumers import ConsumerLevels, consumer_findings, deliveries
from mts1b.watchdog.database import DatabaseLevels, PoolFigures, pool_findings, server_findings
from mts1b.watchdog.delivery import ALERT as DELIVERY_ALERT
from mts1b.watchdog.delivery import Delivery
from mts1b.watchdog.dependencies import Answer, dependency_findings
from mts1b.watchdog.flow import Flow
from mts1b.watchdog.grade import Levels
from mts1b.watchdog.postgres import fund_modes, server_figures
from mts1b.watchdog.series import SeriesBook, judged

Ask = Callable[[], Awaitable[object]]
"""Asks one dependency; MtsError when it does not answer as it should."""


@dataclass(frozen=True)
class DependencyCheck:
    """Every server and venue, all at once. `asks` are those there are now."""

    asks: Callable[[], Mapping[str, Ask]]
    latency_ms: Levels
    clock: Clock
    answer_s: float
    period_s: float
    name: str = "dependency"
    alerts: frozenset[str] = frozenset({dependencies.ALERT, dependencies.LATENCY_ALERT})

    @property
    def timeout_s(self) -> float:
        return self.answer_s + 2.0

    async def findings(self) -> list[Finding]:
        answers = await asyncio.gather(*(self._asked(name, ask) for name, ask in self.asks().items()))
        return dependency_findings(answers, self.latency_ms)

    async def _asked(self, name: str, ask: Ask) -> Answer:
        began_ns, problem = self.clock.monotonic_ns(), ""
        try:
            async with asyncio.timeout(self.answer_s):
                await ask()
        except MtsError as error:
            problem = error.problem
        except TimeoutError:
            problem = f"no answer within {self.answer_s:g} s"
        return Answer(name, (self.clock.monotonic_ns() - began_ns) / NS_PER_MS, problem)


@dataclass(frozen=True)
class ConsumerCheck:
    """Every durable consumer of the bus."""

    connect: Callable[[], Awaitable[EventBus]]
    levels: ConsumerLevels
    period_s: float
    timeout_s: float
    name: str = "slow_consumer"
    alerts: frozenset[str] = frozenset({consumers.ALERT, consumers.UNREAD_ALERT})
    before: dict[str, int] = field(default_factory=dict)

    async def findings(self) -> list[Finding]:
        lags = await (await self.connect()).lags()
        found = consumer_findings(lags, self.levels, self.before)
        self.before.clear()
        self.before.update(deliveries(lags))
        return found


@dataclass(frozen=True)
class DatabaseCheck:
    """One Postgres, by its statistics views."""

    connect: Callable[[], Awaitable[Pool]]
    levels: DatabaseLevels
    period_s: float
    timeout_s: float
    server: str = "primary"
    name: str = "db_health"
    alerts: frozenset[str] = frozenset(database.ALERTS)

    async def findings(self) -> list[Finding]:
        return server_findings(self.server, await server_figures(await self.connect()), self.levels)


@dataclass(frozen=True)
class FundCheck:
    """Every fund that traded in the last `days`."""

    connect: Callable[[], Awaitable[Pool]]
    clock: Clock
    period_s: float
    timeout_s: float
    days: float = 7.0
    name: str = "funds"
    alerts: frozenset[str] = frozenset({funds.ALERT})

    async def findings(self) -> list[Finding]:
        since_ns = self.clock.now_ns() - int(self.days * NS_PER_DAY)
        return funds.fund_findings(await fund_modes(await self.connect(), since_ns))


@dataclass(frozen=True)
class PoolCheck:
    """The pools of every process that tells of them."""

    read: Callable[[], Awaitable[Sequence[PoolFigures]]]
    levels: DatabaseLevels
    period_s: float
    timeout_s: float
    name: str = "db_pools"
    alerts: frozenset[str] = frozenset({database.POOL_ALERT})

    async def findings(self) -> list[Finding]:
        return pool_findings(await self.read(), self.levels)


@dataclass(frozen=True)
class DriftCheck:
    """Every series there is. `refresh` brings in what is read from tables rather than heard."""

    book: SeriesBook
    refresh: Callable[[], Awaitable[None]]
    period_s: float
    timeout_s: float
    name: str = "drift"
    alerts: frozenset[str] = frozenset({series.FEATURE_ALERT, series.PNL_ALERT})

    async def findings(self) -> list[Finding]:
        await self.refresh()
        return await asyncio.to_thread(judged, self.book.snapshot())


@dataclass(frozen=True)
class FlowCheck:
    """VPIN of every name that trades."""

    flows: Mapping[str, Flow]
    period_s: float
    timeout_s: float
    name: str = "vpin"
    alerts: frozenset[str] = frozenset({flow.ALERT})

    async def findings(self) -> list[Finding]:
        return [found.finding() for found in self.flows.values()]


@dataclass(frozen=True)
class DeliveryCheck:
    """The watchdog's own sinks."""

    delivery: Delivery
    period_s: float
    timeout_s: float = 1.0
    name: str = "delivery"
    alerts: frozenset[str] = frozenset({DELIVERY_ALERT})

    async def findings(self) -> list[Finding]:
        return self.delivery.findings()

"""A desk in one process and one event loop, on whatever ports it is given: no Ray, no server needed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

from actors.broker import BrokerWorker
from actors.desk import Desk, DeskPlan, RiskDesk
from actors.feed import Feed, Market
from actors.oms import OmsWorker
from actors.strategy import StrategyWorker
from mts1b.brokers.port import Broker
from mts1b.foundation.clock import Clock
from mts1b.oms.local_risk import LocalRisk
from mts1b.oms.ports import BusPort, JournalPort
from mts1b.oms.service import Oms
from mts1b.platform.telemetry import Recorder
from mts1b.riskengine.service import RiskService


class Local:
    """A plain object's methods as coroutine functions, so that it stands where an actor does."""

    def __init__(self, plain: object) -> None:
        self._plain = plain

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        if method.startswith("_"):
            raise AttributeError(method)
        call = getattr(self._plain, method)

        async def answer(*given: Any, **named: Any) -> Any:
            result = call(*given, **named)
            return await result if asyncio.iscoroutine(result) else result

        return answer


def local_desk(
    plan: DeskPlan, journal: JournalPort, bus: BusPort, broker: Broker, market: Market, clock: Clock
) -> Desk:
    """The five workers as they are wired in actors, next to each other."""
    service = RiskService(plan.fund_id, plan.limits, clock)
    service.refer(plan.reference)
    service.set_covariance(plan.symbols, plan.covariance())

    async def build(recorder: Recorder) -> Oms:
        return Oms(
            plan.fund_id,
            journal,
            LocalRisk(service),
            broker,
            bus,
            clock,
            plan.opening_cash,
            recorder,
            plan.content_window_s,
        )

    risk = cast(RiskDesk, Local(service))
    oms = OmsWorker(build, broker, risk, Recorder())
    strategy = StrategyWorker(
        plan.strategy, plan.values, plan.panel, plan.mandate, oms, clock, Recorder(), plan.in_flight
    )
    return Desk(Feed(plan.panel, market), strategy, risk, oms, BrokerWorker(broker))

"""The composition root: which worker runs in which actor, and who speaks to whom. The only module with `ray.remote`.

Import it after `connect_ray`: Ray reads its token's place when it is imported.

Placement: five actors for a fund. Risk is a synchronous actor, so that what the OMS tells and asks it arrives in the
order it was said; the others are asynchronous. All are named `<role>-<fund>` in the namespace of the project, are
started again when they die, and are never called again by Ray on their own: an order is repeated by its strategy only,
under its idempotency key.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, cast

import numpy as np
import ray
from numpy.typing import NDArray
from ray.actor import ActorHandle

from actors.broker import BrokerWorker
from actors.desk import Desk, DeskPlan
from actors.feed import Feed
from actors.observed import gates_recorded, observed, step_recorded
from actors.oms import OmsWorker
from actors.portfolio import Mandate
from actors.remote import Remote, RemoteBroker, RemoteRisk
from actors.risk import RiskWorker
from actors.strategy import StrategyWorker
from mts1b.brokers.paper.client import PaperBroker, PaperMarket
from mts1b.brokers.paper.endpoint import Endpoint
from mts1b.config import Database
from mts1b.config_sections import Logging
from mts1b.deploy.endpoints import Endpoints
from mts1b.deploy.ray_client import NAMESPACE
from mts1b.foundation.clock import SystemClock
from mts1b.foundation.commands import CancelOrder, SubmitOrder
from mts1b.foundation.errors import MtsError
from mts1b.foundation.events import FundEvent, OrderEvent
from mts1b.foundation.ids import FundId, Symbol
from mts1b.foundation.limits import STOP_TIMEOUT_S
from mts1b.oms.journal import Journal
from mts1b.oms.service import Oms
from mts1b.platform import db, eventbus
from mts1b.platform.logging import get_logger
from mts1b.platform.telemetry import Recorder
from mts1b.platform.telemetry.service import NOTHING, Observation
from mts1b.riskengine.master import Reference
from mts1b.riskengine.service import RiskService
from mts1b.riskengine.verdict import Decision
from mts1b.strategy.definition import Strategy, Values
from mts1b.strategy.panel import Panel

SERVICES = {"feed": "marketdata", "strategy": "strategy", "risk": "riskengine", "oms": "oms", "broker": "broker"}
"""Which service of the performance notes an actor is."""

WAITS = ("reports_after", "caught_up", "drain")
"""Calls that return when something has happened elsewhere."""

DESK_REPEATS = 100
"""Times a desk repeats a call to an actor that is away: 20 s, an actor needs one or two."""


@dataclass(frozen=True, slots=True)
class Shared:
    """A panel in Ray's object store, read by each actor that needs it without a copy, and again when it restarts.

    The reference travels as bytes, which makes Ray keep the panel for as long as the process that put it there lives.
    """

    reference: bytes

    @classmethod
    def put(cls, panel: Panel) -> Shared:
        return cls(ray.cloudpickle.dumps(ray.put(panel)))

    def get(self) -> Panel:
        return cast(Panel, ray.get(ray.cloudpickle.loads(self.reference)))


def actor_name(role: str, fund_id: FundId) -> str:
    """What an actor is found by, in the namespace of the project."""
    return f"{role}-{fund_id}"


def colleague(role: str, fund_id: FundId) -> ActorHandle:
    """A running actor of the same fund, as another one finds it, also after a restart."""
    return ray.get_actor(actor_name(role, fund_id), namespace=NAMESPACE)


class FeedActor(Feed):
    """Replays a panel into the paper exchange."""

    def __init__(self, panel: Shared, venue: Endpoint) -> None:
        super().__init__(panel.get(), PaperMarket(venue))


class StrategyActor(StrategyWorker):
    """Hands its orders to the OMS actor."""

    def __init__(self, strategy: Strategy, values: Values, panel: Shared, mandate: Mandate, in_flight: int) -> None:
        entry = cast(OmsWorker, Remote(colleague("oms", mandate.fund_id), "oms"))
        super().__init__(
            strategy, values, panel.get(), mandate, entry, SystemClock(), Recorder(step_recorded), in_flight
        )


class BrokerActor(BrokerWorker):
    """Holds the connections to the paper exchange."""

    def __init__(self, venue: Endpoint) -> None:
        super().__init__(PaperBroker(venue))


class OmsActor(OmsWorker):
    """Journals in Postgres, publishes on NATS, speaks to the risk and broker actors."""

    def __init__(
        self,
        postgres_dsn: str,
        nats_url: str,
        fund_id: FundId,
        cash: Decimal,
        content_window_s: float,
        sizes: dict[str, Any],
    ) -> None:
        venue, gate = RemoteBroker(colleague("broker", fund_id)), RemoteRisk(colleague("risk", fund_id))

        async def build(recorder: Recorder) -> Oms:
            pool = await db.open_pool("primary", postgres_dsn, **sizes)
            await db.migrate(pool)
            bus = FillsBus(await eventbus.open_bus("primary", nats_url))
            journal = Journal(pool, fund_id)
            oms = Oms(fund_id, journal, gate, venue, bus, SystemClock(), cash, recorder, content_window_s)
            gate.restore_it = oms.restore_risk
            return oms

        super().__init__(build, venue, gate, Recorder(step_recorded), _end_process)

    async def close(self) -> None:
        await super().close()
        await eventbus.close_buses()
        await db.close_pools()


def _end_process(error: BaseException) -> None:
    """What this process knows is worthless: Ray starts the actor again, and that one begins with the journal."""
    get_logger("mts1b.actors").critical("the process ends, to begin again from the journal", exc_info=error)
    os._exit(1)


class FillsBus:
    """The event bus as the OMS's port."""

    def __init__(self, bus: eventbus.EventBus) -> None:
        self._bus = bus

    async def publish(self, subject: str, payload: bytes, message_id: str) -> None:
        await self._bus.publish(subject, payload, message_id)


class RiskActor(RiskWorker):
    """The plan's risk engine in an actor of its own."""

    def __init__(
        self, reference: Reference, fund_id: FundId, symbols: Sequence[Symbol], covariance: NDArray[np.float64]
    ) -> None:
        service = RiskService(fund_id, reference.limits, SystemClock())
        service.refer(reference)
        service.set_covariance(symbols, covariance)
        super().__init__(service)

    def check(self, command: SubmitOrder | CancelOrder, told: Sequence[OrderEvent | FundEvent] = ()) -> Decision:
        decision = super().check(command, told)
        gates_recorded(decision.gate_ns)
        return decision


@asynccontextmanager
async def ray_desk(
    plan: DeskPlan,
    stack: Endpoints,
    venue: Endpoint,
    database: Database,
    detached: bool = False,
    observation: Observation = NOTHING,
    logs: Logging = Logging(),
) -> AsyncIterator[Desk]:
    """The five workers as actors on the cluster this process is connected to; gone at the end unless `detached`.

    Not detached, they also end with this process.
    """
    start = partial(_start, plan.fund_id, detached, observation, logs)
    panel = Shared.put(plan.panel)
    limits = (plan.reference, plan.fund_id, plan.symbols, plan.covariance())
    handles: dict[str, ActorHandle] = {}
    try:
        handles["broker"] = start("broker", BrokerActor, venue)
        handles["risk"] = start("risk", RiskActor, *limits)
        handles["feed"] = start("feed", FeedActor, panel, venue)
        sizes = database.model_dump(exclude={"dsn"})
        book = (stack.postgres_dsn, stack.nats_url, plan.fund_id, plan.opening_cash, plan.content_window_s)
        handles["oms"] = start("oms", OmsActor, *book, sizes)
        trader = (plan.strategy, plan.values, panel, plan.mandate, plan.in_flight)
        handles["strategy"] = start("strategy", StrategyActor, *trader)
        yield _desk(handles)
    finally:
        if not detached:
            await _end(handles)


def _start(
    fund_id: FundId, detached: bool, observation: Observation, logs: Logging, role: str, worker: type, *given: Any
) -> ActorHandle:
    watched = observed(worker, SERVICES[role], WAITS, {"fund": fund_id}, logs)
    # Task events would report every order to the dashboard, at a tenth of the price of the call itself.
    actor = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=0, enable_task_events=False)(watched)
    named = actor.options(
        name=actor_name(role, fund_id), namespace=NAMESPACE, lifetime="detached" if detached else None
    )
    return named.remote(observation, *given)


def _desk(handles: dict[str, ActorHandle]) -> Desk:
    """All that a desk asks of its workers may be asked again: sessions, marks and orders are known by their keys."""
    workers: dict[str, Any] = {role: Remote(handle, role, DESK_REPEATS) for role, handle in handles.items()}
    return Desk(**workers)


async def _end(handles: dict[str, ActorHandle]) -> None:
    """Close what holds connections, the OMS before its broker; then end every actor, closed or not."""
    for role in ("oms", "feed", "broker"):
        if role in handles:
            await _quietly(Remote(handles[role], role).close())
    await asyncio.gather(*(_quietly(Remote(handle, role).flush_telemetry()) for role, handle in handles.items()))
    for handle in handles.values():
        ray.kill(handle)


async def _quietly(closing: Awaitable[object]) -> None:
    """An actor that cannot close any more is ended all the same."""
    try:
        await asyncio.wait_for(closing, STOP_TIMEOUT_S)
    except (MtsError, TimeoutError):
        return

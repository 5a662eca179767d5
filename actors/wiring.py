"""The composition root: which worker runs in which actor, and who speaks to whom. The only module with `ray.remote`.

Import it after `connect_ray`: Ray reads its token's place when it is imported.

Placement: five actors for a fund. Risk is a synchronous actor, so that what the OMS tells and asks it arrives in the
order it was said; the others are asynchronous. The OMS speaks to the venue itself and hears of it through the broker.
What a hop costs, and why risk has an actor all the same: ARCHITECTURE.md, by `mts bench hotpath`.

All are named `<role>-<fund>` in the namespace of the project, are started again when they die, and are never called
again by Ray on their own: an order is repeated by its strategy only, under its idempotency key.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import ray
from numpy.typing import NDArray
from ray.actor import ActorHandle

from actors.broker import BrokerWorker
from actors.desk import Desk, DeskPlan
from actors.feed import Closed, Feed
from actors.live_files import Kept
from actors.observed import gates_recorded, observed, step_recorded
from actors.oms import OmsWorker
from actors.portfolio import Mandate
from actors.referring import Referring
from actors.remote import Remote, RemoteBroker, RemoteRisk
from actors.risk import RiskWorker
from actors.risk_link import InnerRisk
from actors.strategy import StrategyWorker
from actors.telling import FeedTelling, StrategyTelling
from actors.venue_line import VenueLine
from mts1b.brokers.paper.endpoint import Endpoint
from mts1b.config import Settings
from mts1b.config_sections import Logging
from mts1b.deploy.endpoints import Endpoints, nats_source, postgres_source
from mts1b.deploy.ray_client import NAMESPACE
from mts1b.foundation.clock import SystemClock
from mts1b.foundation.commands import CancelOrder, SubmitOrder
from mts1b.foundation.errors import MtsError
from mts1b.foundation.events import FundEvent, OrderEvent
from mts1b.foundation.ids import FundId, Symbol
from mts1b.foundation.limits import STOP_TIMEOUT_S
from mts1b.oms.service import Oms
from mts1b.platform import eventbus
from mts1b.platform.alerts import BusAlerts
from mts1b.platform.later import PublishLater
from mts1b.platform.loaded import keep_loaded
from mts1b.platform.logging import get_logger
from mts1b.platform.rotation import Source
from mts1b.platform.telemetry import Recorder
from mts1b.platform.telemetry.service import NOTHING, Observation
from mts1b.riskengine.master import Reference
from mts1b.riskengine.service import RiskService
from mts1b.riskengine.verdict import Decision
from mts1b.strategy.definition import Strategy, Values
from mts1b.strategy.panel import Panel

if TYPE_CHECKING:
    from actors.watchdog import WatchdogPlan, WatchdogWorker

SERVICES = {
    "feed": "marketdata",
    "strategy": "strategy",
    "risk": "riskengine",
    "oms": "oms",
    "broker": "broker",
    "watchdog": "watchdog",
}
"""Which service of the performance notes an actor is."""

WATCHDOG = "watchdog"
"""The name of the stack's one watchdog, in the namespace of the project."""

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


PanelSource = Shared | Kept
"""Where the actors have the panel from."""

ROLES = ("strategy", "oms", "feed", "broker", "risk")
"""A desk's actors, in the order in which they end."""


def actor_name(role: str, fund_id: FundId) -> str:
    """What an actor is found by, in the namespace of the project."""
    return f"{role}-{fund_id}"


def colleague(role: str, fund_id: FundId) -> ActorHandle:
    """A running actor of the same fund, as another one finds it, also after a restart."""
    return ray.get_actor(actor_name(role, fund_id), namespace=NAMESPACE)


def telling(bus: str | Source) -> PublishLater:
    """What leaves this process for the bus in the background, over one connection."""
    return PublishLater(partial(eventbus.open_bus, "telling", bus))


class FeedActor(Feed):
    """Replays a panel into the paper exchange, and tells its bars."""

    def __init__(self, panel: PanelSource, venue: Endpoint, fund_id: FundId, bus: str | Source) -> None:
        from mts1b.brokers.paper.client import PaperMarket  # and aiohttp, 8 MB: not for the other actors

        bars = panel.get()
        super().__init__(bars, PaperMarket(venue))
        self._later = telling(bus)
        self._telling = FeedTelling(self._later, fund_id, bars)

    async def close_session(self, index: int) -> Closed:
        closed = await super().close_session(index)
        self._telling.closed(closed)
        return closed

    async def close(self) -> None:
        await super().close()
        await self._later.close()
        await eventbus.close_buses()


class StrategyActor(StrategyWorker):
    """Hands its orders to the OMS actor, and tells the watchdog what it saw."""

    def __init__(
        self,
        strategy: Strategy,
        values: Values,
        panel: PanelSource,
        mandate: Mandate,
        in_flight: int,
        bus: str | Source,
    ) -> None:
        entry = cast(OmsWorker, Remote(colleague("oms", mandate.fund_id), "oms"))
        self._later = telling(bus)
        listener = StrategyTelling(self._later, mandate)
        timing = SystemClock(), Recorder(step_recorded)
        super().__init__(strategy, values, panel.get(), mandate, entry, *timing, in_flight, listener)

    async def close(self) -> None:
        """Let what was told reach the bus."""
        await self._later.close()
        await eventbus.close_buses()


class BrokerActor(BrokerWorker):
    """Holds the connections to the paper exchange."""

    def __init__(self, venue: Endpoint) -> None:
        from mts1b.brokers.paper.client import PaperBroker  # as above

        super().__init__(PaperBroker(venue))


class OmsActor(OmsWorker):
    """Journals in Postgres, publishes on NATS, speaks to the risk and broker actors."""

    def __init__(
        self,
        postgres: Source,
        bus: str | Source,
        fund_id: FundId,
        cash: Decimal,
        content_window_s: float,
        reference: Reference,
        sizes: dict[str, Any],
        exchange: Endpoint,
        inside: Limits | None,
    ) -> None:
        from actors.stores import open_stores
        from mts1b.brokers.paper.client import PaperBroker  # as above

        venue = VenueLine(PaperBroker(exchange), RemoteBroker(colleague("broker", fund_id)))
        gate = (
            RemoteRisk(colleague("risk", fund_id)) if inside is None else InnerRisk(RiskWorker(risk_service(*inside)))
        )

        async def build(recorder: Recorder) -> Oms:
            journal, limits, master = await open_stores(postgres, sizes, fund_id)
            fills = FillsBus(await eventbus.open_bus("primary", bus))
            oms = Oms(fund_id, journal, gate, venue, fills, SystemClock(), cash, recorder, content_window_s, alerts)
            gate.restore_it = oms.restore_risk
            self._referring = Referring(limits, master, gate, fund_id, reference, SystemClock())
            await self._referring.begin()
            keep_loaded()  # once more: with the clients of Postgres and NATS
            return oms

        self._later, self._venue = telling(bus), venue
        alerts = BusAlerts(self._later, SystemClock())
        super().__init__(build, venue, gate, Recorder(step_recorded), _end_process, alerts)
        self.begin()

    async def close(self) -> None:
        await super().close()
        await self._venue.close()
        await self._later.close()
        await eventbus.close_buses()
        from actors.stores import close_stores

        await close_stores()


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


Limits = tuple[Reference, FundId, Sequence[Symbol], NDArray[np.float64]]


def risk_service(
    reference: Reference, fund_id: FundId, symbols: Sequence[Symbol], covariance: NDArray[np.float64]
) -> RiskService:
    """A fresh risk engine that knows its limits, its master data and the covariance."""
    service = RiskService(fund_id, reference.limits, SystemClock())
    service.refer(reference)
    service.set_covariance(symbols, covariance)
    return service


class RiskActor(RiskWorker):
    """The plan's risk engine in an actor of its own."""

    def __init__(
        self, reference: Reference, fund_id: FundId, symbols: Sequence[Symbol], covariance: NDArray[np.float64]
    ) -> None:
        super().__init__(risk_service(reference, fund_id, symbols, covariance))

    def check(self, command: SubmitOrder | CancelOrder, told: Sequence[OrderEvent | FundEvent] = ()) -> Decision:
        decision = super().check(command, told)
        gates_recorded(decision.gate_ns)
        return decision


def running_oms(fund_id: FundId) -> OmsWorker | None:
    """The OMS actor of a fund that trades now; None when there is none. Calls are made once."""
    try:
        return cast(OmsWorker, Remote(colleague("oms", fund_id), "oms"))
    except ValueError:
        return None


def start_watchdog(plan: WatchdogPlan, observation: Observation = NOTHING) -> WatchdogWorker:
    """The stack's watchdog: the one that runs, or a new one. It lives until `end_watchdog`, or as long as Ray does."""
    from actors.watchdog_actor import WatchdogActor  # HTTP and Redis come along, which the other actors do without

    actor = _remote_class(WatchdogActor, "watchdog", {}, plan.settings.logging)
    named = actor.options(name=WATCHDOG, namespace=NAMESPACE, lifetime="detached", get_if_exists=True)
    return _watchdog(named.remote(observation, plan, _end_process))


def running_watchdog() -> WatchdogWorker | None:
    """The stack's watchdog; None when there is none."""
    try:
        return _watchdog(ray.get_actor(WATCHDOG, namespace=NAMESPACE))
    except ValueError:
        return None


async def end_watchdog() -> bool:
    """End it; whether there was one. What stands is kept, and cleared by the next."""
    found = running_watchdog()
    if found is None:
        return False
    await _quietly(found.close())
    with suppress(ValueError):
        ray.kill(ray.get_actor(WATCHDOG, namespace=NAMESPACE))
    return True


def _watchdog(handle: ActorHandle) -> WatchdogWorker:
    return cast("WatchdogWorker", Remote(handle, "watchdog"))


@asynccontextmanager
async def _watched(fund_id: FundId, venue: Endpoint) -> AsyncIterator[None]:
    """While a desk trades, a watchdog that runs has the desk's venue among its dependencies."""
    found = running_watchdog()
    if found is not None:
        await _quietly(found.watch_venue(fund_id, venue))
    try:
        yield
    finally:
        if found is not None:
            await _quietly(found.forget_venue(fund_id))


@asynccontextmanager
async def ray_desk(
    plan: DeskPlan,
    stack: Endpoints,
    venue: Endpoint,
    settings: Settings,
    observation: Observation = NOTHING,
    kept: Kept | None = None,
    risk_inside: bool = False,
) -> AsyncIterator[Desk]:
    """The five workers as actors on the cluster this process is connected to; gone at the end, or with this process.

    With a `kept` panel they are detached: those that are there already are found, and live until `end_desk`.
    `risk_inside`: the OMS asks a risk engine in its own process, and the risk actor is asked by nobody: what that
    placement would be worth, for `mts bench hotpath`.
    """
    detached = kept is not None
    start = partial(_start, plan.fund_id, detached, observation, settings.logging)
    panel, reference = kept or Shared.put(plan.panel), plan.reference
    limits, bus = (reference, plan.fund_id, plan.symbols, plan.covariance()), nats_source(settings, stack)
    handles: dict[str, ActorHandle] = {}
    try:
        handles["broker"] = start("broker", BrokerActor, venue)
        handles["risk"] = start("risk", RiskActor, *limits)
        handles["feed"] = start("feed", FeedActor, panel, venue, plan.fund_id, bus)
        sizes = settings.db.primary.model_dump(exclude={"dsn"})
        postgres = postgres_source(settings, stack)
        book = (postgres, bus, plan.fund_id, plan.opening_cash, plan.content_window_s, reference)
        handles["oms"] = start("oms", OmsActor, *book, sizes, venue, limits if risk_inside else None)
        trader = (plan.strategy, plan.values, panel, plan.mandate, plan.in_flight, bus)
        handles["strategy"] = start("strategy", StrategyActor, *trader)
        async with _watched(plan.fund_id, venue):
            yield _desk(handles)
    finally:
        if not detached:
            await _end(handles)


async def end_desk(fund_id: FundId) -> None:
    """End a fund's actors; open orders stay at the venue. Harmless when there are none."""
    found = {}
    for role in ROLES:
        with suppress(ValueError):
            found[role] = colleague(role, fund_id)
    await _end(found)


def running_desk(fund_id: FundId) -> dict[str, Remote]:
    """A fund's actors by their roles, those that there are."""
    found = {}
    for role in ROLES:
        with suppress(ValueError):
            found[role] = Remote(colleague(role, fund_id), role)
    return found


def _start(
    fund_id: FundId, detached: bool, observation: Observation, logs: Logging, role: str, worker: type, *given: Any
) -> ActorHandle:
    named = _remote_class(worker, role, {"fund": fund_id}, logs).options(
        name=actor_name(role, fund_id),
        namespace=NAMESPACE,
        lifetime="detached" if detached else None,
        get_if_exists=detached,
    )
    return named.remote(observation, *given)


def _remote_class(worker: type, role: str, labels: dict[str, str], logs: Logging) -> Any:
    """The worker as Ray runs it: observed, and started again whenever it dies."""
    watched = observed(worker, SERVICES[role], WAITS, labels, logs)
    # Task events would report every order to the dashboard, at a tenth of the price of the call itself.
    return ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=0, enable_task_events=False)(watched)


def _desk(handles: dict[str, ActorHandle]) -> Desk:
    """All that a desk asks of its workers may be asked again: sessions, marks and orders are known by their keys."""
    workers: dict[str, Any] = {role: Remote(handle, role, DESK_REPEATS) for role, handle in handles.items()}
    return Desk(**workers)


async def _end(handles: dict[str, ActorHandle]) -> None:
    """Close what holds connections, the OMS before its broker; then end every actor, closed or not."""
    for role in ("strategy", "oms", "feed", "broker"):
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

"""Memory of the services where they live: actors and tasks in Ray's workers, beside a worker that has nothing."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np

from actors.desk import DeskPlan
from actors.paper_session import OPENING_CASH, Extent, fresh_fund, paper_limits, trade
from mts1b.backtester import Execution
from mts1b.bench.footprint_chunks import measured_chunks
from mts1b.bench.footprint_task import Bare, Held, held, look
from mts1b.bench.session import Session
from mts1b.bench.universe import made_up_panel
from mts1b.brokers.paper.matching import Rules
from mts1b.brokers.paper.process import ExchangeProcess
from mts1b.config import Settings
from mts1b.deploy.endpoints import Endpoints
from mts1b.deploy.observation import observation
from mts1b.deploy.ray_client import NAMESPACE, connect_ray
from mts1b.foundation.ids import FundId, Symbol
from mts1b.oms.fills import fund_fills
from mts1b.platform import db
from mts1b.research.chunks import SweepWork
from mts1b.research.grid import Grid
from mts1b.research.plan import SweepSpec, plan_sweep, tasks
from mts1b.strategy import get_strategy

NAMES, WARM_BARS, SESSIONS = 100, 300, 40
SWEEP_NAMES, SWEEP_BARS = 500, 2_520
GRID, QUICK = {"fast": "5:55:1", "slow": "60:260:4"}, {"fast": "5:10:1", "slow": "20:40:4"}


@dataclass(frozen=True, slots=True)
class Allowed:
    """The source's figures of a service, in MB."""

    idle: float
    active: float


ACTORS = {
    "feed": ("marketdata", Allowed(80.0, 200.0)),
    "oms": ("oms", Allowed(100.0, 300.0)),
    "risk": ("riskengine", Allowed(80.0, 150.0)),
}
"""By actor, the service that it is."""

ROOM_MB = 20.0
"""What the source itself gives to logging and configuration, without which there is no service. Where Ray's base leaves
less than that of a figure, nothing could be within it, and what a service holds above the base is judged."""

BASE_CALLS = 20
"""A worker that has served a few calls holds more than one that has just begun."""

RESEARCH, GPU_HOST_MB = Allowed(200.0, 4_000.0), 100.0
"""Idle: waiting for the first task. A sweep on GPUs runs in the same workers; memory of a device is not measured."""


@dataclass(slots=True)
class Findings:
    """Figures, and which of them are within the source's."""

    figures: dict[str, float] = field(default_factory=dict)
    within: dict[str, bool] = field(default_factory=dict)

    def note(self, name: str, holds: Held, judged_mb: float, allowed_mb: float) -> None:
        """Write sizes down; `judged_mb` is what the source's figure, a whole number of MB, is about."""
        self.figures |= {f"{name}_{unit}": size for unit, size in holds.items()}
        self.within[name] = round(judged_mb) <= allowed_mb

    def note_worker(self, name: str, holds: Held, base: Held, allowed_mb: float) -> None:
        """A worker of Ray's, judged by what it holds above a bare one where that alone leaves no room (`ROOM_MB`)."""
        above_mb = holds["rss_mb"] - base["rss_mb"]
        self.figures[f"{name}_above_base_mb"] = above_mb
        has_room = base["rss_mb"] + ROOM_MB <= allowed_mb
        self.note(name, holds, holds["rss_mb"] if has_room else above_mb, allowed_mb)


def most(looks: Sequence[Held]) -> Held:
    """The most of several looks. Where memory is short the kernel takes back pages of files that nobody reads just now:
    of two processes with the same libraries the idle one then seems the smaller."""
    return {unit: max(look[unit] for look in looks) for unit in looks[0]}


def services(session: Session, used: Settings, up: Endpoints, found: Findings) -> None:
    """Measure each service on the Ray of `used`, in a job of its own: workers belong to a job, and so have no past."""
    if "ray" in sys.modules:
        sys.modules["ray"].shutdown()
    ray = connect_ray(used)
    session.tell("a bare worker")
    bare = ray.remote(num_cpus=0)(Bare).remote()
    looks: list[Held] = [ray.get(bare.look.remote()) for _ in range(BASE_CALLS)]
    session.tell("actors")
    idle, active = asyncio.run(_desk(session, used, up))
    base = most([*looks, ray.get(bare.look.remote())])
    gpu: Held = ray.get(bare.load_gpu.remote())
    ray.kill(bare)
    found.figures |= {f"ray_base_{unit}": size for unit, size in base.items()}
    for role, (name, allowed) in ACTORS.items():
        found.note_worker(f"{name}_idle", idle[role], base, allowed.idle)
        found.note_worker(f"{name}_active", active[role], base, allowed.active)
    session.tell("a sweep's worker")
    waiting, computing, loaded = _sweep(session, used, up)
    found.note_worker("research_idle", waiting, base, RESEARCH.idle)
    found.note_worker("research_active", computing, base, RESEARCH.active)
    found.note_worker("gpubacktester_idle", waiting, base, GPU_HOST_MB)
    for name, holds in (("research_loaded", loaded), ("gpubacktester_loaded", gpu)):
        found.figures |= {f"{name}_{unit}": size for unit, size in holds.items()}


def _sweep(session: Session, used: Settings, up: Endpoints) -> tuple[Held, Held, Held]:
    """What a worker holds before its first chunk, the most that one held in a sweep, and what it keeps."""
    from jobs.fanout import RayRunner

    names, bars = session.size(SWEEP_NAMES, 5), session.size(SWEEP_BARS, 400)
    panel, strategy = made_up_panel(names, bars, np.random.default_rng(0)), get_strategy("sma_cross")
    spec = SweepSpec(strategy, Grid.parse(QUICK if session.quick else GRID, strategy.params), Execution())
    runner = RayRunner(observation=observation(used, up, exposed=False))
    ((_, waiting),) = runner.run(look, None, [0])
    work = tasks(plan_sweep(spec, panel).chunks, bars, names, runner.workers)
    looks = [held for _, held in runner.run(measured_chunks, SweepWork(spec, panel), work)]
    ((_, loaded),) = runner.run(look, None, [0])
    return waiting, most(looks), loaded


async def _desk(session: Session, used: Settings, up: Endpoints) -> tuple[dict[str, Held], dict[str, Held]]:
    """Each actor of a desk once it is up, and after it has traded."""
    from actors.wiring import ray_desk  # after the connection, which sets the environment Ray reads on import

    plan = _plan(session)
    venue = await ExchangeProcess.start(used.data_dir / "paper" / plan.fund_id, Rules(), session.clock)
    try:
        watched = observation(used, up)
        async with ray_desk(plan, up, venue.endpoint, used, observation=watched) as desk:
            await asyncio.gather(desk.oms.start(), desk.strategy.start(plan.first))
            idle = await _looks(plan.fund_id)
            pool = await db.open_pool("bench", up.postgres_dsn, pool_size=1)
            extent = Extent(plan.first, len(plan.panel.ts_ns) - plan.first, 1)
            await trade(desk, plan, extent, lambda: fund_fills(pool, plan.fund_id), session.clock)
            return idle, await _looks(plan.fund_id)
    finally:
        await db.close_pools()
        await venue.stop()


async def _looks(fund_id: FundId) -> dict[str, Held]:
    import ray

    from actors.wiring import actor_name

    handles = {role: ray.get_actor(actor_name(role, fund_id), namespace=NAMESPACE) for role in ACTORS}
    return {role: await handle.__ray_call__.remote(lambda _worker: held()) for role, handle in handles.items()}


def _plan(session: Session) -> DeskPlan:
    names, sessions = session.size(NAMES, 8), session.size(SESSIONS, 4)
    panel = made_up_panel(names, WARM_BARS + sessions, np.random.default_rng(0))
    limits = paper_limits([Symbol(name) for name in panel.symbols], OPENING_CASH)
    loose = limits.model_copy(update={"notional_max": 10 * OPENING_CASH, "name_to_nav_max": Decimal(1)})  # few names
    strategy = get_strategy("vol_target_cross")
    return DeskPlan(fresh_fund(session.clock), strategy, {}, panel, WARM_BARS, loose, OPENING_CASH)

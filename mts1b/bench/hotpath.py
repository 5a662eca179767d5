"""The hot path as it runs: strategy, OMS, risk and broker actors, Postgres, the exchange's own process over HTTP.

One strategy decides bar by bar, some orders on each, 100 orders a second; auctions fill them meanwhile. Beside it
stands the floor of the same run: one Ray round trip, one commit and one HTTP round trip, and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from actors.desk import Desk
from actors.latency import HOT_PATH, REBALANCE
from mts1b.bench.floor import Floor
from mts1b.bench.hotpath_market import HISTORY, NAMES, Traded, traded
from mts1b.bench.own_stack import OwnStack, own_stack
from mts1b.bench.result import BenchResult
from mts1b.bench.session import Session
from mts1b.bench.venue_truth import Truth, venue_truth
from mts1b.bench.veto import TARGETS as VETO_TARGETS
from mts1b.bench.veto import veto_figures
from mts1b.brokers.paper.matching import Rules
from mts1b.brokers.paper.process import ExchangeProcess
from mts1b.config import Settings
from mts1b.deploy.endpoints import postgres_source
from mts1b.deploy.observation import observation
from mts1b.deploy.ray_client import connect_ray
from mts1b.foundation.clock import NS_PER_MS, NS_PER_S
from mts1b.foundation.errors import InvariantBroken
from mts1b.foundation.ids import idempotency_key
from mts1b.platform import db
from mts1b.platform.telemetry import Recorder

if TYPE_CHECKING:
    from actors.strategy import Rebalanced

PER_S, PER_BAR = 100, 2
"""Orders a second, and of one bar."""

ORDERS, WARM, INSIDE_ORDERS, FLOOR_TIMES = 5_000, 200, 1_000, 500
AUCTION_BARS = 20
"""An auction each 20 bars fills 40 orders, long before the market has come round to the same names."""

FLOOR_RATIO_MAX, SIGNAL_TO_VENUE_P99_MS_MAX = 3.0, 10.0
PERCENTS = {"p50": 50.0, "p99": 99.0, "p999": 99.9}


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: what each step took, milliseconds from signal to venue, of the floor, and behind the pace."""

    steps: Recorder
    signal_to_venue_ms: tuple[float, ...]
    floor_ms: Mapping[str, Sequence[float]]
    late_ms: tuple[float, ...]
    truth: Truth
    elapsed_s: float


def hotpath(session: Session, settings: Settings | None = None) -> BenchResult:
    """Each step of the source's table over 5,000 orders, p50, p99 and p99.9 in ms; then 1,000 with risk in the OMS's
    process, as `risk_inside_...`.

    `signal_to_venue`: from a sized order in the strategy actor to its arrival in the venue's own log, by the machine's
    clock. `order_total` goes on until the strategy has the answer, `rebalance` is a whole bar. `floor_ratio`: the p99
    of `signal_to_venue` over that of the floor. First, in each run, the venue's log is the judge: InvariantBroken
    unless each order is there once and its fills are those booked. Last, gate 7 (`mts1b.bench.veto`). `settings`: a
    stack that is up already.
    """
    with own_stack(session, ("postgres", "nats", "ray"), settings) as up:
        ray = connect_ray(up.settings)
        try:
            apart = asyncio.run(_run(session, up, session.size(ORDERS, 40), False))
            inside = asyncio.run(_run(session, up, session.size(INSIDE_ORDERS, 20), True))
            asked = asyncio.run(veto_figures(session, up))
        finally:
            if settings is None:
                ray.shutdown()
    figures = {**_figures(apart), **{f"risk_inside_{name}": value for name, value in _totals(inside).items()}, **asked}
    return BenchResult("hotpath", figures, _judged(figures))


async def _run(session: Session, up: OwnStack, orders: int, risk_inside: bool) -> Measured:
    from actors.wiring import ray_desk  # after the connection, which sets the environment Ray reads on import

    warm = session.size(WARM, 10)
    market = traded((orders + warm) // PER_BAR, PER_BAR, session.clock)
    fund_id = market.plan.fund_id
    watched = observation(up.settings, up.endpoints)
    async with _exchange(session, up, fund_id) as venue, _pool(up) as pool:
        placed = ray_desk(
            market.plan, up.endpoints, venue.endpoint, up.settings, observation=watched, risk_inside=risk_inside
        )
        async with placed as desk:
            floor = await Floor.open(session, desk.feed.statistics, pool, venue.endpoint)
            try:
                return await _measured(session, desk, market, floor, venue, pool, warm)
            finally:
                await floor.close()


async def _measured(
    session: Session,
    desk: Desk,
    market: Traded,
    floor: Floor,
    venue: ExchangeProcess,
    pool: db.Pool,
    warm: int,
) -> Measured:
    session.tell("warming up")
    await asyncio.gather(desk.oms.start(), desk.strategy.start(HISTORY))
    await desk.oms.mark(market.bars[0].closes, market.bars[0].ts_ns)
    driver, times = Driver(session, desk, market), session.size(FLOOR_TIMES, 5)
    await driver.trade(range(warm // PER_BAR))
    await floor.measure(times, 1 / PER_S)
    before = await _durations(desk)
    driver.bars.clear()
    driver.late_ms.clear()
    began_ns = session.clock.monotonic_ns()
    await driver.trade(range(warm // PER_BAR, len(market.bars)))
    elapsed_s = (session.clock.monotonic_ns() - began_ns) / NS_PER_S
    steps = since(before, await _durations(desk))
    await floor.measure(times, 1 / PER_S)
    await driver.settle()
    orders = len(market.bars) * PER_BAR
    truth = await venue_truth(venue.folder, pool, market.plan.fund_id, orders)
    return Measured(steps, driver.signal_to_venue_ms(truth), floor.times_ms, tuple(driver.late_ms), truth, elapsed_s)


class Driver:
    """Hands bar after bar to the strategy, at the pace; a bar that comes late counts as late and is not left out."""

    def __init__(self, session: Session, desk: Desk, market: Traded) -> None:
        self._session, self._desk, self._market = session, desk, market
        self._auction: asyncio.Task[object] | None = None
        self.bars: list[Rebalanced] = []
        self.late_ms: list[float] = []

    async def trade(self, rows: range) -> None:
        """Hand these bars over, each once the one before is answered. InvariantBroken when one makes other orders."""
        clock = self._session.clock
        began_ns = clock.monotonic_ns()
        for count, row in enumerate(rows):
            due_ns = began_ns + count * PER_BAR * NS_PER_S // PER_S
            await asyncio.sleep(max(0.0, (due_ns - clock.monotonic_ns()) / NS_PER_S))
            self.late_ms.append((clock.monotonic_ns() - due_ns) / NS_PER_MS)
            done = await self._desk.strategy.on_bar(self._market.bars[row])
            if done.statuses != {"working": PER_BAR}:
                raise InvariantBroken("orders", done.statuses, f"of bar {row}, {PER_BAR} should be at work")
            self.bars.append(done)
            if row % AUCTION_BARS == AUCTION_BARS - 1:
                await self._open(row)

    async def settle(self) -> None:
        """A last auction; returns once every fill is booked."""
        await self._open(len(self._market.bars) - 1)
        assert self._auction is not None
        opened = await self._auction
        await self._desk.oms.caught_up(opened.sequence)  # type: ignore[attr-defined]
        await self._desk.oms.drain()

    def signal_to_venue_ms(self, truth: Truth) -> tuple[float, ...]:
        """Of each order of the bars since: from its size to the venue's log."""
        plan, found = self._market.plan, []
        for done in self.bars:
            ts_ns = int(plan.panel.ts_ns[done.index])
            first = (done.index - HISTORY) * PER_BAR
            for symbol in (plan.symbols[number % NAMES] for number in range(first, first + PER_BAR)):
                key = idempotency_key(plan.fund_id, plan.mandate.strategy_id, symbol, ts_ns)
                found.append((truth.arrived_ns[key] - done.sized_ns) / NS_PER_MS)
        return tuple(found)

    async def _open(self, row: int) -> None:
        if self._auction is not None:
            await self._auction
        self._auction = asyncio.create_task(self._desk.feed.open_session(self._market.bars[row].index))


def since(before: Recorder, after: Recorder) -> Recorder:
    """What was recorded between two readings of the same recorder."""
    left = Recorder()
    left.merge(after)
    for step, counted in before.steps.items():
        histogram = left.steps[step]
        for bucket, count in counted.counts.items():
            histogram.counts[bucket] -= count
        histogram.count -= counted.count
        histogram.total_ns -= counted.total_ns
    return left


async def _durations(desk: Desk) -> Recorder:
    recorded = Recorder()
    for worker in (desk.strategy, desk.oms):
        recorded.merge(await worker.durations())
    return recorded


def _figures(measured: Measured) -> dict[str, float]:
    figures: dict[str, float] = {"orders": len(measured.signal_to_venue_ms), "fills": measured.truth.fills}
    figures["orders_per_s"] = figures["orders"] / measured.elapsed_s
    for name, percent in PERCENTS.items():
        figures[f"behind_pace_{name}_ms"] = float(np.percentile(measured.late_ms, percent))
    for step in (*(budget.step for budget in HOT_PATH), REBALANCE):
        for name, percent in PERCENTS.items():
            figures[f"{step}_{name}_ms"] = measured.steps.steps[step].percentile_ns(percent) / NS_PER_MS
    return {**figures, **_totals(measured)}


def _totals(measured: Measured) -> dict[str, float]:
    figures = {}
    for name, percent in PERCENTS.items():
        figures[f"signal_to_venue_{name}_ms"] = float(np.percentile(measured.signal_to_venue_ms, percent))
    for part, times_ms in measured.floor_ms.items():
        for name in ("p50", "p99"):
            figures[f"floor_{part}_{name}_ms"] = float(np.percentile(times_ms, PERCENTS[name]))
    figures["floor_ratio"] = figures["signal_to_venue_p99_ms"] / figures["floor_sum_p99_ms"]
    return figures


def _judged(figures: Mapping[str, float]) -> dict[str, float]:
    """Each target, and whether it was met."""
    targets = {f"{budget.step}_p99_ms": budget.target_ms for budget in HOT_PATH if budget.target_ms is not None}
    targets |= {"signal_to_venue_p99_ms": SIGNAL_TO_VENUE_P99_MS_MAX, "floor_ratio": FLOOR_RATIO_MAX, **VETO_TARGETS}
    judged = {f"{name}_within": float(figures[name] <= target) for name, target in targets.items()}
    return {f"target_{name}": target for name, target in targets.items()} | judged


@contextlib.asynccontextmanager
async def _exchange(session: Session, up: OwnStack, fund_id: str) -> AsyncIterator[ExchangeProcess]:
    venue = await ExchangeProcess.start(up.folder / fund_id, Rules(fee_bps=Decimal(0)), session.clock)
    try:
        yield venue
    finally:
        await venue.stop()


@contextlib.asynccontextmanager
async def _pool(up: OwnStack) -> AsyncIterator[db.Pool]:
    try:
        yield await db.open_pool("bench", postgres_source(up.settings, up.endpoints), pool_size=2)
    finally:
        await db.close_pools()

"""Operations across real actors and workers: seen within a second, in one trace, and ranked as they were."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from actors.observed import observed, remotely
from actors.paper_session import Extent, fresh_fund, run_paper
from mts1b.brokers.paper.matching import Rules
from mts1b.deploy.observation import observation
from mts1b.deploy.ray_client import connect_ray
from mts1b.foundation.clock import NS_PER_MS, NS_PER_S, SystemClock
from mts1b.platform.telemetry import Operation, span
from mts1b.platform.telemetry.listening import Listening, rollups_since
from mts1b.platform.telemetry.rollup import Rollup, ranked
from mts1b.platform.telemetry.service import Observation
from tests.conftest import RunningStack
from tests.paper_market import FIRST, SESSIONS, small_plan

CLOCK = SystemClock()


class Heard:
    """Operations that were streamed, each with the moment it came."""

    def __init__(self) -> None:
        self.operations: list[tuple[int, Operation]] = []
        self.missed = 0
        self.listening = threading.Event()
        self.enough = threading.Event()

    async def follow(self, watched: Observation, threshold_ns: int) -> None:
        line = await watched.line("test")
        listening = Listening(line, threshold_ns)
        await listening.start()
        self.listening.set()
        following = asyncio.create_task(self._take(listening))
        await asyncio.to_thread(self.enough.wait)
        following.cancel()
        await asyncio.wait([following])
        self.missed = listening.missed
        await line.close()

    async def _take(self, listening: Listening) -> None:
        async for operation in listening.operations():
            self.operations.append((CLOCK.now_ns(), operation))


@contextmanager
def heard(watched: Observation, threshold_ms: float) -> Iterator[Heard]:
    """Everything that takes at least so long while the block runs, and a moment longer."""
    found = Heard()
    follower = threading.Thread(target=lambda: asyncio.run(found.follow(watched, int(threshold_ms * NS_PER_MS))))
    follower.start()
    assert found.listening.wait(20)
    try:
        yield found
        time.sleep(0.5)  # what was sent last is on its way
    finally:
        found.enough.set()
        follower.join()


class Sleeper:
    """Takes as long as it is told."""

    async def rest(self, seconds: float) -> str:
        with span("doze", seconds=seconds):
            await asyncio.sleep(seconds)
        return "rested"

    def nap(self, seconds: float, *, deep: bool = False) -> bool:
        time.sleep(seconds)
        return deep


def test_a_slow_operation_in_an_actor_is_seen_within_a_second_with_its_trace(ray_stack: RunningStack) -> None:
    ray = connect_ray(ray_stack.settings)
    watched = observation(ray_stack.settings, ray_stack.endpoints)
    sleeper = ray.remote(num_cpus=0)(observed(Sleeper, "oms")).remote(watched)
    assert ray.get(sleeper.rest.remote(0.0)) == "rested"  # as anybody may call it
    with heard(watched, 50) as found, span("test") as caller:
        ray.get(remotely(sleeper.rest, 0.01))
        assert ray.get(remotely(sleeper.rest, 0.08)) == "rested"
        assert ray.get(remotely(sleeper.nap, 0.07, deep=True)) is True
    slow = [(came_ns, one) for came_ns, one in found.operations if one.trace_id == caller.trace_id]
    assert [one.name for _, one in slow] == ["doze", "oms.rest", "oms.nap"]
    for came_ns, one in slow:
        assert came_ns - (one.began_ns + one.duration_ns) < NS_PER_S
        assert one.service == "oms" and one.duration_ns >= 70 * NS_PER_MS
    (_, doze), (_, rest), (_, nap) = slow
    assert doze.parent_id == rest.span_id and rest.parent_id == nap.parent_id == caller.span_id
    ray.kill(sleeper)


def exact_p99_ns(durations: list[int]) -> int:
    return sorted(durations)[max(1, -(-len(durations) * 99 // 100)) - 1]


def test_a_paper_sessions_operations_are_ranked_as_they_were(ray_stack: RunningStack) -> None:
    """Every operation of five actors, raw from the stream and ranked from what was kept: within 2 %."""
    watched = observation(ray_stack.settings, ray_stack.endpoints)
    plan = small_plan(fresh_fund(CLOCK))

    async def kept() -> list[Rollup]:
        line = await watched.line("test")
        try:
            return await rollups_since(line, CLOCK.now_ns() - 3_600 * NS_PER_S)
        finally:
            await line.close()

    for _ in range(3):  # under load an actor's first operations may end before it has heard that somebody listens
        before = {rollup.instance for rollup in asyncio.run(kept())}  # processes of other tests on this stack
        with heard(watched, 0) as found:
            result = run_paper(ray_stack.settings, plan, Extent(FIRST, SESSIONS, 1), Rules(), CLOCK)
        assert found.missed == 0
        raw: dict[tuple[str, str], list[int]] = {}
        for _, one in found.operations:
            raw.setdefault((one.service, one.name), []).append(one.duration_ns)
        if len(raw.get(("oms", "oms_submit"), [])) >= result.orders_total - result.orders["denied"]:
            break
        plan = small_plan(fresh_fund(CLOCK))
    rows = ranked((rollup for rollup in asyncio.run(kept()) if rollup.instance not in before), 1_000)
    after = {(row.service, row.operation): row for row in rows}
    orders = result.orders_total
    for step in ("oms_submit", "oms.submit", "risk_check", "broker_submit"):
        assert len(raw["oms", step]) >= orders - result.orders["denied"]
    assert {
        ("marketdata", "marketdata.open_session"),
        ("strategy", "strategy_signal"),
        ("riskengine", "risk_gate_6"),
    } <= set(raw)
    compared = 0
    for key, durations in raw.items():
        if key in after and len(durations) == after[key].count:
            compared += 1
            assert after[key].total_s == pytest.approx(sum(durations) / NS_PER_S, rel=0.02)
            assert after[key].p99_ms == pytest.approx(exact_p99_ns(durations) / NS_PER_MS, rel=0.02)
    assert compared >= 15
    in_one_trace(found)


def in_one_trace(found: Heard) -> None:
    """An order's way through the actors hangs together: strategy, OMS, risk; the OMS itself asks the venue."""
    operations = [one for _, one in found.operations]
    handed_over = {one.trace_id for one in operations if one.name == "oms.submit"}
    bars = [one for one in operations if one.name == "strategy.on_bar" and one.trace_id in handed_over]
    decided = bars[-1]  # by the last one, every process has heard that somebody listens
    trace = {one.name: one for one in operations if one.trace_id == decided.trace_id}
    assert {"oms.submit", "riskengine.check", "broker_submit", "order_total"} <= set(trace)
    assert trace["oms.submit"].parent_id == decided.span_id
    by_id = {one.span_id: one for one in operations}
    ways = [("broker_submit", "oms.submit"), ("riskengine.check", "oms.submit"), ("risk_gate_1", "riskengine.check")]
    for child, parent in ways:
        assert by_id[trace[child].parent_id].name == parent

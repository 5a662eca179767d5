"""The paper session with real actors, Postgres, NATS and the exchange's own process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from actors.local import local_desk
from actors.paper_session import Extent, PaperResult, fresh_fund, run_paper, trade
from actors.watchdog import WatchdogPlan
from mts1b.backtester import targets
from mts1b.brokers.paper.log import recover
from mts1b.brokers.paper.matching import Rules
from mts1b.deploy.ray_client import NAMESPACE, connect_ray
from mts1b.foundation.clock import SystemClock
from mts1b.foundation.errors import InputError
from mts1b.foundation.fill import Fill
from mts1b.foundation.ids import FundId
from mts1b.oms.published import FillCreated
from mts1b.platform import eventbus
from mts1b.refdata import document
from mts1b.testing.bus import MemoryBus
from mts1b.testing.journal import MemoryJournal, MemoryStore
from mts1b.testing.venue import MemoryVenue
from tests.conftest import RunningStack
from tests.paper_market import FIRST, SESSIONS, VALUES, small_plan
from tests.ray import watchdog_probe

CLOCK = SystemClock()
EXTENT = Extent(FIRST, SESSIONS, 1)
ROLES = ("broker", "feed", "oms", "risk", "strategy")


def story(result: PaperResult) -> tuple[object, ...]:
    """Everything that must not differ between two runs."""
    fills = [(f.symbol, f.side, f.quantity, f.price, f.fee, f.ts_ns) for f in result.fills]
    return fills, result.nav, result.orders, result.refusals, result.targets.tolist()


def in_memory(rules: Rules) -> PaperResult:
    """The same session in this process, on ports in memory."""

    async def session() -> PaperResult:
        plan, store, venue = small_plan("memory"), MemoryStore(), MemoryVenue(CLOCK, rules)
        desk = local_desk(plan, MemoryJournal(store, plan.fund_id), MemoryBus(), venue, venue, CLOCK)

        async def fills() -> list[Fill]:
            return list(store.fills.values())

        return await trade(desk, plan, EXTENT, fills, CLOCK)

    return asyncio.run(session())


def run(
    stack: RunningStack, rules: Rules | None = None, between: Callable[[str, int], None] | None = None, **changes: Any
) -> PaperResult:
    plan = replace(small_plan(fresh_fund(CLOCK)), **changes)
    watch = None if between is None else lambda done, _total: between(plan.fund_id, done)
    return run_paper(stack.settings, plan, EXTENT, rules or Rules(), CLOCK, watch)


def exchange_log(stack: RunningStack, result: PaperResult) -> list[dict[str, Any]]:
    path = Path(stack.settings.data_dir) / "paper" / result.fund_id / "exchange.log"
    return recover(path.read_bytes(), path)[0]


def pid_of(stack: RunningStack, role: str, fund: str) -> int:
    ray = connect_ray(stack.settings)
    handle = ray.get_actor(f"{role}-{fund}", namespace=NAMESPACE)
    return int(ray.get(handle.__ray_call__.remote(lambda _worker: os.getpid())))


def test_targets_and_prices_are_the_backtests_and_the_bus_hears_of_every_fill(ray_stack: RunningStack) -> None:
    seen: dict[int, list[str]] = {}

    def look(_fund: str, done: int) -> None:
        import ray

        seen[done] = sorted(actor["name"] for actor in ray.util.list_named_actors(all_namespaces=True))

    result = run(ray_stack, between=look)
    plan = small_plan("again")
    np.testing.assert_array_equal(
        result.targets, targets(plan.strategy, VALUES, plan.panel)[FIRST : FIRST + SESSIONS - 1]
    )
    rows = {int(ts_ns): row for row, ts_ns in enumerate(plan.panel.ts_ns)}
    assert result.fills
    for fill in result.fills:
        assert float(fill.price) == plan.panel.open[rows[fill.ts_ns], plan.panel.symbols.index(fill.symbol)]
    assert [f"{role}-{result.fund_id}" for role in ROLES] == [n for n in seen[1] if n.endswith(result.fund_id)]
    look("", 0)
    assert not [name for name in seen[0] if name.endswith(result.fund_id)]
    assert asyncio.run(published(ray_stack.endpoints.nats_url, result)) == {fill.fill_id for fill in result.fills}
    assert all(row.count for row in result.latency)


async def published(nats_url: str, result: PaperResult) -> set[str]:
    """Ids of this fund's fills on the bus, each of them once."""
    bus = await eventbus.connect(nats_url)
    found: list[str] = []
    try:
        async with asyncio.timeout(20):
            async for message in await bus.subscribe(FillCreated, f"test-{result.fund_id}"):
                await message.ack()  # other tests' fills are on the bus too: more than may be in flight
                if message.event.fund_id == result.fund_id:
                    found.append(message.message_id)
                if len(found) == len(result.fills):
                    break
    finally:
        await bus.close()
    assert len(found) == len(set(found))
    return set(found)


def test_a_watchdog_follows_the_session_and_begins_again_by_itself(ray_stack: RunningStack) -> None:
    """Its venue is among the dependencies while a desk trades; what the feed and the strategy tell is heard."""
    connect_ray(ray_stack.settings)
    from actors.wiring import end_watchdog, start_watchdog

    venues: list[tuple[str, ...]] = []
    try:
        start_watchdog(WatchdogPlan(ray_stack.endpoints, ray_stack.settings, None))
        watchdog_probe.wait_for(lambda now: now.passes["dependency"] > 0 and now.passes["slow_consumer"] > 0)

        def look(_fund: str, _done: int) -> None:
            venues.append(watchdog_probe.wait_for(lambda _: True).venues)

        result = run(ray_stack, between=look)
        assert set(venues) == {(result.fund_id,)}
        told = {"BarsClosed": SESSIONS, "FeaturesObserved": SESSIONS - 1}
        after = watchdog_probe.wait_for(
            lambda now: not now.venues and all(now.heard.get(name, 0) >= count for name, count in told.items())
        )
        assert {name: after.heard[name] for name in told} == told
        assert after.heard["FeaturesExpected"] == after.heard["ReturnsExpected"] > 0  # those of earlier sessions too
        before = watchdog_probe.pid(ray_stack)
        os.kill(before, signal.SIGKILL)
        watchdog_probe.wait_for(lambda now: now.passes["dependency"] > 1 and not now.heard)
        assert watchdog_probe.pid(ray_stack) != before
        assert asyncio.run(end_watchdog())
    finally:
        asyncio.run(end_watchdog())


def test_actors_tell_the_same_story_as_one_process(ray_stack: RunningStack) -> None:
    rules = Rules(fee_bps=Decimal(1), slippage_bps=Decimal(2))
    result = run(ray_stack, rules, in_flight=4)
    assert story(result) == story(in_memory(rules))
    log = exchange_log(ray_stack, result)
    venue_fills = [report for entry in log for report in entry["reports"] if report["kind"] == "fill"]
    assert {fill["fill_id"] for fill in venue_fills} == {fill.fill_id for fill in result.fills}
    assert sum(Decimal(fill["fee"]) for fill in venue_fills) == sum(fill.fee for fill in result.fills)


@pytest.mark.parametrize("role", ROLES)
def test_an_actor_killed_between_sessions_changes_nothing(ray_stack: RunningStack, role: str) -> None:
    killed: list[int] = []

    def kill(fund: str, done: int) -> None:
        if done == 4:
            killed.append(pid_of(ray_stack, role, fund))
            os.kill(killed[0], signal.SIGKILL)
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(killed[0]).wait(timeout=5)

    result = run(ray_stack, between=kill)
    assert killed
    assert story(result) == story(in_memory(Rules()))


def risk_command(stack: RunningStack, *words: str) -> Any:
    """`mts risk` as a person runs it beside a session, its answer as JSON."""
    program = [sys.executable, "-c", "from mts1b.cli.main import run; run()", "risk", *words]
    told = subprocess.run(
        [*program, "--json", "--data-dir", str(stack.settings.data_dir)], capture_output=True, check=True
    )
    return json.loads(told.stdout)


def test_limits_may_be_set_before_a_fund_trades_and_it_trades_once(ray_stack: RunningStack, tmp_path: Path) -> None:
    fund, file = FundId(f"named-{os.getpid()}"), tmp_path / "limits.json"
    file.write_text(json.dumps(document(small_plan(fund).limits)))
    assert risk_command(ray_stack, "limits", "set", fund, "quantity_max=1", "--file", str(file))["version"] == 1
    result = run(ray_stack, fund_id=fund)
    assert result.fund_id == fund and not result.fills
    assert set(result.refusal_reasons) == {"3:quantity"}
    with pytest.raises(InputError, match="has traded already"):
        run(ray_stack, fund_id=fund)


def test_limits_and_the_kill_switch_reach_a_running_session(ray_stack: RunningStack) -> None:
    told: list[Any] = []

    def look(fund: str, done: int) -> None:
        if done == 2:
            told.append(risk_command(ray_stack, "halt", fund, "--why", "tried"))
        if done == 4:  # gate 3 comes before gate 5
            told.append(risk_command(ray_stack, "limits", "set", fund, "quantity_max=1", "--why", "tried"))

    result = run(ray_stack, between=look)
    halted, limits = told
    assert (limits["version"], limits["in_force"]) == (2, True)
    assert (halted["mode"], halted["heard_by_oms"], halted["open_orders"]) == ("halted", True, 0)
    assert result.refusal_reasons["3:quantity"] and result.refusal_reasons["5:halted"]
    (after,) = risk_command(ray_stack, "status", result.fund_id)
    assert (after["mode"], after["is_running"], after["limits_version"]) == ("halted", False, 2)
    assert risk_command(ray_stack, "resume", result.fund_id)["heard_by_oms"] is False

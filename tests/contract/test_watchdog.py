"""Each alert of the watchdog, raised by causing its fault for real and cleared by mending it, in one stack for all."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np
import psutil
import pytest
from typer.testing import CliRunner

from actors.watchdog import WatchdogPlan
from mts1b.brokers.paper.matching import Rules
from mts1b.brokers.paper.process import ExchangeProcess
from mts1b.cli.main import build_app
from mts1b.config import load_settings
from mts1b.deploy import stack as deployed
from mts1b.deploy.observation import targets_dir
from mts1b.foundation.alerts import Ease, Finding, Severity
from mts1b.foundation.clock import NS_PER_DAY, NS_PER_S
from mts1b.foundation.ids import digest
from mts1b.marketdata.published import BarsClosed
from mts1b.platform import db, eventbus
from mts1b.platform.alerts import BusAlerts
from mts1b.platform.eventbus import Event, EventBus
from mts1b.platform.later import PublishLater
from mts1b.platform.telemetry.exposition import expose, shown
from mts1b.watchdog.published import FeaturesExpected, FeaturesObserved, ReturnsExpected
from tests.conftest import RunningStack
from tests.contract import stack_probe
from tests.contract.bus_probe import write_notes
from tests.contract.watchdog_probe import CLOCK, QUICK, Receiver, Watching

SERVERS = ("postgres", "nats", "valkey")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[RunningStack]:
    """A stack of this module's own, whose servers are ended at will."""
    section = {**QUICK, "webhook_url": receiver.url}
    settings = load_settings(data_dir=tmp_path_factory.mktemp("watched"), watchdog=section)
    try:
        yield RunningStack(settings, deployed.up(settings, CLOCK, parts=SERVERS))
    finally:
        deployed.down(settings, CLOCK)


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.close()


@pytest.fixture(scope="module")
def watching(own: RunningStack) -> Iterator[Watching]:
    found = Watching(plan_of(own))
    yield found
    found.close()


def plan_of(own: RunningStack) -> WatchdogPlan:
    return WatchdogPlan(own.endpoints, own.settings, str(targets_dir(own.settings)))


@contextlib.contextmanager
def stopped(own: RunningStack, part: str) -> Iterator[None]:
    """One server killed by its pid, and nobody there to start it again until the end of the block."""
    supervisor = psutil.Process(own.endpoints.supervisor_pid)
    (before,) = (status for status in deployed.status(own.settings) if status.name == part)
    supervisor.suspend()
    try:
        os.kill(before.pid, signal.SIGKILL)
        yield
    finally:
        supervisor.resume()
    stack_probe.wait_until_up(own, part, before.restarts + 1)


def publish(own: RunningStack, *events: Event) -> None:
    async def work() -> None:
        bus = await eventbus.connect(own.endpoints.nats_url)
        for happened in events:
            await bus.publish_typed(happened)
        await bus.close()

    asyncio.run(work())


@pytest.mark.parametrize("part", SERVERS)
def test_a_server_that_is_killed_and_comes_back(
    own: RunningStack, watching: Watching, receiver: Receiver, part: str
) -> None:
    with stopped(own, part):
        raised = watching.change("raised", "dependency", part)
        assert raised.alert.severity is Severity.CRITICAL
        if part == "postgres":
            failed = watching.change("raised", "watchdog_check", "db_health")
            assert failed.alert.severity is Severity.WARNING
    cleared = watching.change("cleared", "dependency", part)
    assert cleared.alert.alert_id == raised.alert.alert_id
    for change in (raised, cleared):
        watching.delivered(change, receiver.posted)
    if part == "postgres":
        watching.change("cleared", "watchdog_check", "db_health")


def test_a_server_that_hangs(own: RunningStack, watching: Watching) -> None:
    server = psutil.Process(deployed.endpoints(own.settings).pids["valkey"])
    server.suspend()
    try:
        raised = watching.change("raised", "dependency", "valkey")
    finally:
        server.resume()
    assert raised.alert.summary
    watching.change("cleared", "dependency", "valkey")


def test_a_venue_that_is_killed_and_comes_back(tmp_path: Path, watching: Watching) -> None:
    async def start() -> ExchangeProcess:
        return await ExchangeProcess.start(tmp_path / "paper", Rules(fee_bps=Decimal(0)), CLOCK)

    exchange = watching.run(start())
    watching.run(watching.worker.watch_venue("paper", exchange.endpoint))
    watching.run(exchange.kill())
    watching.change("raised", "dependency", "venue paper")
    exchange = watching.run(start())
    watching.change("cleared", "dependency", "venue paper")
    watching.run(exchange.kill())
    watching.change("raised", "dependency", "venue paper")
    watching.run(watching.worker.forget_venue("paper"))  # taken down on purpose
    watching.change("cleared", "dependency", "venue paper")


def test_a_consumer_that_falls_behind_and_catches_up(own: RunningStack, watching: Watching, receiver: Receiver) -> None:
    async def fall_behind(bus: EventBus) -> None:
        subscription = await bus.subscribe("mts.v1.probe.notes.written", "slow-reader", max_ack_pending=10)
        await write_notes(bus, "lag", 80)
        await subscription.close()

    async def catch_up(bus: EventBus) -> None:
        subscription = await bus.subscribe("mts.v1.probe.notes.written", "slow-reader", max_ack_pending=100)
        async for message in subscription:
            await message.ack()
            if not message.pending:
                break
        await subscription.close()

    async def with_bus(work: Callable[[EventBus], Awaitable[None]]) -> None:
        bus = await eventbus.connect(own.endpoints.nats_url)
        await work(bus)
        await bus.close()

    asyncio.run(with_bus(fall_behind))
    raised = watching.change("raised", "slow_consumer", "mts/slow-reader")
    assert dict(raised.alert.numbers)["wait_count"] >= 50
    unread = watching.change("raised", "unread_consumer", "mts/slow-reader")
    assert "nobody reads" in unread.alert.summary
    asyncio.run(with_bus(catch_up))
    watching.change("cleared", "unread_consumer", "mts/slow-reader")
    cleared = watching.change("cleared", "slow_consumer", "mts/slow-reader")
    for change in (raised, cleared):
        watching.delivered(change, receiver.posted)


def on_connections(own: RunningStack, work: Callable[..., Awaitable[None]], count: int) -> None:
    async def run() -> None:
        held = [await asyncpg.connect(own.endpoints.postgres_dsn) for _ in range(count)]
        try:
            await work(*held)
        finally:
            for connection in held:
                await connection.close()

    asyncio.run(run())


def test_a_transaction_that_lasts_and_a_lock_that_is_waited_for(own: RunningStack, watching: Watching) -> None:
    async def fault(holder: asyncpg.Connection[Any], waiter: asyncpg.Connection[Any]) -> None:
        await holder.execute("CREATE TABLE held (id int)")
        transaction = holder.transaction()
        await transaction.start()
        await holder.execute("LOCK TABLE held")
        waiting = asyncio.create_task(waiter.execute("SELECT * FROM held"))
        locked = await asyncio.to_thread(watching.change, "raised", "db_lock_wait", "primary")
        assert f"held by {holder.get_server_pid()}" in locked.alert.summary and " held," in locked.alert.summary
        lasting = await asyncio.to_thread(watching.change, "raised", "db_long_transaction", "primary")
        assert f"pid {holder.get_server_pid()}" in lasting.alert.summary
        await transaction.rollback()
        await waiting

    on_connections(own, fault, 2)
    watching.change("cleared", "db_lock_wait", "primary")
    watching.change("cleared", "db_long_transaction", "primary")


def test_connections_that_run_out_and_are_given_back(own: RunningStack, watching: Watching) -> None:
    async def fault(first: asyncpg.Connection[Any]) -> None:
        most = int(await first.fetchval("SELECT current_setting('max_connections')"))
        clients = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        more = int(0.8 * most) - int(await first.fetchval(clients)) + 5
        taken = [await asyncpg.connect(own.endpoints.postgres_dsn) for _ in range(more)]
        try:
            raised = await asyncio.to_thread(watching.change, "raised", "db_connections", "primary")
            assert dict(raised.alert.numbers)["used_share"] >= 0.8
        finally:
            await asyncio.gather(*(connection.close() for connection in taken))

    on_connections(own, fault, 1)
    watching.change("cleared", "db_connections", "primary")


def test_a_pool_that_is_exhausted(own: RunningStack, watching: Watching, receiver: Receiver) -> None:
    """`postgres_pool_waiting` rises, on the page that this process shows to Prometheus, and the watchdog reads it."""

    async def fault() -> None:
        pool = await db.open_pool("crowded", own.endpoints.postgres_dsn, 1)
        async with pool.acquire():
            waiting = [asyncio.create_task(pool.fetchval("SELECT 1")) for _ in range(3)]
            raised = await asyncio.to_thread(watching.change, "raised", "db_pool_waiting", "test-7/crowded")
            assert 'postgres_pool_waiting{pool="crowded"} 3.0' in shown()
        assert dict(raised.alert.numbers) == {"waiting_count": 3, "active_count": 1, "idle_count": 0}
        assert await asyncio.gather(*waiting) == [1, 1, 1]
        watching.delivered(raised, receiver.posted)
        await asyncio.to_thread(watching.change, "cleared", "db_pool_waiting", "test-7/crowded")
        await db.close_pools()

    page = expose(targets_dir(own.settings), "7", {"service": "test"})
    try:
        asyncio.run(fault())
    finally:
        page.close()


def test_a_table_that_fills_with_dead_rows_and_is_vacuumed(own: RunningStack, watching: Watching) -> None:
    async def fault(connection: asyncpg.Connection[Any]) -> None:
        await connection.execute("CREATE TABLE bloated (id int, n int) WITH (autovacuum_enabled = off)")
        await connection.execute("INSERT INTO bloated SELECT id, 0 FROM generate_series(1, 500) AS id")
        for _ in range(3):
            await connection.execute("UPDATE bloated SET n = n + 1")

    async def mend(connection: asyncpg.Connection[Any]) -> None:
        await connection.execute("VACUUM bloated")

    on_connections(own, fault, 1)
    raised = watching.change("raised", "db_table_bloat", "primary/public.bloated")
    assert dict(raised.alert.numbers)["dead_rows_count"] >= 200
    on_connections(own, mend, 1)
    watching.change("cleared", "db_table_bloat", "primary/public.bloated")


def features(values: np.ndarray, ts_ns: int) -> FeaturesObserved:
    name = digest("features", ts_ns)
    return FeaturesObserved(event_id=name, subject="fund/sma", ts_ns=ts_ns, features={"return": values.tolist()})


def test_features_that_shift_and_come_back(own: RunningStack, watching: Watching, receiver: Receiver) -> None:
    rng = np.random.default_rng(11)
    history = rng.normal(size=1_000).tolist()
    expected = FeaturesExpected(
        event_id="history", subject="fund/sma", ts_ns=0, observations=250, features={"return": history}
    )
    publish(own, expected, *(features(rng.normal(1.5, 1, 4), bar) for bar in range(60)))
    raised = watching.change("raised", "drift_feature", "fund/sma/return")
    assert raised.alert.severity is Severity.CRITICAL and dict(raised.alert.numbers)["ks_p"] < 1e-3
    publish(own, *(features(rng.normal(0, 1, 4), bar) for bar in range(60, 120)))
    watching.delivered(watching.change("cleared", "drift_feature", "fund/sma/return"), receiver.posted)


def test_returns_that_leave_the_backtests_and_come_back(own: RunningStack, watching: Watching) -> None:
    rng = np.random.default_rng(12)

    async def mark(returns: np.ndarray, first: int) -> None:
        pool = await db.open_pool("marks", own.endpoints.postgres_dsn, 1)
        await db.migrate(pool)
        nav = 1e6 * np.cumprod(1 + returns)
        rows = [("drifting", first + day, Decimal(f"{value:.4f}"), 0, 0) for day, value in enumerate(nav)]
        await pool.executemany("INSERT INTO nav_marks VALUES ($1, $2, $3, $4, $5)", rows)
        await db.close_pools()

    backtest = rng.normal(0.001, 0.01, 500)
    asyncio.run(mark(rng.normal(-0.02, 0.01, 61), 0))
    publish(own, ReturnsExpected(event_id="backtest", fund_id="drifting", ts_ns=0, returns=backtest.tolist()))
    watching.change("raised", "drift_pnl", "drifting")
    asyncio.run(mark(rng.choice(backtest, 80), 1_000))
    watching.change("cleared", "drift_pnl", "drifting")


def test_a_fund_that_is_halted_and_rearmed(own: RunningStack, watching: Watching, receiver: Receiver) -> None:
    async def say(query: str) -> None:
        pool = await db.open_pool("funds", own.endpoints.postgres_dsn, 1)
        await db.migrate(pool)
        await pool.execute(query, CLOCK.now_ns())
        await db.close_pools()

    opening = "INSERT INTO funds (fund_id, opening_cash, cash, updated_at, mode) VALUES ('halting', 1, 1, $1, 'halted')"
    asyncio.run(say(opening))
    raised = watching.change("raised", "risk_mode", "halting")
    assert raised.alert.severity is Severity.CRITICAL
    asyncio.run(say("UPDATE funds SET mode = 'active', updated_at = $1 WHERE fund_id = 'halting'"))
    watching.delivered(watching.change("cleared", "risk_mode", "halting"), receiver.posted)


def tape(day: int, drift: float, rng: np.random.Generator, bars: int = 130) -> list[BarsClosed]:
    """A day of three-minute bars of one name."""
    closes = 100 + np.cumsum(rng.normal(drift, 1, bars)) * 0.05
    found = []
    for bar, close in enumerate(closes):
        ts_ns = day * NS_PER_DAY + bar * 180 * NS_PER_S
        prices = {name: [float(close)] for name in ("open", "high", "low", "close")}
        volume = [float(rng.integers(2_000, 4_000))]
        event_id, symbols = f"tape-{ts_ns}", ["AAPL"]
        found.append(
            BarsClosed(
                event_id=event_id,
                source="tape",
                interval_s=180,
                ts_ns=ts_ns,
                symbols=symbols,
                volume=volume,
                **prices,  # type: ignore[arg-type]
            )
        )
    return found


def test_flow_that_turns_toxic_and_calms_down(own: RunningStack, watching: Watching) -> None:
    rng = np.random.default_rng(13)
    publish(own, *tape(0, 0, rng), *tape(1, 0, rng), *tape(2, 4.0, rng))
    raised = watching.change("raised", "vpin", "AAPL")
    assert dict(raised.alert.numbers)["vpin"] >= 0.5
    publish(own, *tape(3, 0, rng))
    watching.change("cleared", "vpin", "AAPL")


def test_what_a_service_says_of_itself(own: RunningStack, watching: Watching) -> None:
    halted = Finding("risk_halted", "fund-7", Severity.CRITICAL, "drawdown 12 % of NAV", (("drawdown_ratio", 0.12),))
    recovered = Finding("oms_recovered", "fund-7", Severity.WARNING, "3 orders were in doubt", lasts_s=0.5)

    async def work() -> None:
        later = PublishLater(partial(eventbus.open_bus, "told", own.endpoints.nats_url))
        alerts = BusAlerts(later, CLOCK)
        for finding in (halted, recovered):
            alerts.tell(finding)
        raised = await asyncio.to_thread(watching.change, "raised", "risk_halted", "fund-7")
        assert raised.alert.numbers == halted.numbers
        alerts.tell(replace(halted, state=Ease.WELL))
        await asyncio.to_thread(watching.change, "cleared", "risk_halted", "fund-7")
        await later.close()
        await eventbus.close_buses()

    asyncio.run(work())
    watching.change("raised", "oms_recovered", "fund-7")
    watching.change("cleared", "oms_recovered", "fund-7")  # nothing like it came again


def listed(own: RunningStack, *options: str) -> list[dict[str, Any]]:
    done = CliRunner().invoke(
        build_app(("alerts",)), ["alerts", "--json", "--data-dir", str(own.settings.data_dir), *options]
    )
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_alerts_are_listed_and_outlive_the_watchdog(own: RunningStack, watching: Watching) -> None:
    """Standing ones from Postgres, cleared ones under --all; the next watchdog clears what it finds well."""
    missed = Finding("risk_halted", "fund-8", Severity.WARNING, "a person halted it")
    watching.run(watching.worker.tell(missed))
    raised = watching.change("raised", "risk_halted", "fund-8").alert

    def stored() -> list[dict[str, Any]] | None:
        return [row for row in listed(own) if row["subject"] == "fund-8"] or None

    (row,) = watching.wait_for("fund-8 is not listed", stored, 5)
    assert (row["alert_id"], row["severity"], row["cleared"]) == (raised.alert_id, "warning", None)
    watching.restart(plan_of(own))
    again = watching.wait_for(
        "it does not stand again",
        lambda: next((a for a in watching.run(watching.worker.alerts()) if a.subject == "fund-8"), None),
        10,
    )
    assert again.alert_id == raised.alert_id
    watching.run(watching.worker.tell(replace(missed, state=Ease.WELL)))
    watching.change("cleared", "risk_halted", "fund-8")
    watching.wait_for("it is still listed", lambda: None if stored() else True, 5)
    history = {(row["alert"], row["subject"]): row for row in listed(own, "--all", "--limit", "1000")}
    for known in (
        ("dependency", "nats"),
        ("slow_consumer", "mts/slow-reader"),
        ("vpin", "AAPL"),
        ("risk_halted", "fund-8"),
    ):
        assert history[known]["cleared"] is not None


def test_no_secret_leaves(own: RunningStack, watching: Watching, receiver: Receiver) -> None:
    said = json.dumps(receiver.posted) + "\n".join(watching.log.lines) + str(watching.heard) + str(listed(own, "--all"))
    for part in SERVERS:
        secret = own.endpoints.address(part).split("@")[0].rpartition(":")[2]
        assert len(secret) > 8 and secret not in said

"""A pool under pressure, on a real Postgres: exact gauges, an overflow that closes, clear errors, and healing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from mts1b.config import load_settings
from mts1b.foundation.errors import StackError
from mts1b.platform import db
from mts1b.platform.db import pool as pools
from mts1b.platform.telemetry.exposition import shown
from tests.conftest import RunningStack
from tests.contract.bus_probe import until
from tests.contract.proxy import proxied

Work = Callable[[db.Pool], Awaitable[None]]

KILL_OTHERS = """SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE application_name = $1 AND pid <> pg_backend_pid()"""
OPEN = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1"


def on_pool(dsn: str, work: Work, name: str = "primary", **terms: Any) -> None:
    async def run() -> None:
        async with asyncio.timeout(60):
            try:
                await work(await db.open_pool(name, dsn, **terms))
            finally:
                await db.close_pools()

    asyncio.run(run())


def test_the_sources_settings_as_written(stack: RunningStack, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block of the performance notes, with a DSN in place of its dots."""
    file = tmp_path / "mts1b.yaml"
    file.write_text(
        f"""\
db:
  primary:
    dsn: {stack.endpoints.postgres_dsn}
    pool_size: 50
    max_overflow: 20
"""
    )
    monkeypatch.setenv("MTS_CONFIG", str(file))
    primary = load_settings().db.primary
    assert primary.dsn is not None

    async def work(pool: db.Pool) -> None:
        assert db.get_pool("primary") is pool
        async with asyncio.TaskGroup() as group:
            for _ in range(100):
                group.create_task(pool.fetchval("SELECT pg_sleep(0.02)"))
        assert await pool.fetchval(OPEN, "mts1b-primary") == 70

    on_pool(primary.dsn.get_secret_value(), work, **primary.model_dump(exclude={"dsn"}))
    assert load_settings(db={}).db.primary.pool_size == 50
    monkeypatch.setenv("MTS_CONFIG", "")
    assert type(primary)().pool_size == 20


def test_an_exhausted_pool_is_seen_and_callers_hear_of_it(stack: RunningStack) -> None:
    async def work(pool: db.Pool) -> None:
        held = [await pool.acquire() for _ in range(3)]
        assert pool.gauge == db.PoolGauge(active=3, idle=0, waiting=0)
        callers = [asyncio.create_task(pool.fetchval("SELECT 1")) for _ in range(4)]
        await until(lambda: pool.gauge.waiting == 4)
        assert 'postgres_pool_waiting{pool="primary"} 4.0' in shown()
        assert 'postgres_pool_active{pool="primary"} 3.0' in shown()
        problem = r"db.primary='3 of 3 connections in use, \d more wait': none came free within 0.2 s; raise db.primary"
        for caller in callers:
            with pytest.raises(db.PoolTimeout, match=problem):
                await caller
        assert pool.gauge == db.PoolGauge(active=3, idle=0, waiting=0)
        late = asyncio.create_task(pool.fetchval("SELECT 2"))
        await until(lambda: pool.gauge.waiting == 1)
        for connection in held:
            await pool.release(connection)
            await pool.release(connection)  # twice is once
        assert await late == 2
        assert pool.gauge == db.PoolGauge(active=0, idle=3, waiting=0)
        assert 'postgres_pool_idle{pool="primary"} 3.0' in shown()

    on_pool(stack.endpoints.postgres_dsn, work, pool_size=2, max_overflow=1, acquire_timeout_s=0.2)


def test_the_overflow_closes_and_the_rest_stays(stack: RunningStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "OVERFLOW_IDLE_S", 0.3)

    async def work(pool: db.Pool) -> None:
        held = [await pool.acquire() for _ in range(6)]
        assert await held[0].fetchval(OPEN, "mts1b-overflow") == 6
        for connection in held:
            await pool.release(connection)
        assert pool.gauge.idle == 6
        for _ in range(5):  # work that the connections that stay can do keeps none of the others open
            await pool.fetchval("SELECT 1")
            await asyncio.sleep(0.1)
        await until(lambda: pool.gauge.idle == 2)
        async with pool.acquire() as connection:
            assert await connection.fetchval(OPEN, "mts1b-overflow") == 2

    on_pool(stack.endpoints.postgres_dsn, work, "overflow", pool_size=2, max_overflow=4)


def test_many_callers_never_open_more_than_they_may_and_gauges_come_out_even(stack: RunningStack) -> None:
    async def work(pool: db.Pool) -> None:
        most = 0

        async def call(number: int) -> None:
            nonlocal most
            try:
                async with asyncio.timeout(0.02 if number % 7 == 0 else 30), pool.acquire() as connection:
                    most = max(most, pool.gauge.active)
                    if number % 5 == 0:
                        await connection.execute("SELECT 1 / 0")
                    if number % 11 == 0:
                        connection.terminate()
                        return
                    await connection.execute("SELECT pg_sleep(0.002)")
            except (TimeoutError, StackError, pools.asyncpg.DivisionByZeroError):
                return

        await asyncio.gather(*(call(number) for number in range(400)))
        assert most == 8
        assert pool.gauge.active == pool.gauge.waiting == 0
        assert await pool.fetchval(OPEN, "mts1b-many") <= 8

    on_pool(stack.endpoints.postgres_dsn, work, "many", pool_size=5, max_overflow=3)


def test_a_killed_connection_heals(stack: RunningStack, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(pool: db.Pool) -> None:
        held = [await pool.acquire() for _ in range(4)]
        busy = held.pop()
        for connection in held:
            await pool.release(connection)
        killer = await db.open_pool("killer", stack.endpoints.postgres_dsn, pool_size=1)
        assert await killer.fetchval(KILL_OTHERS, "mts1b-primary") == 4
        with pytest.raises(StackError), db.translated():
            await busy.fetchval("SELECT 1")
        await pool.release(busy)
        assert await asyncio.gather(*(pool.fetchval("SELECT $1::int", number) for number in range(20))) == [*range(20)]
        assert pool.gauge == db.PoolGauge(active=0, idle=pool.gauge.idle, waiting=0)
        assert (await pool.health()).version.startswith("1")

    monkeypatch.setattr(pools, "IDLE_CHECK_S", 0.0)  # asked before each use, as after a second of rest
    on_pool(stack.endpoints.postgres_dsn, work, pool_size=3, max_overflow=1)


def test_a_line_that_fell_silent_is_noticed_before_it_is_used(
    stack: RunningStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A firewall that forgets a connection tells neither end."""
    monkeypatch.setattr(pools, "IDLE_CHECK_S", 0.0)
    monkeypatch.setattr(pools, "CHECK_TIMEOUT_S", 0.3)
    url = urlsplit(stack.endpoints.postgres_dsn)

    async def behind_proxy() -> None:
        async with asyncio.timeout(30), proxied(str(url.hostname), int(url.port or 0)) as proxy:
            far = url._replace(netloc=f"{url.username}:{url.password}@127.0.0.1:{proxy.port}").geturl()
            pool = await db.open_pool("far", far, pool_size=3)
            await asyncio.gather(*(pool.fetchval("SELECT pg_sleep(0.01)") for _ in range(3)))
            assert pool.gauge.idle == 3
            silent = set(proxy.writers)
            proxy.muted = silent
            opened = proxy.connections
            assert await pool.fetchval("SELECT 7") == 7  # one answer waited for, not three
            assert await pool.fetchval("SELECT 8") == 8
            assert proxy.connections > opened
            await db.close_pools()

    asyncio.run(behind_proxy())


def test_statements_and_idle_transactions_end_in_time(stack: RunningStack) -> None:
    async def work(pool: db.Pool) -> None:
        with pytest.raises(db.StatementTimeout, match="statement timeout.*statement_timeout_s"):
            await pool.fetchval("SELECT pg_sleep(5)")
        with pytest.raises(StackError):
            async with db.transaction(pool) as connection:
                await connection.fetchval("SELECT 1")
                await asyncio.sleep(0.5)
                await connection.fetchval("SELECT 1")
        assert await pool.fetchval("SELECT 3") == 3
        assert pool.gauge.active == 0

    on_pool(stack.endpoints.postgres_dsn, work, pool_size=1, statement_timeout_s=0.2)


def test_errors_of_a_block_arrive_as_ours_and_others_as_they_are(stack: RunningStack) -> None:
    async def work(pool: db.Pool) -> None:
        with pytest.raises(db.Contention):
            async with pool.acquire() as connection:
                await connection.execute("DO $$ BEGIN RAISE serialization_failure; END $$")
        with pytest.raises(TimeoutError):  # the caller's own, not the server's
            async with pool.acquire():
                raise TimeoutError
        with pytest.raises(KeyError):
            async with pool.acquire():
                raise KeyError
        with pytest.raises(StackError, match="no connection|closed|lost"):
            async with pool.acquire() as connection:
                await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        assert pool.gauge.active == 0

    on_pool(stack.endpoints.postgres_dsn, work, pool_size=2)

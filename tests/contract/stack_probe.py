"""What the stack's tests write into its servers and read back, and how they see its processes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

import asyncpg
import psutil
import redis.asyncio

from mts1b.deploy import stack
from mts1b.deploy.endpoints import Endpoints, read_running
from mts1b.foundation.clock import NS_PER_S, SystemClock
from mts1b.platform import eventbus
from tests.conftest import RunningStack

SUBJECT = "mts.v1.test.notes.created"


async def put(found: Endpoints, text: str) -> None:
    """Write one note into Postgres, JetStream and Valkey."""
    connection = await asyncpg.connect(found.postgres_dsn)
    await connection.execute("CREATE TABLE IF NOT EXISTS note (text text)")
    await connection.execute("INSERT INTO note VALUES ($1)", text)
    await connection.close()
    bus = await eventbus.connect(found.nats_url)
    await bus.publish(SUBJECT, text.encode(), message_id=text)
    await bus.close()
    cache = redis.asyncio.Redis.from_url(found.valkey_url)
    await cache.set("note", text)
    await cache.execute_command("WAITAOF", 1, 0, 5000)
    await cache.aclose()


async def get(found: Endpoints, reader: str) -> dict[str, str]:
    """The last note of each server. `reader` names a consumer that has read nothing yet."""
    connection = await asyncpg.connect(found.postgres_dsn)
    notes = {"postgres": (await connection.fetch("SELECT text FROM note"))[-1]["text"]}
    await connection.close()
    bus = await eventbus.connect(found.nats_url)
    async with asyncio.timeout(10):
        async for message in await bus.subscribe(SUBJECT, durable=reader):
            notes["nats"] = message.payload.decode()
            await message.ack()
            if not message.pending:
                break
    await bus.close()
    cache = redis.asyncio.Redis.from_url(found.valkey_url)
    notes["valkey"] = (await cache.get("note")).decode()
    await cache.aclose()
    return notes


def processes(running: RunningStack) -> list[psutil.Process]:
    """The supervisor and every process below it."""
    found = read_running(running.settings)
    assert found is not None
    supervisor = psutil.Process(found.supervisor_pid)
    return [supervisor, *supervisor.children(recursive=True)]


def kill(*victims: psutil.Process) -> None:
    """Kill, and wait until the kernel has done it: a signal sent is not yet a death."""
    for process in victims:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    for _ in range(500):
        if not alive(list(victims)):
            return
        time.sleep(0.02)
    raise AssertionError(f"cannot be killed: {alive(list(victims))}")


def alive(found: list[psutil.Process]) -> list[str]:
    """Those that still run, to be shown when a test expects none."""
    still = []
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                still.append(str(process))
    return still


def wait_until_up(running: RunningStack, part: str, restarts: int, timeout_s: float = 90.0) -> stack.PartStatus:
    """The part's status once it is up after at least `restarts` restarts."""
    clock = SystemClock()
    deadline_ns = clock.monotonic_ns() + int(timeout_s * NS_PER_S)
    while True:
        (now,) = (status for status in stack.status(running.settings) if status.name == part)
        if now.state == "up" and now.restarts >= restarts:
            return now
        assert clock.monotonic_ns() < deadline_ns, f"{part} did not come back: {now}"
        asyncio.run(asyncio.sleep(0.1))


def modes(root: Path) -> dict[str, int]:
    """Permission bits of what lies directly below `root`."""
    return {path.name: path.stat().st_mode & 0o777 for path in root.iterdir() if not path.is_symlink()}

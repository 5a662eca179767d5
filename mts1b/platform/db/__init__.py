"""Postgres: named pools, transactions and numbered migrations. The only room that imports asyncpg.

pool = await open_pool("primary", dsn, pool_size=50, max_overflow=20)
async with transaction(get_pool("primary")) as connection:
    await connection.execute("...")
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mts1b.foundation.errors import StackError
from mts1b.foundation.limits import DB_POOL_SIZE_DEFAULT
from mts1b.platform.db.errors import (
    Conflict,
    Contention,
    DiskFull,
    PoolTimeout,
    StatementTimeout,
    server_of,
    translated,
)
from mts1b.platform.db.migrations import migrate, read_migrations
from mts1b.platform.db.pool import Connection, Pool, PoolGauge, PoolHealth, make_pool
from mts1b.platform.db.server import ensure_database, ping
from mts1b.platform.rotation import Source
from mts1b.platform.telemetry import span
from mts1b.platform.telemetry.gauges import Sample, gauge

__all__ = [
    "Conflict",
    "Connection",
    "Contention",
    "DiskFull",
    "Pool",
    "PoolGauge",
    "PoolHealth",
    "PoolTimeout",
    "StatementTimeout",
    "close_pools",
    "ensure_database",
    "get_pool",
    "migrate",
    "open_pool",
    "ping",
    "pool_gauges",
    "read_migrations",
    "server_of",
    "transaction",
    "translated",
]

_pools: dict[str, tuple[asyncio.AbstractEventLoop, Pool]] = {}
"""By name, with the event loop that the pool belongs to: it cannot be used from another."""


async def open_pool(
    name: str, dsn: str | Source, pool_size: int = DB_POOL_SIZE_DEFAULT, max_overflow: int = 0, **timeouts: Any
) -> Pool:
    """Open the pool `name`, or return it when it is open.

    It keeps up to `pool_size` connections once it needed them, and opens `max_overflow` more that close after five idle
    seconds. `dsn`: as text, or where it is kept, which is asked before each connection. `timeouts`: acquire_timeout_s,
    statement_timeout_s. StackError when the server cannot be reached within CONNECT_TIMEOUT_S or refuses the
    credentials.
    """
    loop = asyncio.get_running_loop()
    if name in _pools and _pools[name][0] is loop and not _pools[name][1].is_closing:
        return _pools[name][1]
    pool = await make_pool(name, dsn, pool_size, max_overflow, **timeouts)
    _pools[name] = loop, pool
    return pool


def get_pool(name: str = "primary") -> Pool:
    """The open pool `name`. StackError when nobody opened it in this process."""
    if name not in _pools:
        raise StackError("pool", name, "is not open", "call open_pool() first")
    return _pools[name][1]


async def close_pools() -> None:
    """Close every pool of this event loop; connections in use are given CONNECT_TIMEOUT_S to come back."""
    pools = [pool for loop, pool in _pools.values() if loop is asyncio.get_running_loop()]
    _pools.clear()
    for pool in pools:
        await pool.close()


def _gauge(field: str) -> list[Sample]:
    return [({"pool": name}, float(getattr(found, field))) for name, found in pool_gauges().items()]


gauge("postgres_pool_active", "Connections handed out.", lambda: _gauge("active"))
gauge("postgres_pool_idle", "Connections that are open and idle.", lambda: _gauge("idle"))
gauge("postgres_pool_waiting", "Callers that wait for a connection.", lambda: _gauge("waiting"))


def pool_gauges() -> dict[str, PoolGauge]:
    """Active and idle connections, and callers that wait, by pool name."""
    return {name: pool.gauge for name, (_, pool) in tuple(_pools.items())}


@asynccontextmanager
async def transaction(pool: Pool) -> AsyncIterator[Connection]:
    """One transaction on one connection: committed at the end, rolled back on any exception, errors translated."""
    with span("db.transaction", pool=pool.name), translated():
        async with pool.acquire() as connection, connection.transaction():
            yield connection

"""A pool of connections: `pool_size` of them that stay, `max_overflow` more under pressure, and a queue behind.

asyncpg's own pool has no overflow. So there are two of them: one for the connections that stay, used first, and one
whose connections close after OVERFLOW_IDLE_S without work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg

from mts1b.foundation.errors import InputError, StackError
from mts1b.foundation.limits import CONNECT_TIMEOUT_S, DB_POOL_SIZE_DEFAULT
from mts1b.platform.db.errors import REFUSED, UNREACHABLE, PoolTimeout, server_of, translated, translation_of
from mts1b.platform.db.server import connected
from mts1b.platform.rotation import Source, text_of
from mts1b.platform.slots import Slots
from mts1b.platform.telemetry import span

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Inner: TypeAlias = asyncpg.Pool[asyncpg.Record]
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Record: TypeAlias = asyncpg.Record
else:
    Inner, Connection, Record = asyncpg.Pool, asyncpg.Connection, asyncpg.Record

ACQUIRE_TIMEOUT_S = 10.0
"""How long a caller waits for a connection before it hears that the pool is exhausted."""

STATEMENT_TIMEOUT_S = 60.0
"""How long the server works on one statement, and lets a transaction stand still."""

OVERFLOW_IDLE_S = 5.0
"""How long a connection beyond `pool_size` may be idle before it closes."""

IDLE_CHECK_S = 1.0
"""A connection idle for longer is asked whether it still lives before it is handed out."""

CHECK_TIMEOUT_S = 2.0
"""How long that answer may take before the connection counts as dead."""


@dataclass(frozen=True, slots=True)
class PoolGauge:
    """Connections of one pool right now, and callers that wait for one."""

    active: int
    idle: int
    waiting: int


@dataclass(frozen=True, slots=True)
class PoolHealth:
    """An answer of the server through the pool: how long it took, connection included, and the pool's gauges before."""

    version: str
    answer_ms: float
    gauge: PoolGauge


class Pool:
    """Connections to one database, for one event loop. Made by `open_pool`."""

    def __init__(self, name: str, base: Inner, extra: Inner | None, sizes: tuple[int, int], timeout_s: float) -> None:
        self.name, self.pool_size, self.max_overflow = name, *sizes
        self.acquire_timeout_s = timeout_s
        self._base, self._extra = base, extra
        self._slots = Slots(self.pool_size + self.max_overflow)
        self._base_out = 0
        self._out: dict[int, tuple[Connection, Inner]] = {}
        self._released_s: dict[int, float] = {}

    @property
    def gauge(self) -> PoolGauge:
        """Connections handed out, connections that are open and idle, callers that wait."""
        idle = self._base.get_idle_size() + (self._extra.get_idle_size() if self._extra else 0)
        return PoolGauge(self._slots.in_use, idle, self._slots.waiting)

    @property
    def is_closing(self) -> bool:
        return self._base.is_closing()

    def acquire(self, timeout_s: float | None = None) -> Acquired:
        """A connection: `async with pool.acquire() as connection`, or await it and `release` it.

        PoolTimeout when none comes free within `timeout_s` (the pool's own by default); StackError when the server
        cannot be reached.
        """
        return Acquired(self, self.acquire_timeout_s if timeout_s is None else timeout_s)

    async def release(self, connection: Connection) -> None:
        """Take a connection back; one that was lost, or is back already, is harmless."""
        held = self._out.pop(id(connection), None)
        if held is None:
            return
        _, inner = held
        try:
            pid = _pid_of(connection)
            with suppress(StackError), translated(f"db.{self.name}"):  # what was done with it is done
                await inner.release(connection)  # type: ignore[arg-type]
            if pid is not None:
                self._released_s[pid] = self._now_s()
        finally:
            self._leave(inner)

    async def fetch(self, query: str, *args: object) -> list[Record]:
        with span("db.fetch", pool=self.name), translated(f"db.{self.name}"):
            async with self.acquire() as connection:
                return await connection.fetch(query, *args)

    async def fetchrow(self, query: str, *args: object) -> Record | None:
        with span("db.fetchrow", pool=self.name), translated(f"db.{self.name}"):
            async with self.acquire() as connection:
                return await connection.fetchrow(query, *args)

    async def fetchval(self, query: str, *args: object) -> Any:
        with span("db.fetchval", pool=self.name), translated(f"db.{self.name}"):
            async with self.acquire() as connection:
                return await connection.fetchval(query, *args)

    async def execute(self, query: str, *args: object) -> str:
        with span("db.execute", pool=self.name), translated(f"db.{self.name}"):
            async with self.acquire() as connection:
                return await connection.execute(query, *args)

    async def executemany(self, query: str, args: Iterable[Any]) -> None:
        with span("db.executemany", pool=self.name), translated(f"db.{self.name}"):
            async with self.acquire() as connection:
                await connection.executemany(query, args)

    async def health(self, timeout_s: float = CHECK_TIMEOUT_S) -> PoolHealth:
        """Ask the server through the pool. PoolTimeout or StackError when that does not work within `timeout_s`."""
        gauge, since_s = self.gauge, self._now_s()
        with translated(f"db.{self.name}"):
            async with self.acquire(timeout_s) as connection:
                version = await connection.fetchval("SHOW server_version", timeout=timeout_s)
        return PoolHealth(str(version), (self._now_s() - since_s) * 1e3, gauge)

    async def close(self) -> None:
        """Close every connection; those in use are given CONNECT_TIMEOUT_S to come back."""
        for inner in (self._extra, self._base):
            if inner is not None:
                try:
                    await asyncio.wait_for(inner.close(), CONNECT_TIMEOUT_S)
                except TimeoutError:
                    inner.terminate()

    async def _acquire(self, timeout_s: float) -> Connection:
        with span("db.acquire", pool=self.name):
            return await self._take(timeout_s)

    async def _take(self, timeout_s: float) -> Connection:
        deadline_s = self._now_s() + timeout_s
        try:
            async with asyncio.timeout_at(deadline_s):
                await self._slots.enter()
        except TimeoutError:
            raise self._exhausted(timeout_s) from None
        inner = self._base
        if self._base_out < self.pool_size:
            self._base_out += 1
        else:
            assert self._extra is not None
            inner = self._extra
        try:
            with translated(f"db.{self.name}"):
                async with asyncio.timeout_at(deadline_s):
                    connection = await self._living(inner)
        except BaseException:
            self._leave(inner)
            raise
        self._out[id(connection)] = connection, inner
        return connection

    async def _living(self, inner: Inner) -> Connection:
        """A connection that works, as far as can be told: one idle for long is asked first."""
        while True:
            connection = await inner.acquire()
            released_s = self._released_s.pop(connection.get_server_pid(), None)
            if released_s is None or self._now_s() - released_s < IDLE_CHECK_S:
                return connection
            try:
                await connection.execute("SELECT 1", timeout=CHECK_TIMEOUT_S)
                return connection
            except UNREACHABLE + REFUSED:
                _discard(connection)
                await self._expire()
            except BaseException:
                _discard(connection)
                raise

    async def _expire(self) -> None:
        """Idle connections are made anew before their next use: what happened to one has happened to the others."""
        self._released_s.clear()
        for inner in (self._base, self._extra):
            if inner is not None:
                await inner.expire_connections()

    def _leave(self, inner: Inner) -> None:
        if inner is self._base:
            self._base_out -= 1
        self._slots.leave()

    def _exhausted(self, timeout_s: float) -> PoolTimeout:
        used, waiting = self._slots.in_use, self._slots.waiting
        return PoolTimeout(
            f"db.{self.name}",
            f"{used} of {self._slots.capacity} connections in use, {waiting} more wait",
            f"none came free within {timeout_s:g} s",
            f"raise db.{self.name}.pool_size or max_overflow, or hold connections for less long",
        )

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()


class Acquired:
    """A connection to come: awaited, or entered and given back at the end. Errors inside the block are translated."""

    def __init__(self, pool: Pool, timeout_s: float) -> None:
        self._pool, self._timeout_s = pool, timeout_s
        self._connection: Connection | None = None

    def __await__(self) -> Generator[Any, None, Connection]:
        return self._pool._acquire(self._timeout_s).__await__()

    async def __aenter__(self) -> Connection:
        self._connection = await self._pool._acquire(self._timeout_s)
        return self._connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._connection is not None
        await self._pool.release(self._connection)
        better = None if error is None else translation_of(f"db.{self._pool.name}", error)
        if better is not None:
            raise better from error


def _discard(connection: Connection) -> None:
    """Close a connection for good, which gives its place back to asyncpg's pool."""
    with suppress(asyncpg.InterfaceError):  # the server closed it first: its place is back already
        connection.terminate()


def _pid_of(connection: Connection) -> int | None:
    """The server process of a connection, None when it was lost."""
    try:
        return None if connection.is_closed() else int(connection.get_server_pid())
    except asyncpg.InterfaceError:  # asyncpg took it back when it was lost
        return None


async def make_pool(
    name: str,
    dsn: str | Source,
    pool_size: int = DB_POOL_SIZE_DEFAULT,
    max_overflow: int = 0,
    acquire_timeout_s: float = ACQUIRE_TIMEOUT_S,
    statement_timeout_s: float = STATEMENT_TIMEOUT_S,
) -> Pool:
    """Connect. InputError: a bad DSN; StackError: no answer within CONNECT_TIMEOUT_S, or credentials refused.

    Each connection is made with the DSN as it then is: a password that was rotated needs no restart.
    """
    first = await text_of(dsn)
    milliseconds = str(int(statement_timeout_s * 1000))

    async def connect(_first: str, **options: Any) -> Any:
        return await connected(dsn, **options)

    shared: dict[str, Any] = {
        "connect": connect,
        "timeout": CONNECT_TIMEOUT_S,
        "command_timeout": statement_timeout_s + CHECK_TIMEOUT_S,  # for a server that cannot even say that it stopped
        "server_settings": {
            "application_name": f"mts1b-{name}",
            "statement_timeout": milliseconds,
            "idle_in_transaction_session_timeout": milliseconds,
        },
    }
    try:
        base = await asyncpg.create_pool(
            first, min_size=1, max_size=pool_size, max_inactive_connection_lifetime=0.0, **shared
        )
        extra = None
        if max_overflow:
            extra = await asyncpg.create_pool(
                first, min_size=0, max_size=max_overflow, max_inactive_connection_lifetime=OVERFLOW_IDLE_S, **shared
            )
    except ValueError as error:  # asyncpg's own error for a bad DSN is one of these and of UNREACHABLE
        raise InputError(
            f"db.{name}.dsn", server_of(first), str(error), "give postgres://user@host:port/name"
        ) from None
    except (*UNREACHABLE, *REFUSED) as error:
        raise StackError(f"db.{name}", server_of(first), str(error) or "no answer", "run `mts up`") from None
    return Pool(name, base, extra, (pool_size, max_overflow), acquire_timeout_s)

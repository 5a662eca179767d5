"""Postgres: named pools, transactions and numbered migrations. The only module that imports asyncpg."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

import asyncpg

from mts1b.foundation.errors import DataError, InputError, LeaseLost, StackError
from mts1b.foundation.limits import CONNECT_TIMEOUT_S, DB_POOL_SIZE_DEFAULT

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
else:
    Pool = asyncpg.Pool
    Connection = asyncpg.Connection

MIGRATION_LOCK = 0x6D747331
"""Advisory lock of the schema: one migrating process at a time."""

MIGRATION_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")

_MIGRATIONS_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    package text NOT NULL,
    version integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (package, version)
)"""

_UNREACHABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what a connection lost in the middle of a statement may leave behind
)
_REFUSED = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
)

LEASE_LOST = "MTS01"
"""What our own functions in the database raise when a writer's epoch is over."""

_pools: dict[str, tuple[asyncio.AbstractEventLoop, Pool]] = {}
"""By name, with the event loop that the pool belongs to: it cannot be used from another."""


class Conflict(DataError):
    """A row that may exist once exists already (unique or exclusion constraint, named by `value`)."""


class Contention(StackError):
    """Another transaction was in the way (serialisation failure, deadlock, lock timeout): repeat the transaction."""


@dataclass(frozen=True, slots=True)
class PoolGauge:
    """Connections of one pool right now."""

    active: int
    idle: int


@contextmanager
def translated(what: str = "db") -> Iterator[None]:
    """Turn asyncpg's exceptions into this project's: Conflict, Contention, LeaseLost or StackError."""
    try:
        yield
    except (asyncpg.UniqueViolationError, asyncpg.ExclusionViolationError) as error:
        raise Conflict(what, error.constraint_name, "exists already") from error
    except (asyncpg.SerializationError, asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError) as error:
        raise Contention(what, error.sqlstate, str(error), "repeat the transaction") from error
    except (*_UNREACHABLE, *_REFUSED) as error:
        raise StackError(what, type(error).__name__, str(error) or "no answer", "see `mts status`") from error
    except asyncpg.PostgresError as error:
        if error.sqlstate == LEASE_LOST:
            raise LeaseLost(what, error.sqlstate, str(error), "stop: write and send nothing more") from error
        raise


def server_of(dsn: str) -> str:
    """`host:port/database` of a DSN: what may be shown, without the credentials."""
    parts = urlsplit(dsn)
    return f"{parts.hostname or 'localhost'}:{parts.port or 5432}{parts.path}"


async def open_pool(name: str, dsn: str, pool_size: int = DB_POOL_SIZE_DEFAULT, max_overflow: int = 0) -> Pool:
    """Open the pool `name`, or return it when it is open.

    It grows on demand to `pool_size + max_overflow` connections; those idle for five minutes close. StackError when
    the server cannot be reached within CONNECT_TIMEOUT_S or refuses the credentials.
    """
    loop = asyncio.get_running_loop()
    if name in _pools and _pools[name][0] is loop and not _pools[name][1].is_closing():
        return _pools[name][1]
    try:
        pool = await asyncpg.create_pool(
            dsn, min_size=1, max_size=pool_size + max_overflow, timeout=CONNECT_TIMEOUT_S, command_timeout=60.0
        )
    except ValueError as error:  # asyncpg's own error for a bad DSN is one of these and of _UNREACHABLE
        raise InputError(f"db.{name}.dsn", server_of(dsn), str(error), "give postgres://user@host:port/name") from None
    except (*_UNREACHABLE, *_REFUSED) as error:
        raise StackError(f"db.{name}", server_of(dsn), str(error) or "no answer", "run `mts up`") from None
    assert pool is not None
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
        try:
            await asyncio.wait_for(pool.close(), CONNECT_TIMEOUT_S)
        except TimeoutError:
            pool.terminate()


def pool_gauges() -> dict[str, PoolGauge]:
    """Active and idle connections by pool name."""
    return {
        name: PoolGauge(active=pool.get_size() - pool.get_idle_size(), idle=pool.get_idle_size())
        for name, (_, pool) in _pools.items()
    }


@asynccontextmanager
async def transaction(pool: Pool) -> AsyncIterator[Connection]:
    """One transaction on one connection: committed at the end, rolled back on any exception, errors translated."""
    with translated():
        async with pool.acquire() as connection, connection.transaction():
            yield connection


def read_migrations(package: str) -> list[tuple[int, str, str]]:
    """(version, name, SQL) of every `NNNN_name.sql` in `package`, in order. DataError on a bad or repeated number."""
    found = []
    for entry in files(package).iterdir():
        if entry.name.endswith(".sql"):
            match = MIGRATION_NAME.fullmatch(entry.name)
            if match is None:
                raise DataError("migration", entry.name, "is not NNNN_name.sql")
            found.append((int(match.group(1)), entry.name, entry.read_text(encoding="utf-8")))
    found.sort()
    versions = [version for version, _, _ in found]
    if versions != list(range(1, len(found) + 1)):
        raise DataError("migration", versions, f"numbers in {package} must run from 1 without gaps or repeats")
    return found


async def migrate(pool: Pool, package: str = "mts1b.oms.migrations") -> list[str]:
    """Apply the migrations of `package` that the database lacks; return their names.

    Each is one transaction. Safe when many processes start at once. DataError when an applied file has changed since,
    or when the database is newer than this program.
    """
    wanted = await asyncio.to_thread(read_migrations, package)
    with translated("migration"):
        async with pool.acquire() as connection:
            await connection.execute("SELECT pg_advisory_lock($1)", MIGRATION_LOCK)
            try:
                return await _apply(connection, package, wanted)
            finally:
                await connection.execute("SELECT pg_advisory_unlock($1)", MIGRATION_LOCK)


async def _apply(connection: Connection, package: str, wanted: list[tuple[int, str, str]]) -> list[str]:
    await connection.execute(_MIGRATIONS_TABLE)
    rows = await connection.fetch("SELECT version, name, checksum FROM schema_migrations WHERE package = $1", package)
    applied = {row["version"]: (row["name"], row["checksum"]) for row in rows}
    newer = set(applied) - {version for version, _, _ in wanted}
    if newer:
        raise DataError("schema", max(newer), f"is newer than {package} knows", "update this installation")
    done = []
    for version, name, sql in wanted:
        checksum = sha256(sql.encode()).hexdigest()
        if version in applied:
            if applied[version] != (name, checksum):
                raise DataError("migration", name, "has changed since it was applied", "add a new migration instead")
            continue
        async with connection.transaction():
            try:
                await connection.execute(sql)
            except asyncpg.SyntaxOrAccessError as error:
                raise DataError("migration", name, str(error), "correct it; nothing of it was applied") from None
            await connection.execute(
                "INSERT INTO schema_migrations (package, version, name, checksum) VALUES ($1, $2, $3, $4)",
                package,
                version,
                name,
                checksum,
            )
        done.append(name)
    return done


async def ensure_database(admin_dsn: str, role: str, password: str, database: str) -> None:
    """Make sure that `role` exists with `password`, without superuser rights, and owns `database`."""
    if not (role.isidentifier() and database.isidentifier() and password.isalnum()):
        raise InputError("role", role, "names must be identifiers, the password letters and digits", "change them")
    with translated("postgres"):
        connection = await asyncpg.connect(admin_dsn, timeout=CONNECT_TIMEOUT_S)
    try:
        exists = await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role)
        verb = "ALTER" if exists else "CREATE"
        await connection.execute(
            f"{verb} ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD '{password}'"  # no parameters here
        )
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
            await connection.execute(f"CREATE DATABASE {database} OWNER {role} TEMPLATE template0 ENCODING 'UTF8'")
    finally:
        await connection.close()


async def ping(dsn: str, timeout_s: float = CONNECT_TIMEOUT_S) -> str:
    """The server's version. StackError when it does not answer in time."""
    try:
        connection = await asyncpg.connect(dsn, timeout=timeout_s)
        try:
            return str(await connection.fetchval("SHOW server_version"))
        finally:
            await connection.close()
    except (*_UNREACHABLE, *_REFUSED) as error:
        raise StackError("postgres", server_of(dsn), str(error) or "no answer", "run `mts up`") from None

"""A server itself, without a pool: whether it answers, and what it holds for us."""

from __future__ import annotations

from typing import Any, Protocol

import asyncpg

from mts1b.foundation.errors import InputError, StackError
from mts1b.foundation.limits import CONNECT_TIMEOUT_S
from mts1b.platform.db.errors import REFUSED, UNREACHABLE, server_of, translated


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


class DsnSource(Protocol):
    """A DSN that may change (as `mts1b.platform.secrets.SecretValue`): `renewed` when the one of `get` was refused."""

    async def get(self) -> str: ...
    async def renewed(self) -> str: ...


async def dsn_of(dsn: str | DsnSource) -> str:
    """The DSN now."""
    return dsn if isinstance(dsn, str) else await dsn.get()


async def connected(dsn: str | DsnSource, **options: Any) -> Any:
    """A connection. Credentials that the server refuses are read anew, once: they may have been rotated."""
    tried = await dsn_of(dsn)
    try:
        return await asyncpg.connect(tried, **options)
    except asyncpg.InvalidAuthorizationSpecificationError:
        fresh = tried if isinstance(dsn, str) else await dsn.renewed()
        if fresh == tried:
            raise
        return await asyncpg.connect(fresh, **options)


async def ping(dsn: str | DsnSource, timeout_s: float = CONNECT_TIMEOUT_S) -> str:
    """The server's version. StackError when it does not answer in time."""
    try:
        connection = await connected(dsn, timeout=timeout_s)
        try:
            return str(await connection.fetchval("SHOW server_version"))
        finally:
            await connection.close()
    except (*UNREACHABLE, *REFUSED) as error:
        raise StackError("postgres", server_of(await dsn_of(dsn)), str(error) or "no answer", "run `mts up`") from None

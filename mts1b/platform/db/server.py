"""A server itself, without a pool: whether it answers, and what it holds for us."""

from __future__ import annotations

from typing import Any

import asyncpg

from mts1b.foundation.errors import InputError, StackError
from mts1b.foundation.limits import CONNECT_TIMEOUT_S
from mts1b.platform import rotation
from mts1b.platform.db.errors import REFUSED, UNREACHABLE, server_of, translated
from mts1b.platform.rotation import Source, text_of


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


async def connected(dsn: str | Source, **options: Any) -> Any:
    """A connection. Credentials that the server refuses are read anew, once: they may have been rotated."""
    return await rotation.connected(dsn, lambda text: asyncpg.connect(text, **options), _refused)


def _refused(error: BaseException) -> bool:
    return isinstance(error, asyncpg.InvalidAuthorizationSpecificationError)


async def ping(dsn: str | Source, timeout_s: float = CONNECT_TIMEOUT_S) -> str:
    """The server's version. StackError when it does not answer in time."""
    try:
        connection = await connected(dsn, timeout=timeout_s)
        try:
            return str(await connection.fetchval("SHOW server_version"))
        finally:
            await connection.close()
    except (*UNREACHABLE, *REFUSED) as error:
        raise StackError("postgres", server_of(await text_of(dsn)), str(error) or "no answer", "run `mts up`") from None

"""Numbered migrations of a schema, each applied once, under a lock."""

from __future__ import annotations

import asyncio
import re
from hashlib import sha256
from importlib.resources import files

import asyncpg

from mts1b.foundation.errors import DataError
from mts1b.platform.db.errors import translated
from mts1b.platform.db.pool import Connection, Pool

MIGRATION_LOCK = 0x6D747331
"""Advisory lock of the schema: one migrating process at a time."""

MIGRATION_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")

MIGRATION_TIMEOUT_S = 3_600.0
"""How long one migration may take."""

_MIGRATIONS_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    package text NOT NULL,
    version integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (package, version)
)"""


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
                await connection.execute("SET statement_timeout = 0")  # an index on a long table takes its time
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
                await connection.execute(sql, timeout=MIGRATION_TIMEOUT_S)
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

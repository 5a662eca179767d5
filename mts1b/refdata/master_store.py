"""Versions of master data in Postgres. Whoever adds one says which it follows: of two at once, one is told to look."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mts1b.foundation.errors import InputError
from mts1b.platform.db import Conflict, Pool, translated
from mts1b.refdata.master import StoredTable, document, read_document
from mts1b.refdata.rows import ROWS

_COLUMNS = "kind, version, content, as_of, source, set_by, why, set_at"
_VERSION = f"SELECT {_COLUMNS} FROM master_tables WHERE kind = $1 AND version = $2"  # noqa: S608 the columns are ours
_HISTORY = f"SELECT {_COLUMNS} FROM master_tables WHERE kind = $1 ORDER BY version DESC LIMIT $2"  # noqa: S608
_NEWER = """
SELECT t.* FROM unnest($1::text[], $2::integer[]) AS known (kind, version) CROSS JOIN LATERAL (
    SELECT * FROM master_tables AS m WHERE m.kind = known.kind AND m.version > known.version
    ORDER BY m.version DESC LIMIT 1) AS t"""
_ADD = f"INSERT INTO master_tables ({_COLUMNS}) VALUES ($1, $2, $3::jsonb, $4, $5, $6, $7, $8)"  # noqa: S608


class MasterStore:
    """A MasterPort. StackError while Postgres is away."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def newer(self, versions: Mapping[str, int]) -> list[StoredTable]:
        known = [versions.get(kind, 0) for kind in ROWS]
        with translated("master data"):
            return [_stored(dict(row)) for row in await self._pool.fetch(_NEWER, list(ROWS), known)]

    async def newest(self, kind: str) -> StoredTable | None:
        """What holds; None when nobody has loaded any."""
        found = await self.history(kind, 1)
        return found[0] if found else None

    async def version(self, kind: str, version: int) -> StoredTable | None:
        """One version of a table."""
        with translated("master data"):
            rows = await self._pool.fetch(_VERSION, kind, version)
        return _stored(dict(rows[0])) if rows else None

    async def history(self, kind: str, limit: int) -> list[StoredTable]:
        """The newest versions, the newest first."""
        with translated("master data"):
            return [_stored(dict(row)) for row in await self._pool.fetch(_HISTORY, kind, limit)]

    async def add(self, table: StoredTable) -> None:
        """Store a version. InputError when the one before it is not the newest any more."""
        text = json.dumps(document(table.rows, table.sessions))
        said = (table.as_of_ns, table.source, table.by, table.why, table.set_ns)
        try:
            with translated("master data"):
                await self._pool.execute(_ADD, table.kind, table.version, text, *said)
        except Conflict:
            problem = f"somebody has loaded version {table.version} of {table.kind} meanwhile"
            raise InputError("version", table.version - 1, problem, "look at it, and load yours again") from None


def _stored(row: Mapping[str, Any]) -> StoredTable:
    rows, sessions = read_document(row["kind"], json.loads(row["content"]))
    said = (row["as_of"], row["source"], row["set_by"], row["why"], row["set_at"])
    return StoredTable(row["kind"], row["version"], rows, *said, sessions)

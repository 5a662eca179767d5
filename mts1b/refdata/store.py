"""Versions of limits in Postgres. Whoever adds one says which it follows: of two at once, one is told to look."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mts1b.foundation.errors import InputError
from mts1b.foundation.ids import FundId
from mts1b.platform.db import Conflict, Pool, translated
from mts1b.refdata.limits import StoredLimits, complete, document
from mts1b.riskengine.limits import RiskLimits

MIGRATIONS = "mts1b.refdata.migrations"

_READ = "SELECT fund_id, version, limits, set_by, why, set_at FROM fund_limits WHERE fund_id = $1"
_NEWER = f"{_READ} AND version > $2 ORDER BY version DESC LIMIT 1"
_ONE = f"{_READ} AND version = $2"
_HISTORY = f"{_READ} ORDER BY version DESC LIMIT $2"
_ADD = """INSERT INTO fund_limits (fund_id, version, limits, set_by, why, set_at)
    VALUES ($1, $2, $3::jsonb, $4, $5, $6)"""


class LimitsStore:
    """A LimitsPort. StackError while Postgres is away."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def newest(self, fund_id: FundId) -> StoredLimits | None:
        """What holds for the fund; None when nobody has set it."""
        return await self.newer(fund_id, 0)

    async def newer(self, fund_id: FundId, version: int) -> StoredLimits | None:
        return await self._one(_NEWER, fund_id, version)

    async def version(self, fund_id: FundId, version: int) -> StoredLimits | None:
        """One version of the fund's limits."""
        return await self._one(_ONE, fund_id, version)

    async def history(self, fund_id: FundId, limit: int) -> list[StoredLimits]:
        """The newest versions, the newest first."""
        with translated("limits"):
            return [_stored(dict(row)) for row in await self._pool.fetch(_HISTORY, fund_id, limit)]

    async def add(
        self, fund_id: FundId, after: int, limits: RiskLimits, by: str, why: str, now_ns: int
    ) -> StoredLimits:
        """Store the version that follows `after`. InputError when that one is not the newest any more."""
        made = StoredLimits(fund_id, after + 1, complete(document(limits)), by, why, now_ns)
        text = json.dumps(document(made.limits))
        try:
            with translated("limits"):
                await self._pool.execute(_ADD, fund_id, made.version, text, by, why, now_ns)
        except Conflict:
            problem = f"somebody has set version {made.version} meanwhile"
            raise InputError("version", after, problem, "look at it, and set yours again") from None
        return made

    async def established(self, fund_id: FundId, limits: RiskLimits, by: str, why: str, now_ns: int) -> StoredLimits:
        found = await self.newest(fund_id)
        if found is not None:
            return found
        try:
            return await self.add(fund_id, 0, limits, by, why, now_ns)
        except InputError:
            found = await self.newest(fund_id)
            if found is None:
                raise
            return found

    async def _one(self, query: str, *given: object) -> StoredLimits | None:
        with translated("limits"):
            rows = await self._pool.fetch(query, *given)
        return _stored(dict(rows[0])) if rows else None


def _stored(row: Mapping[str, Any]) -> StoredLimits:
    limits = RiskLimits.model_validate(json.loads(row["limits"]))
    return StoredLimits(FundId(row["fund_id"]), row["version"], limits, row["set_by"], row["why"], row["set_at"])

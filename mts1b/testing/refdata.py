"""Limits in memory, versioned as they are in Postgres."""

from __future__ import annotations

from mts1b.foundation.errors import StackError
from mts1b.foundation.ids import FundId
from mts1b.refdata.limits import StoredLimits, complete, document
from mts1b.riskengine.limits import RiskLimits


class MemoryLimits:
    """A LimitsPort; `is_away` makes it fail as without its server."""

    def __init__(self) -> None:
        self.versions: dict[FundId, list[StoredLimits]] = {}
        self.is_away = False

    async def established(self, fund_id: FundId, limits: RiskLimits, by: str, why: str, now_ns: int) -> StoredLimits:
        found = await self.newer(fund_id, 0)
        return found or self.put(fund_id, limits, by, why, now_ns)

    async def newer(self, fund_id: FundId, version: int) -> StoredLimits | None:
        if self.is_away:
            raise StackError("limits", fund_id, "no answer", "bring it back")
        held = self.versions.get(fund_id, [])
        return held[-1] if len(held) > version else None

    def put(self, fund_id: FundId, limits: RiskLimits, by: str, why: str = "", now_ns: int = 0) -> StoredLimits:
        """The fund's next version."""
        held = self.versions.setdefault(fund_id, [])
        held.append(StoredLimits(fund_id, len(held) + 1, complete(document(limits)), by, why, now_ns))
        return held[-1]

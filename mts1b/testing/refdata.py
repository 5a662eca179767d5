"""Limits and master data in memory, versioned as they are in Postgres."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mts1b.foundation.errors import StackError
from mts1b.foundation.ids import FundId
from mts1b.refdata.limits import StoredLimits, complete, document
from mts1b.refdata.master import StoredTable
from mts1b.refdata.rows import Row
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


class MemoryMaster:
    """A MasterPort; `is_away` makes it fail as without its server."""

    def __init__(self) -> None:
        self.tables: dict[str, StoredTable] = {}
        self.is_away = False

    async def newer(self, versions: Mapping[str, int]) -> list[StoredTable]:
        if self.is_away:
            raise StackError("master data", "tables", "no answer", "bring it back")
        return [table for kind, table in self.tables.items() if table.version > versions.get(kind, 0)]

    def put(self, kind: str, rows: Iterable[Row], as_of_ns: int) -> StoredTable:
        """The table's next version."""
        version = self.tables[kind].version + 1 if kind in self.tables else 1
        self.tables[kind] = StoredTable(kind, version, tuple(rows), as_of_ns, "a test", "ann", "", as_of_ns)
        return self.tables[kind]

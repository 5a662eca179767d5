"""Keeps a fund's risk on the newest limits and master data: read when the OMS starts and each second, on record before
they hold."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from mts1b.foundation.clock import Clock
from mts1b.foundation.errors import StackError
from mts1b.foundation.ids import FundId
from mts1b.oms.ports import Note, RiskPort
from mts1b.oms.service import Oms
from mts1b.refdata.limits import LimitsPort, StoredLimits
from mts1b.refdata.master import MasterPort, StoredTable, referred
from mts1b.riskengine.master import Reference

REFER_S = 1.0
"""How often newer versions are looked for: of limits, instruments, volumes, and what can be borrowed."""

SESSION = "session"
"""Who set the first version of a fund that nobody had written limits for."""

_LOG = logging.getLogger("mts1b.limits")


class Referring:
    """What one fund's risk goes by, on the OMS's event loop."""

    def __init__(
        self,
        limits: LimitsPort,
        master: MasterPort,
        risk: RiskPort,
        fund_id: FundId,
        reference: Reference,
        clock: Clock,
    ) -> None:
        self._limits, self._master, self._risk, self._fund_id, self._clock = limits, master, risk, fund_id, clock
        self.reference = reference
        self._unrecorded: list[Note] = []
        self._on_record = 0
        self._busy = asyncio.Lock()

    async def begin(self) -> None:
        """Before the OMS starts: the stored limits, or those handed in as the fund's first version; and what is stored
        of master data, in the place of what was handed in."""
        why = "the fund began to trade with them"
        handed = self.reference.limits
        now_ns = self._clock.now_ns()
        self._take(await self._limits.established(self._fund_id, handed, SESSION, why, now_ns))
        self._take_tables(await self._master.newer(self.reference.versions))
        await self._risk.refer(self.reference)

    async def refresh(self, oms: Oms) -> int:
        """Go by the newest versions from the next order on; returns that of the limits. Without Postgres the last ones
        known hold, with a warning each time; what is known of borrow grows old meanwhile, and gate 6 refuses it."""
        async with self._busy:
            known = self.reference.limits_version
            try:
                found = await self._limits.newer(self._fund_id, known)
                tables = await self._master.newer(self.reference.versions)
            except StackError as error:
                _LOG.warning("limits of %s were not looked for, version %d holds: %s", self._fund_id, known, error)
                found, tables = None, []
            if found is not None:
                self._take(found)
            self._take_tables(tables)
            if self._unrecorded:
                notes = tuple(self._unrecorded)
                await oms.refer(self.reference, notes)
                del self._unrecorded[: len(notes)]
                self._on_record = self.reference.limits_version
            return self._on_record

    def _take(self, stored: StoredLimits) -> None:
        self.reference = replace(self.reference, limits=stored.limits, limits_version=stored.version)
        said = {"version": stored.version, "by": stored.by, "why": stored.why, "set_ns": stored.set_ns}
        self._unrecorded.append(Note(self._fund_id, "limits_referred", said))

    def _take_tables(self, tables: list[StoredTable]) -> None:
        self.reference = referred(self.reference, tables, self._fund_id)
        for table in tables:
            said = {"table": table.kind, "version": table.version, "as_of_ns": table.as_of_ns, "source": table.source}
            said |= {"by": table.by, "why": table.why, "set_ns": table.set_ns}
            self._unrecorded.append(Note(self._fund_id, "master_referred", said))

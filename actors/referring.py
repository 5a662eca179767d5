"""Keeps a fund's risk on the newest limits: read when the OMS starts and each second, on record before they hold."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from mts1b.foundation.clock import Clock
from mts1b.foundation.errors import StackError
from mts1b.foundation.ids import FundId
from mts1b.oms.ports import RiskPort
from mts1b.oms.service import Oms
from mts1b.refdata.limits import LimitsPort, StoredLimits
from mts1b.riskengine.master import Reference

REFER_S = 1.0
"""How often a newer version is looked for."""

SESSION = "session"
"""Who set the first version of a fund that nobody had written limits for."""

_LOG = logging.getLogger("mts1b.limits")


class Referring:
    """What one fund's risk goes by, on the OMS's event loop."""

    def __init__(self, store: LimitsPort, risk: RiskPort, fund_id: FundId, reference: Reference, clock: Clock) -> None:
        self._store, self._risk, self._fund_id, self._clock = store, risk, fund_id, clock
        self.reference = reference
        self._stored: StoredLimits | None = None
        self._on_record = 0
        self._busy = asyncio.Lock()

    async def begin(self) -> None:
        """Before the OMS starts: the stored limits, or those handed in as the fund's first version."""
        why = "the fund began to trade with them"
        handed = self.reference.limits
        now_ns = self._clock.now_ns()
        self._take(await self._store.established(self._fund_id, handed, SESSION, why, now_ns))
        await self._risk.refer(self.reference)

    async def refresh(self, oms: Oms) -> int:
        """Go by the newest version from the next order on; returns it. Without Postgres the last one known
        holds, with a warning each time."""
        async with self._busy:
            try:
                found = await self._store.newer(self._fund_id, self.reference.limits_version)
            except StackError as error:
                known = self.reference.limits_version
                _LOG.warning("limits of %s were not looked for, version %d holds: %s", self._fund_id, known, error)
                found = None
            if found is not None:
                self._take(found)
            if self._stored is not None and self._on_record != self._stored.version:
                stored = self._stored
                await oms.refer(self.reference, {"by": stored.by, "why": stored.why, "set_ns": stored.set_ns})
                self._on_record = stored.version
            return self._on_record

    def _take(self, stored: StoredLimits) -> None:
        self._stored = stored
        self.reference = replace(self.reference, limits=stored.limits, limits_version=stored.version)

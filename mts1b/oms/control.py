"""What holds the fund back, as the OMS knows it: journalled before it counts, and never looser than risk says.

A person's word is taken here and told to risk; the drawdown's latch and throttled repeats come from risk.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from typing import Protocol

from mts1b.foundation.clock import Clock
from mts1b.foundation.errors import StackError
from mts1b.foundation.ids import FundId
from mts1b.oms.ports import Entry, JournalState
from mts1b.riskengine.verdict import Mode, Standing, stricter

Append = Callable[[Entry], Awaitable[None]]


class RiskStanding(Protocol):
    """Risk, as far as a person's word goes; each call answers how the fund stands after it."""

    async def halt(self, mode: Mode) -> Standing: ...

    async def resume(self) -> Standing: ...

    async def rearm(self) -> Standing: ...


class Control:
    """The standing of one fund, and the ways to change it."""

    def __init__(self, fund_id: FundId, append: Append, risk: RiskStanding, clock: Clock) -> None:
        self._fund_id, self._append, self._risk, self._clock = fund_id, append, risk, clock
        self.standing = self._journalled = Standing()
        self.marked_ns = 0
        self._rearming = 0
        """While a person's word is on its way to risk, what risk says is from before it."""

    def load(self, state: JournalState) -> None:
        """Take the journal's view."""
        self.standing = self._journalled = state.standing
        self.marked_ns = state.marked_ns

    async def halt(self, mode: Mode, by: str, why: str) -> Standing:
        """Block: in memory at once, then in the journal, then in risk."""
        self.standing = replace(self.standing, manual=stricter(self.standing.manual, mode))
        await self._journal(by, why)
        self._follow(await self._risk.halt(mode))
        await self._note(self.standing)
        return self.standing

    async def resume(self, by: str, why: str) -> Standing:
        """Take the person's word back; what the drawdown latched, and throttled repeats, stay."""
        self.standing = replace(self.standing, manual=Mode.ACTIVE)
        await self._journal(by, why)
        self._follow(await self._risk.resume())
        await self._note(self.standing)
        return self.standing

    async def rearm(self, nav: Decimal | None, by: str, why: str) -> Standing:
        """Open everything: drawdown counts from `nav` now, also after a restart. StackError when NAV is unknown."""
        if nav is None:
            problem = "is unknown: a name that is held has no price"
            raise StackError("nav", self._fund_id, problem, "mark the fund first")
        self.standing = Standing()
        self._rearming += 1
        try:
            await self._journal(by, why, rearmed=(nav, self.marked_ns))
            self._follow(await self._risk.rearm())
        finally:
            self._rearming -= 1
        await self._note(self.standing)  # NAV may ask for a latch at once
        return self.standing

    async def decided(self, standing: Standing) -> None:
        """Journal what a decision came with, as far as it is stricter than what is known."""
        known = self.standing
        latched = stricter(known.latched, standing.latched)
        await self._note(replace(known, latched=latched, throttled=known.throttled | standing.throttled))

    async def note(self, standing: Standing) -> None:
        """Journal how risk stands now when that has changed; a new day may have opened the latch."""
        await self._note(replace(standing, manual=self.standing.manual))

    async def _note(self, standing: Standing) -> None:
        if self._rearming:
            return
        self.standing = standing
        if standing != self._journalled:
            await self._journal("risk", "")

    def _follow(self, standing: Standing) -> None:
        self.standing = replace(standing, manual=self.standing.manual)

    async def _journal(self, by: str, why: str, rearmed: tuple[Decimal, int] | None = None) -> None:
        now_ns, self._journalled = self._clock.now_ns(), self.standing
        await self._append(Entry(self._fund_id, now_ns, standing=self.standing, rearmed=rearmed, by=by, why=why))

"""A person's word about a fund that nobody trades now: on record like any other, and held to when it starts again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

from mts1b.foundation.clock import NS_PER_S, Clock
from mts1b.foundation.errors import InputError
from mts1b.foundation.events import CashMoved
from mts1b.foundation.ids import FundId
from mts1b.foundation.limits import DEDUP_WINDOW_S
from mts1b.oms import cash
from mts1b.oms.book import Book
from mts1b.oms.control import Control
from mts1b.oms.ports import Entry, JournalPort, JournalState
from mts1b.riskengine.verdict import Mode, Standing


class Unattended:
    """The fund's journal with a person's words, and nothing else: what is open stays at the venue until an OMS starts,
    which asks it back first if the fund is halted."""

    def __init__(self, fund_id: FundId, journal: JournalPort, state: JournalState, clock: Clock) -> None:
        self._control = Control(fund_id, journal.append, _Nobody(self), clock)
        self._control.load(state)
        self._fund_id, self._journal, self._clock = fund_id, journal, clock
        positions = {position.symbol: position for position in state.positions}
        self._book, self._marks = Book(fund_id, state.cash or Decimal(0), positions), dict(state.marks)

    @property
    def standing(self) -> Standing:
        """What holds the fund back."""
        return self._control.standing

    async def halt(self, mode: Mode = Mode.HALTED, by: str = "", why: str = "") -> Standing:
        return await self._control.halt(mode, by, why)

    async def resume(self, by: str = "", why: str = "") -> Standing:
        return await self._control.resume(by, why)

    async def rearm(self, by: str = "", why: str = "") -> Standing:
        """StackError while a name that is held has no price."""
        return await self._control.rearm(self._book.nav(self._marks), by, why)

    async def move_cash(self, move: CashMoved) -> Decimal:
        """As the OMS's: journalled with the cash it leaves."""
        if not cash.is_posted(cash.checked(move, self._fund_id), await self._journal.cash_move(move.move_id)):
            after = self._book.moved(move)
            await self._journal.append(Entry(move.fund_id, self._clock.now_ns(), cash=after.cash, move=move))
            self._book = after
        return self._book.cash


class _Nobody:
    """In risk's place: risk starts from what the journal says then."""

    def __init__(self, fund: Unattended) -> None:
        self._fund = fund

    async def halt(self, mode: Mode) -> Standing:
        return self._fund.standing

    async def resume(self) -> Standing:
        return self._fund.standing

    async def rearm(self) -> Standing:
        return self._fund.standing


@asynccontextmanager
async def unattended(fund_id: FundId, journal: JournalPort, clock: Clock) -> AsyncIterator[Unattended]:
    """Be the fund's writer for a word. LeaseLost while an OMS is; InputError for a fund that was never opened."""
    await journal.open()
    try:
        state = await journal.load(clock.now_ns() - DEDUP_WINDOW_S * NS_PER_S)
        if state.cash is None:
            raise InputError("fund", fund_id, "has never been opened", "see `mts risk status` for those that have")
        yield Unattended(fund_id, journal, state, clock)
    finally:
        await journal.close()

"""Kill the OMS at every persistence point of a story, before and after the commit, and look for what was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from mts1b.foundation.errors import MtsError, StackError
from mts1b.foundation.ids import Symbol
from mts1b.foundation.order import Side
from mts1b.oms.ports import Entry
from mts1b.testing.journal import MemoryJournal, MemoryStore
from tests.unit.oms.desk import FUND, Desk


class DyingJournal(MemoryJournal):
    """Dies at commit number `at`: `before` it is stored, or after it was and nobody heard of it."""

    def __init__(self, store: MemoryStore, at: int, before: bool) -> None:
        super().__init__(store, FUND)
        self.at, self.before, self.count = at, before, 0

    def append(self, *entries: Entry) -> Awaitable[None]:
        self.count += 1
        if self.count < self.at or self._failure is not None:
            return super().append(*entries)
        return asyncio.ensure_future(self._die(None if self.before else super().append(*entries)))

    async def _die(self, committed: Awaitable[None] | None) -> None:
        if committed is not None:
            await committed
        self.crash()
        raise StackError("journal", "killed", "the process died", "start again")


async def story(desk: Desk, begin: int = 0) -> None:
    """Six decisions over two sessions; asked again from `begin` after a restart, as a strategy does."""
    for number in range(begin, 3):
        await desk.oms.submit(desk.command(number, 100 * (number + 1)))
    if begin < 4:
        await desk.trade()
    for number in range(max(begin, 3), 6):
        await desk.oms.submit(desk.command(number, 50, Side.SELL if number % 2 else Side.BUY))
    await desk.trade()


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("script", [[], ["late"], ["lost"], ["ok", "late", "lost"]], ids=repr)
def test_no_order_is_lost_or_doubled(before: bool, script: list[str]) -> None:
    async def whole(at: int) -> bool:
        """True when the story had that many commits."""
        desk = Desk()
        desk.venue.script = list(script)
        died = False
        try:
            await desk.start(DyingJournal(desk.store, at, before))
            await story(desk)
        except MtsError:
            died = True
            if isinstance(desk.journal, MemoryJournal):
                desk.journal.crash()
            await asyncio.sleep(0)
            await desk.start()
            await desk.oms.on_reports(desk.reports())
            await story(desk)
        await desk.oms.reconcile()
        await desk.oms.on_reports(desk.reports())
        desk.check()
        assert desk.oms.doubtful() == 0
        assert len(desk.exchange.exchange.orders) == 6, "six decisions, six orders at the venue"
        await desk.trade()
        assert desk.oms.book.position(Symbol("A")).quantity == 600 - 50 + 50 - 50
        await desk.oms.drain()
        fills = [item.message_id for item in desk.bus.published]
        assert sorted(fills) == sorted(desk.store.fills) and len(fills) == 6
        await desk.oms.close()
        return died

    points = 0
    while asyncio.run(whole(points + 1)):
        points += 1
    assert points > 15

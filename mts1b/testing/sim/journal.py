"""The journal of one OMS process: before and after everything that becomes durable, anything may happen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Protocol

from mts1b.foundation.clock import NS_PER_S, Clock
from mts1b.foundation.errors import InvariantBroken, StackError
from mts1b.foundation.ids import FundId
from mts1b.oms.ports import Entry, JournalState
from mts1b.testing.journal import MemoryJournal, MemoryStore
from mts1b.testing.sim.auditor import Auditor

COMMIT_NS = (100_000, 900_000)


class Trouble(Protocol):
    """What meets a process at its persistence points."""

    async def before_point(self) -> None:
        """StackError: nothing of it becomes durable. May never return."""
        ...

    async def after_point(self) -> None:
        """StackError: it is durable and nobody hears of it. May never return."""
        ...


class SimJournal(MemoryJournal):
    """A MemoryJournal whose commits are watched. All that it does takes time and is a persistence point."""

    def __init__(
        self,
        store: MemoryStore,
        fund_id: FundId,
        clock: Clock,
        random: Random,
        trouble: Trouble,
        auditor: Auditor,
    ) -> None:
        super().__init__(store, fund_id, clock)
        self._random, self._trouble, self._auditor = random, trouble, auditor

    async def open(self) -> None:
        try:
            async with self._point():
                await MemoryJournal.open(self)
        except StackError as error:
            self._failure = error
            raise

    async def load(self, keys_after_ns: int) -> JournalState:
        async with self._point():
            return await super().load(keys_after_ns)

    async def mark_published(self, ids: Sequence[int], ts_ns: int) -> None:
        async with self._point():
            await super().mark_published(ids, ts_ns)

    async def _commit(self, entries: Sequence[Entry]) -> None:
        async with self._order:
            try:
                async with self._point():
                    self._commit_now(entries)
            except StackError as error:
                self._failure = error
                raise

    @asynccontextmanager
    async def _point(self) -> AsyncIterator[None]:
        """A moment before and one after what is done in it, at which anything may happen."""
        await asyncio.sleep(self._random.randint(*COMMIT_NS) / NS_PER_S)
        await self._trouble.before_point()
        yield
        await self._trouble.after_point()

    def _write(self, entry: Entry) -> None:
        try:
            super()._write(entry)
        except InvariantBroken as error:
            self._auditor.found(str(error))
            raise
        self._auditor.committed(self, entry)

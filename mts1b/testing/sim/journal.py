"""The journal of one OMS process: every commit has a moment before it and one after it at which anything may happen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
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

    async def before_commit(self) -> None:
        """StackError: nothing of it becomes durable. May never return."""
        ...

    async def after_commit(self) -> None:
        """StackError: it is durable and nobody hears of it. May never return."""
        ...


class SimJournal(MemoryJournal):
    """A MemoryJournal whose commits take time, fail, and are watched."""

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

    async def load(self, keys_after_ns: int) -> JournalState:
        await self._takes_time()
        return await super().load(keys_after_ns)

    async def _commit(self, entries: Sequence[Entry]) -> None:
        async with self._order:
            await self._takes_time()
            try:
                await self._trouble.before_commit()
                self._commit_now(entries)
                await self._trouble.after_commit()
            except StackError as error:
                self._failure = error
                raise

    def _write(self, entry: Entry) -> None:
        try:
            super()._write(entry)
        except InvariantBroken as error:
            self._auditor.found(str(error))
            raise
        self._auditor.committed(self, entry)

    def _takes_time(self) -> Awaitable[None]:
        return asyncio.sleep(self._random.randint(*COMMIT_NS) / NS_PER_S)

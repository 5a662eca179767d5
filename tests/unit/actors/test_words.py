"""A person's word finds who can hear it: an OMS that runs, one that is coming back, or the journal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from actors import words
from actors.words import Hears, tell_fund
from mts1b.foundation.errors import LeaseLost, StackError
from mts1b.riskengine.verdict import Mode, Standing
from mts1b.testing.journal import MemoryJournal
from tests.unit.oms.desk import FUND, Desk

Case = Callable[[Desk], Awaitable[None]]


class Away:
    """An OMS that cannot answer."""

    async def halt(self, mode: Mode = Mode.HALTED, by: str = "", why: str = "") -> Standing:
        raise StackError("actor", "oms", "died", "wait")

    async def resume(self, by: str = "", why: str = "") -> Standing:
        raise StackError("oms", "fund", "is not ready", "wait")

    async def rearm(self, by: str = "", why: str = "") -> Standing:
        raise StackError("nav", "fund", "is unknown", "mark it")


def run(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "RETRY_S", 0.01)
    monkeypatch.setattr(words, "LEASE_S", 0.05)

    async def whole() -> None:
        desk = Desk()
        await desk.start()
        await case(desk)
        await desk.oms.close()

    asyncio.run(whole())


async def told(desk: Desk, found: Iterator[Hears | None], word: words.Word) -> tuple[Standing, bool]:
    return await tell_fund(FUND, lambda: next(found), lambda: MemoryJournal(desk.store, FUND), desk.clock, word)


def test_an_oms_that_comes_back_hears_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(desk: Desk) -> None:
        found: list[Hears | None] = [Away(), None, Away(), desk.oms]  # nobody: the lease is still held
        standing, heard = await told(desk, iter(found), lambda fund: fund.halt(Mode.HALTED, "ann", "fire"))
        assert heard and standing.manual is Mode.HALTED is desk.oms.standing.manual

    run(case, monkeypatch)


def test_without_an_oms_it_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(desk: Desk) -> None:
        await desk.oms.close()
        standing, heard = await told(desk, iter([None]), lambda fund: fund.halt(Mode.REDUCING, "ann", ""))
        assert not heard and standing.manual is Mode.REDUCING
        assert (await desk.start()).standing.manual is Mode.REDUCING

    run(case, monkeypatch)


def test_what_keeps_it_from_being_heard_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(desk: Desk) -> None:
        with pytest.raises(StackError, match="nav='fund': is unknown"):
            await told(desk, iter([Away()] * 10), lambda fund: fund.rearm("ann", ""))
        with pytest.raises(LeaseLost):
            await told(desk, iter([None] * 10), lambda fund: fund.resume("ann", ""))

    run(case, monkeypatch)

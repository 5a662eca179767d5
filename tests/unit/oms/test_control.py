"""What holds a fund back is in the journal as soon as it counts, whoever says it and whatever else is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from decimal import Decimal
from typing import Any

from mts1b.foundation.ids import FundId
from mts1b.oms.control import Control
from mts1b.oms.ports import Entry, JournalState
from mts1b.riskengine.verdict import Mode, Standing
from mts1b.testing.clock import SimulatedClock

REDUCING = Standing(latched=Mode.REDUCING)


class Risk:
    """A risk engine that stands as it is told to; `meanwhile` runs while it is asked."""

    def __init__(self, standing: Standing) -> None:
        self.now = standing
        self.meanwhile: Any = None

    async def halt(self, mode: Mode) -> Standing:
        self.now = Standing(self.now.latched, mode, self.now.throttled)
        return self.now

    async def resume(self) -> Standing:
        self.now = Standing(self.now.latched, Mode.ACTIVE, self.now.throttled)
        return self.now

    async def rearm(self) -> Standing:
        if self.meanwhile is not None:
            await self.meanwhile()
        self.now = Standing()
        return self.now


class Journal:
    """Standings in the order they were written."""

    def __init__(self) -> None:
        self.written: list[Standing] = []

    def append(self, entry: Entry) -> Awaitable[None]:
        assert entry.standing is not None
        self.written.append(entry.standing)
        return asyncio.sleep(0)


def control(risk: Risk, loaded: Standing = Standing()) -> tuple[Control, Journal]:
    journal = Journal()
    made = Control(FundId("fund"), journal.append, risk, SimulatedClock())  # type: ignore[arg-type]
    made.load(JournalState(standing=loaded))
    return made, journal


def test_a_halt_journals_the_latch_that_risk_has_besides() -> None:
    made, journal = control(Risk(REDUCING))
    asyncio.run(made.halt(Mode.HALTED, "me", "why"))
    assert made.standing == journal.written[-1] == Standing(Mode.REDUCING, Mode.HALTED)


def test_a_resume_is_journalled_before_risk_lets_anything_pass() -> None:
    risk = Risk(Standing(Mode.REDUCING, Mode.HALTED))
    made, journal = control(risk, risk.now)
    asyncio.run(made.resume("me", "why"))
    assert journal.written == [REDUCING] and made.standing == REDUCING


def test_what_risk_says_while_a_rearm_is_on_its_way_is_from_before_it() -> None:
    risk = Risk(REDUCING)
    made, journal = control(risk, REDUCING)
    risk.meanwhile = lambda: made.note(REDUCING)
    asyncio.run(made.rearm(Decimal(1), "me", "why"))
    assert journal.written == [Standing()] and made.standing == Standing()


def test_a_latch_that_nav_asks_for_at_once_is_journalled() -> None:
    class Falling(Risk):
        async def rearm(self) -> Standing:
            return REDUCING

    made, journal = control(Falling(Standing()))
    asyncio.run(made.rearm(Decimal(1), "me", "why"))
    assert journal.written == [Standing(), REDUCING] and made.standing == REDUCING


def test_a_decision_makes_it_stricter_once_and_never_looser() -> None:
    made, journal = control(Risk(REDUCING))

    async def decide() -> None:
        for standing in (REDUCING, Standing(), REDUCING):
            await made.decided(standing)

    asyncio.run(decide())
    assert journal.written == [REDUCING] and made.standing == REDUCING

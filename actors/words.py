"""A person's word to a fund: to its OMS where one runs, to its journal where none does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Protocol, TypeVar

from mts1b.foundation.clock import Clock
from mts1b.foundation.errors import LeaseLost, MtsError, StackError
from mts1b.foundation.events import CashMoved
from mts1b.foundation.ids import FundId
from mts1b.foundation.limits import LEASE_S
from mts1b.oms.ports import JournalPort
from mts1b.oms.unattended import unattended
from mts1b.riskengine.verdict import Mode, Standing

T = TypeVar("T")

RETRY_S = 0.25


class Hears(Protocol):
    """What takes a person's word."""

    async def halt(self, mode: Mode = Mode.HALTED, by: str = "", why: str = "") -> Standing: ...

    async def resume(self, by: str = "", why: str = "") -> Standing: ...

    async def rearm(self, by: str = "", why: str = "") -> Standing: ...

    async def move_cash(self, move: CashMoved) -> Decimal: ...


Word = Callable[[Hears], Awaitable[T]]


async def tell_fund(
    fund_id: FundId,
    running: Callable[[], Hears | None],
    journal: Callable[[], JournalPort],
    clock: Clock,
    word: Word[T],
) -> tuple[T, bool]:
    """What the fund answers, and whether a running OMS heard it.

    An OMS that is being started again is waited for, and so is the lease of one that has just died. LeaseLost when an
    OMS that `running` does not find writes the fund; the OMS's own error when it cannot do as it was told.
    """
    problem: MtsError | None = None
    for _ in range(int(2 * LEASE_S / RETRY_S)):
        found = running()
        try:
            if found is not None:
                return await word(found), True
            async with unattended(fund_id, journal(), clock) as fund:
                return await word(fund), False
        except (StackError, LeaseLost) as error:
            problem = error
        await asyncio.sleep(RETRY_S)
    assert problem is not None
    raise problem

"""Trials: let the fund trade, strike, wait until it trades again, hold it, and have its books judged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any

import numpy as np

from mts1b.config import Settings
from mts1b.deploy.endpoints import endpoints, postgres_source
from mts1b.foundation.clock import NS_PER_S, Clock
from mts1b.foundation.errors import MtsError
from mts1b.foundation.ids import FundId
from mts1b.platform import db
from mts1b.testing.chaos.fund import begin_fund, end_fund
from mts1b.testing.chaos.judge import violations
from mts1b.testing.chaos.stand import Chain, VenueLog, booked, is_quiet
from mts1b.testing.chaos.victims import VICTIMS, Fault, Field, drawn

POLL_S = 0.05
TRADE_S = (1.0, 2.5)
"""How long the fund trades undisturbed before it is struck."""

RECOVER_S_MAX = 60.0
SETTLE_S_MAX = 30.0
FUND_TRIALS = 20
"""Trials of one fund, so that the exchange's log, which it reads whole when it starts, stays that of a working day."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of one fault. `recovery_s`: from its end to the end of the first session that began after it."""

    number: int
    fault: str
    victim: str
    recovery_s: float
    orders: int
    orders_per_s: float
    violations: tuple[str, ...] = ()


@dataclass(slots=True)
class Tally:
    """All trials so far."""

    trials: list[Trial] = field(default_factory=list)
    links: int = 0

    @property
    def broken(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.violations]

    def recovery_s(self, share: float, victim: str = "") -> float:
        """The recovery time that this share of the trials does not exceed."""
        took = [trial.recovery_s for trial in self.trials if victim in ("", trial.victim)]
        return float(np.quantile(took, share, method="higher")) if took else float("nan")

    def facts(self) -> dict[str, Any]:
        """As plain values."""
        rates = [trial.orders_per_s for trial in self.trials]
        return {
            "trials": len(self.trials),
            "violations": len(self.broken),
            "orders": sum(trial.orders for trial in self.trials),
            "orders_per_s_median": float(np.median(rates)) if rates else None,
            "recovery_s": {"p50": self.recovery_s(0.5), "p95": self.recovery_s(0.95), "max": self.recovery_s(1.0)},
            "links_verified": self.links,
            "by_trial": [asdict(trial) for trial in self.trials],
        }


class Arena:
    """One fund under chaos."""

    def __init__(self, settings: Settings, fund_id: FundId, clock: Clock) -> None:
        self.field, self.clock = Field(settings, fund_id), clock
        self.log, self.fund_id = VenueLog(self.field.folder), fund_id
        self.settings = settings

    async def trial(self, number: int, fault: Fault, trade_s: float, chain: Chain) -> Trial:
        """One trial; the desk is held before and after it."""
        resumed_ns = self.clock.now_ns()
        self.field.hold(False)
        await self._within(RECOVER_S_MAX, lambda: self._traded_after(resumed_ns))
        began_ns, before = self.clock.monotonic_ns(), len((await self.log.follow()).orders)
        await asyncio.sleep(trade_s)
        healthy = len((await self.log.follow()).orders) - before
        rate = healthy / ((self.clock.monotonic_ns() - began_ns) / NS_PER_S)
        pid = await self.field.strike(fault)
        struck_ns = self.clock.now_ns()
        is_back = await self._within(
            RECOVER_S_MAX, lambda: self.field.is_back(fault, pid) and self._traded_after(struck_ns)
        )
        recovery_s = (self.clock.now_ns() - struck_ns) / NS_PER_S
        self.field.hold(True)
        problems = [] if is_back else [f"not recovered within {RECOVER_S_MAX:.0f} s: {self.field.progress()}"]
        problems += await self._judged(chain)
        orders = len(self.log.story.orders) - before
        return Trial(number, fault.name, fault.victim, recovery_s, orders, rate, tuple(problems))

    def _traded_after(self, ts_ns: int) -> bool:
        """Whether a session has begun and ended since, all actors answering: one that was under way may have ended
        without who was struck."""
        now = self.field.progress()
        return now.get("state") in ("trading", "held") and int(now.get("began_ns", 0)) > ts_ns

    async def _within(self, wait_s: float, condition: Callable[[], bool]) -> bool:
        async def met() -> bool:
            return bool(condition())

        return await _came_true(wait_s, met)

    async def _judged(self, chain: Chain) -> list[str]:
        """Wait until the desk is held and nothing is under way; then compare journal and venue."""
        await self._within(SETTLE_S_MAX, lambda: self.field.progress().get("state") == "held")

        async def quiet() -> bool:
            return await is_quiet(pool, self.fund_id, await self.log.follow())

        source = postgres_source(self.settings, endpoints(self.settings))
        pool = await db.open_pool("chaos", source, pool_size=1)
        try:
            await _came_true(SETTLE_S_MAX, quiet)
            found = violations(await self.log.follow(), await booked(pool, self.fund_id))
            fault = await chain.grown(pool)
            return [*found, fault] if fault else found
        except MtsError as error:
            return [f"the journal cannot be read: {error}"]
        finally:
            await db.close_pools()


async def _came_true(wait_s: float, condition: Callable[[], Awaitable[bool]]) -> bool:
    """Whether it did within `wait_s`."""
    with suppress(TimeoutError):
        async with asyncio.timeout(wait_s):
            while True:
                if await condition():
                    return True
                await asyncio.sleep(POLL_S)
    return False


async def trials(
    settings: Settings, count: int, seed: int, clock: Clock, chain: Chain, victims: Sequence[str] = VICTIMS
) -> AsyncIterator[Trial]:
    """Trial after trial on a stack that is up; a fresh fund every FUND_TRIALS."""
    random, arena = Random(seed), None  # noqa: S311 - chosen to be repeated
    try:
        for number in range(1, count + 1):
            fault, trade_s = drawn(random, tuple(victims)), random.uniform(*TRADE_S)
            if arena is None or number % FUND_TRIALS == 1:
                if arena is not None:
                    await end_fund(settings.data_dir, arena.fund_id)
                arena = Arena(settings, FundId(f"chaos-{clock.now_ns():x}"), clock)
                await begin_fund(settings.data_dir, arena.fund_id, seed)
            yield await arena.trial(number, fault, trade_s, chain)
    finally:
        if arena is not None:
            await end_fund(settings.data_dir, arena.fund_id)

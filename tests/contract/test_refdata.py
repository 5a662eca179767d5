"""Versions of limits in a real Postgres: added, read, raced for, and never changed."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from mts1b.foundation.errors import InputError
from mts1b.foundation.ids import FundId
from mts1b.platform.db import Pool, migrate
from mts1b.refdata import MIGRATIONS, LimitsStore
from mts1b.testing.risk import wide_limits
from tests.conftest import RunningStack
from tests.contract.test_journal import on_postgres

FUND = FundId("fund")
WIDE = wide_limits(("A", "B"))
NARROW = wide_limits(("A",), gross_max="12.5")


def test_versions_follow_one_another_and_stay(stack: RunningStack) -> None:
    async def case(pool: Pool) -> None:
        await migrate(pool, MIGRATIONS)
        store = LimitsStore(pool)
        assert await store.newest(FUND) is None
        first = await store.established(FUND, WIDE, "session", "it began", 5)
        assert await store.established(FUND, NARROW, "session", "it began", 6) == first
        second = await store.add(FUND, 1, NARROW, "ann", "too wide", 7)
        assert (second.version, second.limits, second.by, second.why, second.set_ns) == (
            2,
            NARROW,
            "ann",
            "too wide",
            7,
        )
        assert await store.newest(FUND) == second == await store.newer(FUND, 1)
        assert await store.newer(FUND, 2) is None
        assert await store.version(FUND, 1) == first and await store.version(FUND, 3) is None
        assert await store.history(FUND, 10) == [second, first] and await store.history(FUND, 1) == [second]
        with pytest.raises(InputError, match="version 2 meanwhile"):
            await store.add(FUND, 1, WIDE, "bob", "", 8)
        for change in ("UPDATE fund_limits SET why = ''", "DELETE FROM fund_limits", "TRUNCATE fund_limits"):
            with pytest.raises(asyncpg.RaiseError, match="never changed"):
                await pool.execute(change)
        assert await store.history(FUND, 10) == [second, first]

    on_postgres(stack, case)


def test_of_many_sessions_that_begin_at_once_one_writes_the_first_version(stack: RunningStack) -> None:
    async def case(pool: Pool) -> None:
        await migrate(pool, MIGRATIONS)
        stores = [LimitsStore(pool) for _ in range(5)]
        limits = [WIDE, NARROW, WIDE, NARROW, WIDE]
        found = await asyncio.gather(
            *(
                store.established(FUND, mine, str(at), "", at)
                for at, (store, mine) in enumerate(zip(stores, limits, strict=True))
            )
        )
        assert len(set(found)) == 1 and len(await stores[0].history(FUND, 10)) == 1

    on_postgres(stack, case)

"""Versions of limits and master data in a real Postgres: added, read, raced for, and never changed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner

from mts1b.cli.main import build_app
from mts1b.foundation.errors import DataError, InputError, MtsError
from mts1b.foundation.ids import FundId
from mts1b.platform.db import Pool, migrate
from mts1b.refdata.master_store import MasterStore
from mts1b.refdata.store import MIGRATIONS, LimitsStore
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


def test_master_data_are_loaded_shown_and_told_of(
    stack: RunningStack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By the commands, on a real Postgres: whole versions, each after the one before, and none ever changed."""
    file = tmp_path / "borrow.csv"

    def mts(*words: str) -> Any:
        given = ["data", "borrow", *words, "--json", "--data-dir", str(stack.settings.data_dir)]
        done = CliRunner().invoke(build_app(("data",)), given)
        if isinstance(done.exception, MtsError):
            raise done.exception
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def commands() -> None:
        with pytest.raises(InputError, match="nothing is loaded"):
            mts("show")
        file.write_text("symbol,quantity,rate\nA,100,0.01\nB,0,0.5\n")
        first = mts("load", str(file), "--why", "the open", "--by", "ann", "--as-of", "2026-01-05T14:00:00")
        assert first["version"] == 1 and first["as_of"].startswith("2026-01-05T14:00:00")
        file.write_text("symbol,quantity,rate\nA,many,0.01\n")
        with pytest.raises(DataError, match="borrow.csv, row 2, quantity='many'"):
            mts("load", str(file))
        file.write_text("symbol,quantity,rate,restricted\nA,70,0.02,true\n")
        with pytest.raises(InputError, match="before version 1"):
            mts("load", str(file), "--as-of", "2026-01-05")
        assert mts("load", str(file))["names"] == 1  # as of the file's last change
        assert [item["version"] for item in mts("history")] == [2, 1]
        assert [row["symbol"] for row in mts("show", "--version", "1")["rows"]] == ["A", "B"]
        (row,) = mts("show", "--symbol", "A")["rows"]
        assert (row["quantity"], row["rate"], row["restricted"], row["located"]) == ("70", "0.02", True, None)

    async def case(pool: Pool) -> None:
        schema = await pool.fetchval("SELECT current_schema()")
        separator = "&" if "?" in stack.endpoints.postgres_dsn else "?"
        monkeypatch.setenv("MTS_DB__PRIMARY__DSN", f"{stack.endpoints.postgres_dsn}{separator}search_path={schema}")
        await asyncio.to_thread(commands)
        store = MasterStore(pool)
        (newest,) = await store.newer({})
        assert newest == await store.newest("borrow") and newest.version == 2
        assert await store.newer({"borrow": 2}) == []
        with pytest.raises(InputError, match="version 2 of borrow meanwhile"):
            await store.add(newest)
        with pytest.raises(asyncpg.RaiseError, match="never changed"):
            await pool.execute("UPDATE master_tables SET as_of = 0")

    on_postgres(stack, case)

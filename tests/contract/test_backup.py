"""The drill: a copy of the journal taken while a fund trades, an empty database filled from it, and the difference
brought in from the venue. Postgres' own programs, real databases."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from mts1b.cli.main import build_app
from mts1b.deploy.plan import load_credentials
from mts1b.deploy.postgres import ROLE, SUPERUSER
from mts1b.foundation.errors import DataError, InputError, MtsError, StackError
from mts1b.foundation.ids import Symbol
from mts1b.foundation.order import Side
from mts1b.oms.journal import Journal
from mts1b.platform import db
from tests.conftest import RunningStack
from tests.contract.test_oms_on_postgres import check
from tests.unit.oms.desk import FUND, Desk

APP = build_app(("backup", "audit"))
FIRST, SECOND = "drill_first", "drill_second"


@pytest.fixture
def databases(stack: RunningStack) -> Iterator[dict[str, str]]:
    """The DSNs of two empty databases."""
    known = load_credentials(stack.settings.run_dir)
    at = urlsplit(stack.endpoints.postgres_dsn)
    admin = f"postgresql://{SUPERUSER}:{known['postgres_admin']}@{at.hostname}:{at.port}/postgres"

    async def each(statement: str) -> None:
        pool = await db.open_pool("drill-admin", admin, pool_size=1)
        for name in (FIRST, SECOND):
            await pool.execute(statement.format(name=name))
        await db.close_pools()

    asyncio.run(each(f"CREATE DATABASE {{name}} OWNER {ROLE} TEMPLATE template0"))
    yield {name: stack.endpoints.postgres_dsn.removesuffix(at.path) + f"/{name}" for name in (FIRST, SECOND)}
    asyncio.run(each("DROP DATABASE {name} WITH (FORCE)"))


def test_what_a_copy_lacks_comes_from_the_venue(
    stack: RunningStack, databases: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copies" / "journal.dump"

    def mts(dsn: str, *words: str) -> Any:
        monkeypatch.setenv("MTS_DB__PRIMARY__DSN", dsn)
        done = CliRunner().invoke(APP, [*words, "--json", "--data-dir", str(stack.settings.data_dir)])
        if isinstance(done.exception, MtsError):
            raise done.exception
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    async def traded(desk: Desk) -> None:
        pool = await db.open_pool(FIRST, databases[FIRST], pool_size=4)
        await db.migrate(pool)
        await desk.start(Journal(pool, FUND))
        await desk.oms.submit(desk.command(1))
        made = await asyncio.to_thread(mts, databases[FIRST], "journal", "backup", str(copy))
        assert made["bytes"] == copy.stat().st_size > 1_000 and copy.stat().st_mode & 0o077 == 0
        await desk.trade()
        await desk.oms.submit(desk.command(2, 60, symbol="B"))
        await desk.trade()
        await desk.oms.submit(desk.command(3, 40, Side.SELL))
        await asyncio.to_thread(mts, databases[FIRST], "audit", "verify")
        await desk.oms.close()
        await db.close_pools()

    async def restored(desk: Desk) -> None:
        """As after the first database is gone: the venue has gone on, the copy has not."""
        told = await asyncio.to_thread(mts, databases[SECOND], "journal", "restore", str(copy))
        assert told["head"] >= json.loads(copy.with_name("journal.dump.json").read_text())["sequence"]
        with pytest.raises(InputError, match="is not empty"):
            await asyncio.to_thread(mts, databases[SECOND], "journal", "restore", str(copy))
        pool = await db.open_pool(SECOND, databases[SECOND], pool_size=4)
        assert await db.migrate(pool) == []
        await pool.execute("UPDATE writer_leases SET expires_at = '-infinity'")  # its holder runs out within seconds
        oms = await desk.start(Journal(pool, FUND))
        assert oms.book.cash == 999_000  # the order that the copy knew as open has been asked about
        await oms.on_reports(desk.reports())
        assert {p.symbol: p.quantity for p in oms.book.positions.values()} == {Symbol("A"): 100, Symbol("B"): 60}
        await desk.trade()
        await check(desk, pool)
        assert oms.book.position(Symbol("A")).quantity == 60 and oms.statistics()["adopted"] == 2
        await oms.close()
        await db.close_pools()
        assert (await asyncio.to_thread(mts, databases[SECOND], "audit", "verify"))["links"] > told["links"]

    desk = Desk()
    asyncio.run(traded(desk))
    asyncio.run(restored(desk))


def test_what_is_no_copy_fills_nothing(
    stack: RunningStack, databases: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "journal.dump"
    words = ["journal", "restore", str(copy), "--data-dir", str(stack.settings.data_dir)]

    def problem(dsn: str) -> BaseException | None:
        monkeypatch.setenv("MTS_DB__PRIMARY__DSN", dsn)
        return CliRunner().invoke(APP, words).exception

    assert isinstance(problem(databases[FIRST]), InputError)
    copy.write_bytes(b"PGDMP and nothing that follows")
    note = {"taken_ns": 1, "sequence": 0, "hash": "", "bytes": 30}
    copy.with_name("journal.dump.json").write_text(json.dumps(note))
    assert isinstance(problem(databases[FIRST]), StackError)
    copy.with_name("journal.dump.json").write_text(json.dumps(note | {"bytes": 31}))
    assert isinstance(problem(databases[FIRST]), DataError)

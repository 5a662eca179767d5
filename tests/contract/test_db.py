"""Pools, transactions and migrations against a real Postgres."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from mts1b.foundation.errors import DataError, InputError, StackError
from mts1b.platform import db
from tests.conftest import RunningStack

T = TypeVar("T")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An importable package for migrations, of this test's own."""
    found = tmp_path / f"migrations_{abs(hash(str(tmp_path)))}"
    found.mkdir()
    (found / "__init__.py").touch()
    (found / "0001_things.sql").write_text("DROP TABLE IF EXISTS things; CREATE TABLE things (id int PRIMARY KEY)")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, found.name, raising=False)
    return found


def run(work: Coroutine[Any, Any, T]) -> T:
    async def closing() -> T:
        try:
            return await work
        finally:
            await db.close_pools()

    return asyncio.run(closing())


def test_migrations_apply_once_even_when_many_start_together(stack: RunningStack, package: Path) -> None:
    async def work() -> list[list[str]]:
        pool = await db.open_pool("primary", stack.endpoints.postgres_dsn)
        assert db.get_pool() is pool is await db.open_pool("primary", stack.endpoints.postgres_dsn)
        return list(await asyncio.gather(*(db.migrate(pool, package.name) for _ in range(5))))

    assert sorted(run(work())) == [[], [], [], [], ["0001_things.sql"]]
    (package / "0002_more.sql").write_text("ALTER TABLE things ADD COLUMN name text")
    assert ["0002_more.sql"] in run(work())


def test_a_changed_or_missing_migration_is_refused(stack: RunningStack, package: Path) -> None:
    async def work() -> list[str]:
        return await db.migrate(await db.open_pool("primary", stack.endpoints.postgres_dsn), package.name)

    run(work())
    first = package / "0001_things.sql"
    first.write_text(first.read_text() + " ")
    with pytest.raises(DataError, match="has changed since it was applied"):
        run(work())
    first.unlink()
    with pytest.raises(DataError, match="newer than"):
        run(work())


def test_a_migration_that_fails_leaves_nothing(stack: RunningStack, package: Path) -> None:
    async def work() -> list[str]:
        return await db.migrate(await db.open_pool("primary", stack.endpoints.postgres_dsn), package.name)

    good = (package / "0001_things.sql").read_text()
    (package / "0001_things.sql").write_text(good + "; SELECT nonsense")
    with pytest.raises(DataError, match="0001_things.sql"):
        run(work())
    (package / "0001_things.sql").write_text(good)
    assert run(work()) == ["0001_things.sql"]


def test_errors_of_the_server_arrive_as_ours(stack: RunningStack, package: Path) -> None:
    async def work() -> None:
        pool = await db.open_pool("primary", stack.endpoints.postgres_dsn, pool_size=2)
        await db.migrate(pool, package.name)
        async with db.transaction(pool) as connection:
            await connection.execute("INSERT INTO things VALUES (1)")
        with pytest.raises(db.Conflict, match="things_pkey"):
            async with db.transaction(pool) as connection:
                await connection.execute("INSERT INTO things VALUES (2)")
                await connection.execute("INSERT INTO things VALUES (1)")
        async with db.transaction(pool) as connection:
            assert db.pool_gauges()["primary"].active == 1
            assert await connection.fetchval("SELECT count(*) FROM things") == 1

    run(work())


@pytest.mark.parametrize(
    ("dsn", "error"),
    [
        ("postgresql://mts:guess@{server}", StackError),
        ("postgresql://mts:guess@127.0.0.1:1/mts", StackError),
        ("mysql://mts@h/x", InputError),
    ],
)
def test_a_server_that_cannot_be_used_is_named(stack: RunningStack, dsn: str, error: type[Exception]) -> None:
    server = db.server_of(stack.endpoints.postgres_dsn)
    with pytest.raises(error) as refused:
        run(db.open_pool("primary", dsn.format(server=server)))
    assert "guess" not in str(refused.value)

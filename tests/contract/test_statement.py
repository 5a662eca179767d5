"""`mts statement` and `mts cash` on a real Postgres: days reconcile, and what was changed behind their back shows."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from typer.testing import CliRunner

from mts1b.cli.main import build_app
from mts1b.foundation.errors import DataError, InputError, MtsError, UnknownNameError
from mts1b.foundation.ids import StrategyId
from mts1b.foundation.order import Side
from mts1b.oms.journal import Journal
from mts1b.platform.db import Pool
from tests.conftest import RunningStack
from tests.contract.test_journal import on_postgres
from tests.unit.oms.desk import FUND, Desk

FIRST, SECOND = "2024-10-05", "2024-10-06"
APP = build_app(("statement", "cash"))


def mts(stack: RunningStack, *words: str) -> Any:
    """What a command prints, as JSON; raises what it raises."""
    done = CliRunner().invoke(APP, [*words, "--json", "--data-dir", str(stack.settings.data_dir)])
    if isinstance(done.exception, MtsError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


async def traded(desk: Desk, pool: Pool) -> None:
    """Two days: bought for two strategies on the first, some of it sold on the second."""
    await desk.start(Journal(pool, FUND))
    await desk.oms.submit(desk.command(1, 100))
    await desk.oms.submit(replace(desk.command(2, 50, symbol="B"), strategy_id=StrategyId("t")))
    await desk.trade()
    await desk.mark()
    await desk.oms.submit(desk.command(3, 40, Side.SELL))
    await desk.trade()
    await desk.mark()
    await desk.oms.close()


def commands(stack: RunningStack) -> None:
    (first,) = mts(stack, "statement", "--date", FIRST)
    assert first["reconciles"] and Decimal(first["flows"]["purchases"]) == -1500
    assert [(row["symbol"], row["quantity"]) for row in first["positions"]] == [("A", "100"), ("B", "50")]
    for _ in range(2):  # the second changes nothing
        posted = mts(stack, "cash", "post", FUND, "borrow_fee", "-2.50", "--symbol", "A", "--id", "oct")
        assert Decimal(posted["cash"]) == Decimal("998897.50")
    assert [row["amount"] for row in mts(stack, "cash", "list", FUND)] == ["-2.50"]
    (second,) = mts(stack, "statement", "--fund", FUND)
    assert (second["day"], second["reconciles"], second["since"]) == (SECOND, True, 1)
    amounts = second["opening_cash"], second["flows"]["sales"], second["closing_cash"]
    assert tuple(map(Decimal, amounts)) == (998_500, 400, 998_900)
    assert [(row["strategy_id"], row["trades"]) for row in second["strategies"]] == [("s", 1), ("t", 0)]
    assert [(t["side"], t["quantity"], t["ts"][:10]) for t in second["trades"]] == [("sell", "40", SECOND)]
    for wrong, error in (("2024-10-09", InputError), ("soon", InputError)):
        with pytest.raises(error):
            mts(stack, "statement", "--date", wrong)
    for words in (
        ("statement", "--fund", "x"),
        ("cash", "post", FUND, "gift", "1"),
        ("cash", "post", "x", "deposit", "1"),
    ):
        with pytest.raises(UnknownNameError):
            mts(stack, *words)


SPOILS = [
    ("fills", "UPDATE fills SET quantity = 41 WHERE quantity = 40", "cash"),
    ("positions", "UPDATE positions SET quantity = 61 WHERE symbol = 'A'", "quantity of A"),
    ("funds", "UPDATE funds SET cash = cash + 1", "the fund's row"),
    ("day_marks", "DELETE FROM day_marks WHERE symbol = 'B'", "no price of B"),
    ("day_marks", "UPDATE day_marks SET price = 11 WHERE day = 20002", "closing NAV"),
]


def test_days_reconcile_and_changes_show(stack: RunningStack, monkeypatch: pytest.MonkeyPatch) -> None:
    async def case(pool: Pool) -> None:
        schema = await pool.fetchval("SELECT current_schema()")
        separator = "&" if "?" in stack.endpoints.postgres_dsn else "?"
        monkeypatch.setenv("MTS_DB__PRIMARY__DSN", f"{stack.endpoints.postgres_dsn}{separator}search_path={schema}")
        desk = Desk()
        await traded(desk, pool)
        await asyncio.to_thread(commands, stack)
        assert (await desk.start(Journal(pool, FUND))).book.cash == desk.risk.state.cash == Decimal("998897.50")
        await desk.oms.close()
        (after,) = await asyncio.to_thread(mts, stack, "statement", "--date", SECOND)
        assert after["reconciles"] and after["since"] == 0  # it was valued again
        assert Decimal(after["flows"]["borrow_fee"]) == Decimal("-2.50")
        for table, spoil, named in SPOILS:
            await pool.execute(f"CREATE TABLE kept AS TABLE {table}")
            await pool.execute(spoil)
            with pytest.raises(DataError, match=f"does not reconcile.*{named}"):
                await asyncio.to_thread(mts, stack, "statement", "--date", SECOND)
            await pool.execute(f"TRUNCATE {table}")
            await pool.execute(f"INSERT INTO {table} TABLE kept")
            await pool.execute("DROP TABLE kept")
        assert await asyncio.to_thread(mts, stack, "statement", "--date", SECOND) == [after]

    on_postgres(stack, case)

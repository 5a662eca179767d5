"""The whole order core on a real Postgres: a connection lost at any moment, and the audit commands afterwards."""

from __future__ import annotations

import asyncio
import json
import shutil
from random import Random

import pytest
from typer.testing import CliRunner

from mts1b.audit.chain import Verified
from mts1b.audit.store import verify_stored
from mts1b.cli.main import build_app
from mts1b.foundation.errors import DataError, InputError, MtsError, StackError
from mts1b.foundation.ids import Symbol
from mts1b.foundation.order import Order
from mts1b.oms.journal import Journal
from mts1b.platform.db import Pool
from mts1b.testing.malformed import refusal, spoiled
from tests.conftest import RunningStack
from tests.contract.test_journal import fresh_database, on_postgres
from tests.unit.oms.desk import FUND, Desk

KILL_WRITER = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'mts writer%'"

RECOUNT = """SELECT f.cash, f.opening_cash + coalesce((
    SELECT sum(CASE side WHEN 'buy' THEN -1 ELSE 1 END * quantity * price - fee) FROM fills), 0) AS recounted
    FROM funds AS f"""
PROVEN = (
    "SELECT count(*) FROM order_events AS e JOIN audit_chain AS a USING (sequence) WHERE a.content::jsonb = e.content"
)


async def check(desk: Desk, pool: Pool) -> None:
    """What is stored agrees with itself, with memory, and with the venue's log."""
    fills = [report for report in desk.exchange.exchange.reports if report.kind == "fill"]
    stored = {row["fill_id"] for row in await pool.fetch("SELECT fill_id FROM fills")}
    assert stored == {fill.fill_id for fill in fills}
    row = await pool.fetchrow(RECOUNT)
    assert row is not None and row["cash"] == row["recounted"] == desk.oms.book.cash
    held = await pool.fetch("SELECT symbol, quantity FROM positions")
    assert {row["symbol"]: row["quantity"] for row in held} == {
        item.symbol: item.quantity for item in desk.oms.book.positions.values()
    }
    keys = await pool.fetch("SELECT idempotency_key FROM orders GROUP BY 1 HAVING count(*) > 1")
    assert keys == []
    assert isinstance(await verify_stored(pool, page=7), Verified)
    assert await pool.fetchval(PROVEN) == await pool.fetchval("SELECT count(*) FROM order_events")


def test_malformed_orders_are_on_record_and_harm_nothing(stack: RunningStack) -> None:
    """What Postgres cannot hold, a NUL or half a surrogate, is among them."""

    async def case(pool: Pool) -> None:
        desk = Desk()
        await desk.start(Journal(pool, FUND))
        random = Random(5)
        for number in range(150):
            await refusal(desk.oms.submit, spoiled(random, f"k{number}"))
        await desk.oms.submit(desk.command(1000))
        await desk.trade()
        await check(desk, pool)
        await desk.oms.close()

    on_postgres(stack, case)


def test_a_day_of_orders(stack: RunningStack) -> None:
    async def case(pool: Pool) -> None:
        desk = Desk()
        await desk.start(Journal(pool, FUND))
        for number in range(40):
            await desk.oms.submit(desk.command(number))
        await desk.trade()
        assert await desk.oms.drain() == 40
        await check(desk, pool)
        await desk.oms.close()
        before = desk.oms.book
        again = await desk.start(Journal(pool, FUND))
        assert again.book == before and again.report_sequence == len(desk.exchange.exchange.reports)
        assert (await again.submit(desk.command(3))).order_id in {
            o["order_id"] for o in await pool.fetch("TABLE orders")
        }
        assert len(desk.exchange.exchange.orders) == 40
        await again.close()

    on_postgres(stack, case)


@pytest.mark.parametrize("turns", [1, 4, 9, 30, 100])
def test_a_connection_lost_under_load(stack: RunningStack, turns: int) -> None:
    async def case(pool: Pool) -> None:
        desk = Desk()
        await desk.start(Journal(pool, FUND))

        async def ask(number: int) -> Order | MtsError:
            try:
                return await desk.oms.submit(desk.command(number))
            except StackError as error:
                return error

        asked = [asyncio.create_task(ask(number)) for number in range(30)]
        for _ in range(turns):
            await asyncio.sleep(0.0005)
        await pool.execute(KILL_WRITER)
        await asyncio.gather(*asked)
        try:
            await desk.oms.submit(desk.command(99))
        except StackError:
            await desk.oms.recover()
            await desk.mark()
        for number in range(30):
            await desk.oms.submit(desk.command(number))
        await desk.oms.submit(desk.command(99))
        await desk.trade()
        await check(desk, pool)
        assert len(desk.exchange.exchange.orders) == 31
        assert desk.oms.book.position(Symbol("A")).quantity == 3100
        await desk.oms.drain()
        assert len(desk.bus.published) == 31
        await desk.oms.close()

    on_postgres(stack, case)


def run_cli(
    stack: RunningStack, monkeypatch: pytest.MonkeyPatch, spoil: str | None, *arguments: str
) -> tuple[Exception | None, str]:
    """One trading session, `mts audit verify`, `spoil` done to what is stored, then `mts audit ...`: its error and
    what it printed."""
    shutil.rmtree(stack.settings.data_dir / "audit", ignore_errors=True)  # the head of another test's chain
    found: list[tuple[Exception | None, str]] = []

    async def whole() -> None:
        async with fresh_database(stack) as pool:
            desk = Desk()
            await desk.start(Journal(pool, FUND))
            order = await desk.oms.submit(desk.command(1))
            await desk.trade()
            await desk.oms.close()
            schema = await pool.fetchval("SELECT current_schema()")
            separator = "&" if "?" in stack.endpoints.postgres_dsn else "?"
            dsn = f"{stack.endpoints.postgres_dsn}{separator}search_path={schema}"
            monkeypatch.setenv("MTS_DB__PRIMARY__DSN", dsn)
            where = ["--data-dir", str(stack.settings.data_dir)]
            before = await asyncio.to_thread(CliRunner().invoke, build_app(("audit",)), ["audit", "verify", *where])
            assert before.exit_code == 0, before.output
            if spoil:
                await pool.execute(spoil)
            named = [order.order_id if item == "ORDER" else item for item in arguments]
            command = ["audit", *named, *where]
            result = await asyncio.to_thread(CliRunner().invoke, build_app(("audit",)), command)
            found.append((result.exception, result.output))  # type: ignore[arg-type]

    asyncio.run(whole())
    return found[0]


def test_audit_verify(stack: RunningStack, monkeypatch: pytest.MonkeyPatch) -> None:
    error, output = run_cli(stack, monkeypatch, None, "verify")
    assert error is None and "links verified" in output
    error, output = run_cli(stack, monkeypatch, None, "verify", "--json")
    assert error is None and json.loads(output)["links"] > 5
    error, output = run_cli(stack, monkeypatch, None, "verify", "--subject", "ORDER")
    assert error is None and "5 of them about" in output


SPOILS: list[tuple[str, int]] = [
    ("UPDATE audit_chain SET content = replace(content, '100', '900') WHERE sequence = 3", 3),
    ("DELETE FROM audit_chain WHERE sequence = 4", 5),
    ("UPDATE audit_chain SET timestamp = timestamp + 1 WHERE sequence = 2", 2),
    ("UPDATE audit_chain SET sequence = -sequence WHERE sequence IN (2, 3)", 4),
    ("DELETE FROM audit_chain WHERE sequence > 5", 5),
    ("DELETE FROM audit_chain", 0),
]


@pytest.mark.parametrize(("spoil", "at"), SPOILS)
def test_audit_verify_names_what_was_touched(
    stack: RunningStack, monkeypatch: pytest.MonkeyPatch, spoil: str, at: int
) -> None:
    error, _ = run_cli(stack, monkeypatch, spoil, "verify")
    assert isinstance(error, DataError) and error.exit_code == 2 and error.value == at


def test_audit_trail(stack: RunningStack, monkeypatch: pytest.MonkeyPatch) -> None:
    error, output = run_cli(stack, monkeypatch, None, "trail", "ORDER", "--json")
    assert error is None
    assert [link["kind"] for link in json.loads(output)] == [
        "order_received", "order_accepted", "order_submitting", "order_working", "order_filled",
    ]  # fmt: skip
    error, output = run_cli(stack, monkeypatch, None, "trail", "ORDER")
    assert error is None and "order_filled" in output and "price 10" in output
    error, output = run_cli(stack, monkeypatch, None, "trail", "nobody")
    assert isinstance(error, InputError) and error.exit_code == 2 and "nobody" in str(error)

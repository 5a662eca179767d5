"""The journal, once in memory and once in a real Postgres: the same cases, and what only Postgres can show."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from hashlib import sha256
from typing import Any

import pytest

from mts1b.audit.chain import Verified, verify
from mts1b.audit.store import read_links
from mts1b.foundation.clock import NS_PER_DAY, NS_PER_S
from mts1b.foundation.errors import InvariantBroken, LeaseLost, MtsError, StackError
from mts1b.foundation.events import (
    NavMarked,
    OrderCancelled,
    OrderFilled,
    OrderReceived,
    OrderReplaced,
    OrderSubmitting,
    OrderWorking,
)
from mts1b.foundation.fill import Fill
from mts1b.foundation.ids import FillId, FundId, IdempotencyKey, Symbol, VenueOrderId
from mts1b.foundation.limits import DEDUP_WINDOW_S
from mts1b.foundation.order import Membership, Order, OrderStatus, OrderType, Role, Terms, TimeInForce
from mts1b.foundation.position import Position
from mts1b.oms import journal as journal_module
from mts1b.oms.encode import fill_message
from mts1b.oms.journal import Journal
from mts1b.oms.ports import DuplicateContent, DuplicateOrder, Entry, JournalPort
from mts1b.platform.db import Pool, close_pools, migrate, open_pool, read_migrations
from mts1b.platform.db.migrations import _MIGRATIONS_TABLE
from mts1b.riskengine.verdict import Mode, Standing
from mts1b.testing.journal import MemoryJournal, MemoryStore
from mts1b.testing.orders import make_order
from tests.conftest import RunningStack

Factory = Callable[[str], JournalPort]

SOURCE_INDEXES = {
    "orders_pkey": "(order_id)",
    "orders_idempotency_key_created_at": "(idempotency_key, created_at)",
    "orders_fund_id_created_at": "(fund_id, created_at)",
    "fills_order_id": "(order_id)",
    "positions_pkey": "(fund_id, symbol)",
    "audit_chain_pkey": "(sequence)",
    "audit_chain_subject_id_timestamp": '(subject_id, "timestamp")',
}
THE_SOURCES_QUERY = "SELECT indexname FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexname"


@asynccontextmanager
async def fresh_database(stack: RunningStack, migrated: bool = True) -> AsyncIterator[Pool]:
    """A pool on an empty schema of its own, migrated unless said otherwise, dropped afterwards."""
    schema = "t" + uuid.uuid4().hex[:12]
    dsn = stack.endpoints.postgres_dsn
    admin = await open_pool(f"admin-{schema}", dsn, pool_size=1)
    await admin.execute(f"CREATE SCHEMA {schema}")
    pool = await open_pool(schema, f"{dsn}{'&' if '?' in dsn else '?'}search_path={schema}", pool_size=6)
    try:
        if migrated:
            await migrate(pool)
        yield pool
    finally:
        await admin.execute(f"DROP SCHEMA {schema} CASCADE")
        await close_pools()


@pytest.fixture(params=["memory", "postgres"])
def run_with(request: pytest.FixtureRequest) -> Iterator[Callable[[Callable[[Factory], Awaitable[None]]], None]]:
    """Runs a case with a factory of journals over one store."""

    def run(case: Callable[[Factory], Awaitable[None]]) -> None:
        async def on_postgres() -> None:
            async with fresh_database(request.getfixturevalue("stack")) as pool:
                journals: list[JournalPort] = []

                def make(fund: str) -> JournalPort:
                    journals.append(Journal(pool, FundId(fund)))
                    return journals[-1]

                try:
                    await case(make)
                finally:
                    for journal in journals:
                        await journal.close()

        async def in_memory() -> None:
            store = MemoryStore()
            await case(lambda fund: MemoryJournal(store, FundId(fund)))

        asyncio.run(in_memory() if request.param == "memory" else on_postgres())

    yield run


def on_postgres(stack: RunningStack, case: Callable[[Pool], Awaitable[None]]) -> None:
    async def run() -> None:
        async with fresh_database(stack) as pool:
            await case(pool)

    asyncio.run(run())


def opening(fund: str = "fund") -> Entry:
    return Entry(FundId(fund), 1, cash=Decimal("1000000"), opening_cash=Decimal("1000000"))


def received(order: Order) -> Entry:
    sent = replace(order, status=OrderStatus.SUBMITTING)
    events = (OrderReceived(order, order.created_ns), OrderSubmitting(order.order_id, order.created_ns))
    return Entry(order.fund_id, order.created_ns, order=sent, is_new=True, events=events)


def filled(order: Order, name: str, quantity: int, price: str, sequence: int) -> Entry:
    fill = Fill(
        FillId(name), order.order_id, order.fund_id, order.strategy_id, order.symbol, order.side,
        Decimal(quantity), Decimal(price), Decimal("0.01"), 77,
    )  # fmt: skip
    event = OrderFilled(order.order_id, fill, 78)
    after = replace(
        order, status=OrderStatus.FILLED, filled_quantity=Decimal(quantity), average_price=Decimal(price),
        fees=Decimal("0.01"), fill_ids=(FillId(name),), venue_order_id=VenueOrderId("V1"), updated_ns=78,
    )  # fmt: skip
    held = Position(order.fund_id, order.symbol, Decimal(quantity), Decimal(price), Decimal(0), Decimal("0.01"))
    return Entry(
        order.fund_id, 78, order=after, events=(event,), position=held, cash=Decimal("998999.99"),
        report_sequence=sequence, outbox=(fill_message(event),),
    )  # fmt: skip


def test_what_is_written_is_read_back(run_with: Any) -> None:
    async def case(make: Factory) -> None:
        journal = make("fund")
        await journal.open()
        assert (await journal.load(0)).cash is None
        await journal.append(opening())
        one, two = make_order(1), make_order(2)
        await asyncio.gather(journal.append(received(one)), journal.append(received(two)))
        await journal.append(filled(one, "F1", 100, "10.0001", 5))
        worth = NavMarked("fund", Decimal(7), Decimal(3), Decimal(4), 9)
        before = ((Symbol("AAPL"), Decimal("9.0001")), (Symbol("MSFT"), Decimal(5)))
        await journal.append(Entry(FundId("fund"), 90, nav=replace(worth, ts_ns=8), marks=before))
        await journal.append(Entry(FundId("fund"), 90, nav=worth, marks=((Symbol("AAPL"), Decimal("11.0001")),)))
        await journal.close()
        later = make("fund")
        await later.open()
        state = await later.load(0)
        assert (state.cash, state.report_sequence) == (Decimal("998999.99"), 5)
        assert [order.order_id for order in state.open_orders] == [two.order_id]
        assert state.open_orders[0] == replace(two, status=OrderStatus.SUBMITTING)
        assert [(p.symbol, p.quantity, p.average_price) for p in state.positions] == [("AAPL", 100, Decimal("10.0001"))]
        assert {key for key, _, _ in state.keys} == {one.idempotency_key, two.idempotency_key}
        assert (state.last_nav, state.peak_nav, state.day_start_nav, state.marked_ns) == (7, 7, 7, 9)
        assert state.marks == (("AAPL", Decimal("11.0001")), ("MSFT", Decimal(5)))
        stored = await later.order(one.order_id)
        assert stored is not None and stored.fill_ids == ("F1",) and stored.status is OrderStatus.FILLED
        assert stored == await later.order_by_client_id(one.client_order_id)
        assert stored == await later.order_by_key(one.idempotency_key)
        assert await later.order_by_key(IdempotencyKey("other")) is None
        assert await later.order_counts() == {OrderStatus.FILLED: 1, OrderStatus.SUBMITTING: 1}
        waiting = await later.unpublished(10)
        assert [(message.subject, message.message_id) for _, message in waiting] == [("mts.v1.oms.fills.created", "F1")]
        await later.mark_published([row for row, _ in waiting], 99)
        assert not await later.unpublished(10)

    run_with(case)


def test_day_start_is_the_last_nav_of_the_day_before(run_with: Any) -> None:
    async def case(make: Factory) -> None:
        journal = make("fund")
        await journal.open()
        await journal.append(opening())
        for ts, nav in ((NS_PER_DAY, 100), (NS_PER_DAY + 5, 120), (2 * NS_PER_DAY, 110), (2 * NS_PER_DAY + 1, 90)):
            mark = NavMarked("fund", Decimal(nav), Decimal(0), Decimal(0), ts)
            await journal.append(Entry(FundId("fund"), 1, nav=mark))
        state = await journal.load(0)
        assert (state.last_nav, state.peak_nav, state.day_start_nav) == (90, 120, 120)

    run_with(case)


def test_the_mode_and_the_base_of_a_re_arm_are_kept(run_with: Any) -> None:
    async def case(make: Factory) -> None:
        journal, fund = make("fund"), FundId("fund")

        async def mark(ts: int, nav: int) -> None:
            await journal.append(Entry(fund, 1, nav=NavMarked(fund, Decimal(nav), Decimal(0), Decimal(0), ts)))

        await journal.open()
        await journal.append(opening())
        assert (await journal.load(0)).standing == Standing()
        await mark(NS_PER_DAY, 100)
        await mark(NS_PER_DAY + 5, 60)
        await journal.append(Entry(fund, 2, standing=Standing(Mode.HALTED, Mode.REDUCING, frozenset({"s/A/buy"}))))
        state = await journal.load(0)
        assert state.standing == Standing(Mode.HALTED, Mode.REDUCING, frozenset({"s/A/buy"}))
        assert (state.peak_nav, state.day_start_nav) == (100, 100)
        await journal.append(Entry(fund, 3, standing=Standing(), by="a person", rearmed=(Decimal(60), NS_PER_DAY + 5)))
        state = await journal.load(0)
        assert (state.standing, state.peak_nav, state.day_start_nav) == (Standing(), 60, 60)
        await mark(NS_PER_DAY + 6, 70)
        await journal.append(Entry(fund, 4, cash=Decimal(5)))
        state = await journal.load(0)
        assert (state.standing, state.peak_nav, state.day_start_nav, state.cash) == (Standing(), 70, 60, 5)
        await mark(2 * NS_PER_DAY, 65)
        state = await journal.load(0)
        assert (state.peak_nav, state.day_start_nav) == (70, 70)

    run_with(case)


def test_one_fund_has_one_writer(run_with: Any) -> None:
    async def case(make: Factory) -> None:
        one, two, other = make("fund"), make("fund"), make("other")
        await one.open()
        with pytest.raises(LeaseLost, match="another OMS"):
            await two.open()
        await other.open()
        await one.close()
        await two.open()

    run_with(case)


def test_a_closed_journal_takes_nothing(run_with: Any) -> None:
    async def case(make: Factory) -> None:
        journal = make("fund")
        await journal.open()
        await journal.close()
        with pytest.raises(StackError, match="is not open"):
            await journal.append(opening())

    run_with(case)


def test_a_key_is_held_within_its_window_and_free_after(run_with: Any) -> None:
    async def case(make: Factory) -> None:
        journal = make("fund")
        await journal.open()
        await journal.append(opening())
        first = make_order(1, created_ns=10**18)
        window_ns = DEDUP_WINDOW_S * NS_PER_S
        within = make_order(2, idempotency_key=first.idempotency_key, created_ns=10**18 + window_ns - 1)
        after = make_order(3, idempotency_key=first.idempotency_key, created_ns=10**18 + window_ns)
        bystander = make_order(4, created_ns=10**18)
        results = await asyncio.gather(
            *(journal.append(received(order)) for order in (first, within, bystander, after)), return_exceptions=True
        )
        assert [type(result) for result in results] == [type(None), DuplicateOrder, type(None), type(None)]
        assert await journal.order(within.order_id) is None
        assert await journal.order(bystander.order_id) is not None
        held = await journal.order_by_key(first.idempotency_key)
        assert held is not None and held.order_id == after.order_id

    run_with(case)


def test_two_connections_race_with_one_key(run_with: Any) -> None:
    async def case(make: Factory) -> None:
        journals = [make(f"fund{n}") for n in range(4)]
        for n, journal in enumerate(journals):
            await journal.open()
            await journal.append(opening(f"fund{n}"))
        for turn in range(10):
            orders = [
                make_order(100 * turn + n, idempotency_key=IdempotencyKey(f"k{turn}"), fund_id=FundId(f"fund{n}"))
                for n in range(4)
            ]
            results = await asyncio.gather(
                *(journal.append(received(order)) for journal, order in zip(journals, orders, strict=True)),
                return_exceptions=True,
            )
            assert sorted(type(result).__name__ for result in results) == ["DuplicateOrder"] * 3 + ["NoneType"], results

    run_with(case)


def test_a_step_that_contradicts_the_store_stops_the_journal(run_with: Any) -> None:
    async def case(make: Factory) -> None:
        journal = make("fund")
        await journal.open()
        await journal.append(opening())
        with pytest.raises(InvariantBroken):
            await journal.append(filled(make_order(9), "F9", 1, "1", 1))
        if isinstance(journal, Journal):
            with pytest.raises(MtsError):
                await journal.append(received(make_order(1)))
            await journal.open()
            await journal.append(received(make_order(1)))
            assert (await journal.load(0)).report_sequence == 0

    run_with(case)


def test_a_step_on_an_order_that_is_not_there_leaves_no_trace(stack: RunningStack) -> None:
    async def case(pool: Pool) -> None:
        journal = Journal(pool, FundId("fund"))
        await journal.open()
        await journal.append(opening())
        ghost = make_order(1)
        working = OrderWorking(ghost.order_id, VenueOrderId("V1"), 1)
        with pytest.raises(InvariantBroken, match="0 of 1 rows"):
            await journal.append(Entry(ghost.fund_id, 1, order=ghost, events=(working,)))
        assert await pool.fetchval("SELECT count(*) FROM audit_chain") == 1
        assert await pool.fetchval("SELECT count(*) FROM order_events") == 0
        await journal.close()

    on_postgres(stack, case)


def test_the_schema_has_every_index_of_the_source(stack: RunningStack) -> None:
    async def case(pool: Pool) -> None:
        rows = await pool.fetch("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema()")
        found = {row["indexname"]: row["indexdef"] for row in rows}
        for name, columns in SOURCE_INDEXES.items():
            assert columns in found[name], name
        for name in ("orders_pkey", "positions_pkey", "audit_chain_pkey", "orders_idempotency_key_created_at"):
            assert "UNIQUE" in found[name]

    on_postgres(stack, case)


def test_the_sources_query_shows_them(stack: RunningStack) -> None:
    async def case() -> None:
        pool = await open_pool("public", stack.endpoints.postgres_dsn, pool_size=1)
        await migrate(pool)
        shown = [row["indexname"] for row in await pool.fetch(THE_SOURCES_QUERY)]
        assert shown == sorted(shown) and set(SOURCE_INDEXES) <= set(shown)
        await close_pools()

    asyncio.run(case())


def test_everything_of_an_order_is_read_back(run_with: Any) -> None:
    async def case(make: Factory) -> None:
        journal = make("fund")
        await journal.open()
        await journal.append(opening())
        whole = make_order(
            1,
            order_type=OrderType.STOP_LIMIT,
            time_in_force=TimeInForce.GTD,
            limit_price=Decimal("9.5"),
            stop_price=Decimal("9.75"),
            good_till_ns=10**18,
            revision=3,
            wanted=Terms(4, Decimal(70), Decimal("9.25"), Decimal("9.5")),
            group=Membership("g", Role.ENTRY, Decimal(100)),
            send_by_ns=10**18 + 5,
        )
        bare = make_order(2, wanted=Terms(1, Decimal("0.5")))
        leg = make_order(3, group=Membership("g", Role.LEG, Decimal(100)))
        for order in (whole, bare, leg):
            await journal.append(received(order))
        moved = replace(
            whole, status=OrderStatus.WORKING, quantity=Decimal(70), limit_price=Decimal(9), stop_price=Decimal(8),
            revision=4, wanted=None, send_by_ns=7, updated_ns=9,
        )  # fmt: skip
        await journal.append(Entry(whole.fund_id, 9, order=moved, events=(OrderReplaced(moved, 9),)))
        gone = replace(leg, status=OrderStatus.CANCELLED, updated_ns=9)
        await journal.append(Entry(leg.fund_id, 9, order=gone, events=(OrderCancelled(leg.order_id, "x", 9),)))
        state = await journal.load(0)
        assert set(state.open_orders) == {moved, replace(bare, status=OrderStatus.SUBMITTING)}
        assert state.grouped == (gone,), "of a group with an open order, who has ended"

    run_with(case)


def test_entries_given_together_come_whole_or_not_at_all(run_with: Any) -> None:
    async def case(make: Factory) -> None:
        journal = make("fund")
        await journal.open()
        await journal.append(opening())
        first, second, third = (make_order(number, created_ns=10**18) for number in (1, 2, 3))
        await journal.append(received(first))
        with pytest.raises(DuplicateOrder):
            await journal.append(received(second), received(replace(third, idempotency_key=first.idempotency_key)))
        assert await journal.order(second.order_id) is None and await journal.order(third.order_id) is None
        await journal.append(received(second), received(third))
        assert len((await journal.load(0)).open_orders) == 3

    run_with(case)


def test_two_connections_race_with_one_content(run_with: Any) -> None:
    async def case(make: Factory) -> None:
        journals = [make(f"fund{n}") for n in range(4)]
        for n, journal in enumerate(journals):
            await journal.open()
            await journal.append(opening(f"fund{n}"))

        async def write(turn: int, n: int, after_ns: int = 0) -> BaseException | None:
            order = make_order(100 * turn + n + after_ns, created_ns=10**18 + after_ns, fund_id=FundId(f"fund{n}"))
            entry = replace(received(order), content=(f"c{turn}", 10**18 + 500))
            return (await asyncio.gather(journals[n].append(entry), return_exceptions=True))[0]

        for turn in range(5):
            results = await asyncio.gather(*(write(turn, n) for n in range(4)))
            assert sorted(type(result).__name__ for result in results) == ["DuplicateContent"] * 3 + ["NoneType"]
        assert isinstance(await write(0, 0, 499), DuplicateContent)
        assert await write(0, 0, 500) is None, "the window is over"

    run_with(case)


@asynccontextmanager
async def taken_over(make: Factory) -> AsyncIterator[tuple[JournalPort, JournalPort]]:
    """Two writers of one fund: the second took over when the first one's lease had run out."""
    one, two = make("fund"), make("fund")
    await one.open()
    await one.append(opening())
    with pytest.raises(LeaseLost):
        await two.open()
    await let_lease_run_out(one)
    await two.open()
    yield one, two


async def let_lease_run_out(journal: JournalPort) -> None:
    if isinstance(journal, Journal):
        await journal._pool.execute("UPDATE writer_leases SET expires_at = clock_timestamp()")
    else:
        assert isinstance(journal, MemoryJournal)
        journal.store.leases[FundId("fund")].expires_ns = None


def test_who_has_lost_the_lease_writes_nothing(run_with: Any) -> None:
    async def case(make: Factory) -> None:
        async with taken_over(make) as (one, two):
            order = make_order(1)
            await two.append(received(order))
            await two.append(filled(order, "F1", 100, "10", 1))
            ((row, _),) = await two.unpublished(1)
            with pytest.raises(LeaseLost):
                await one.mark_published([row], 1)
            assert len(await two.unpublished(9)) == 1, "not even that"
            with pytest.raises(LeaseLost):
                await one.append(received(make_order(2)))
            assert one.lease_left_ns() == 0 < two.lease_left_ns()
            with pytest.raises(MtsError):
                await one.append(received(make_order(2)))
            assert await two.order(make_order(2).order_id) is None
            with pytest.raises(LeaseLost):
                await one.open()

    run_with(case)


def test_a_writer_takes_over_from_itself(run_with: Any) -> None:
    async def case(make: Factory) -> None:
        journal = make("fund")
        await journal.open()
        await journal.append(opening())
        await journal.open()
        await journal.append(received(make_order(1)))
        assert len((await journal.load(0)).open_orders) == 1

    run_with(case)


def test_a_commit_under_way_is_waited_for(stack: RunningStack) -> None:
    """A take-over between a commit's first look and its end would let two writers in."""

    async def case(pool: Pool) -> None:
        one, two = Journal(pool, FundId("fund")), Journal(pool, FundId("fund"))
        await one.open()
        await pool.execute("UPDATE writer_leases SET expires_at = '-infinity'")
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT 1 FROM writer_leases WHERE fund_id = 'fund' FOR SHARE")
            taking = asyncio.create_task(two.open())
            await asyncio.sleep(0.05)
            assert not taking.done()
        await taking
        with pytest.raises(LeaseLost, match="taken fund over"):
            await one.append(opening())
        await two.append(opening())
        await one.close()
        await two.close()

    on_postgres(stack, case)


def test_a_lease_is_renewed_until_another_takes_it(stack: RunningStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "LEASE_RENEW_S", 0.01)

    async def case(pool: Pool) -> None:
        journal = Journal(pool, FundId("fund"))
        await journal.open()
        first = await pool.fetchval("SELECT expires_at FROM writer_leases")
        async with asyncio.timeout(10):
            while await pool.fetchval("SELECT expires_at FROM writer_leases") == first:  # noqa: ASYNC110 it is renewed
                await asyncio.sleep(0.01)
        assert journal.lease_left_ns() > 0
        await pool.execute("UPDATE writer_leases SET epoch = epoch + 1")
        async with asyncio.timeout(10):
            while journal.lease_left_ns():  # noqa: ASYNC110 the renewer finds out
                await asyncio.sleep(0.01)
        with pytest.raises(LeaseLost):
            await journal.append(opening())
        await journal.close()

    on_postgres(stack, case)


MIGRATIONS = read_migrations("mts1b.oms.migrations")
OLD_ORDER = """INSERT INTO orders (order_id, client_order_id, idempotency_key, fund_id, strategy_id, symbol, side,
    order_type, time_in_force, quantity, reference_price, status, filled_quantity, average_price, fees, reason,
    created_at, updated_at, dedup_until) VALUES ($1, $2, $3, 'fund', 'strategy', 'AAPL', 'buy',
    'market', 'opg', 100, 10, 'working', 0, 0, 0, '', 1, 1, 99)"""
OLD_FUND = "INSERT INTO funds (fund_id, opening_cash, cash, updated_at) VALUES ('fund', 1000000, 1000000, 1)"


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_migrations_run_with_open_orders(stack: RunningStack, version: int) -> None:
    """A database of each earlier version, holding an open order, is brought up to date; trading goes on."""

    async def case() -> None:
        async with fresh_database(stack, migrated=False) as pool:
            for _, _, text in MIGRATIONS[:version]:
                await pool.execute(text)
            await pool.execute(_MIGRATIONS_TABLE)
            for number, name, text in MIGRATIONS[:version]:
                checksum = sha256(text.encode()).hexdigest()
                await pool.execute(
                    "INSERT INTO schema_migrations (package, version, name, checksum) VALUES ($1, $2, $3, $4)",
                    "mts1b.oms.migrations", number, name, checksum,
                )  # fmt: skip
            order = make_order(1, status=OrderStatus.WORKING, created_ns=1, updated_ns=1)
            await pool.execute(OLD_ORDER, order.order_id, order.client_order_id, order.idempotency_key)
            if version >= 2:
                await pool.execute(OLD_FUND)
            assert await migrate(pool) == [name for _, name, _ in MIGRATIONS[version:]]
            journal = Journal(pool, FundId("fund"))
            await journal.open()
            if version < 2:
                await journal.append(opening())
            (found,) = (await journal.load(0)).open_orders
            assert found == order
            await journal.append(filled(found, "F1", 100, "10", 1))
            state = await journal.load(0)
            assert not state.open_orders and state.cash == Decimal("998999.99")
            await journal.close()

    asyncio.run(case())


def test_the_chain_stays_gapless_with_many_funds_writing(stack: RunningStack) -> None:
    async def case(pool: Pool) -> None:
        journals = [Journal(pool, FundId(f"fund{n}")) for n in range(4)]
        for n, journal in enumerate(journals):
            await journal.open()
            await journal.append(opening(f"fund{n}"))

        async def write(fund: int) -> None:
            for n in range(15):
                await journals[fund].append(received(make_order(1000 * fund + n, fund_id=FundId(f"fund{fund}"))))

        await asyncio.gather(*(write(n) for n in range(4)))
        for journal in journals:
            await journal.close()
        links = [link async for link in read_links(pool)]
        proof = verify(links)
        assert isinstance(proof, Verified) and proof.links == 4 + 4 * 15 * 2

    on_postgres(stack, case)


def test_a_tampered_row_is_found(stack: RunningStack) -> None:
    async def case(pool: Pool) -> None:
        journal = Journal(pool, FundId("fund"))
        await journal.open()
        await journal.append(opening())
        for n in range(5):
            await journal.append(received(make_order(n)))
        await journal.close()
        await pool.execute("UPDATE audit_chain SET content = replace(content, '100', '900') WHERE sequence = 4")
        proof = verify([link async for link in read_links(pool)])
        assert not isinstance(proof, Verified) and proof.sequence == 4

    on_postgres(stack, case)


def test_steps_that_wait_commit_together(stack: RunningStack) -> None:
    async def case(pool: Pool) -> None:
        journal = Journal(pool, FundId("fund"))
        await journal.open()
        await journal.append(opening())
        before = await pool.fetchval("SELECT pg_current_xact_id()::text::bigint")
        await asyncio.gather(*(journal.append(received(make_order(n))) for n in range(200)))
        after = await pool.fetchval("SELECT pg_current_xact_id()::text::bigint")
        assert after - before < 20
        assert len((await journal.load(0)).open_orders) == 200
        await journal.close()

    on_postgres(stack, case)


def test_a_lost_connection_stops_the_journal_until_it_is_opened_again(stack: RunningStack) -> None:
    async def case(pool: Pool) -> None:
        journal = Journal(pool, FundId("fund"))
        await journal.open()
        await journal.append(opening())
        await pool.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'mts writer%'"
        )
        with pytest.raises(StackError):
            await journal.append(received(make_order(1)))
        with pytest.raises(StackError):
            await journal.append(received(make_order(2)))
        await journal.open()
        await journal.append(received(make_order(3)))
        assert len((await journal.load(0)).open_orders) == 1
        await journal.close()

    on_postgres(stack, case)


def test_symbols_and_text_survive(stack: RunningStack) -> None:
    async def case(pool: Pool) -> None:
        journal = Journal(pool, FundId("fund"))
        await journal.open()
        await journal.append(opening())
        odd = make_order(
            1, symbol=Symbol("BRK.B"), reason='caf\u00e9 "quoted" \\ \u2028', quantity=Decimal("0.000000001")
        )
        await journal.append(received(odd))
        stored = await journal.order(odd.order_id)
        assert stored == replace(odd, status=OrderStatus.SUBMITTING)
        await journal.close()
        assert isinstance(verify([link async for link in read_links(pool)]), Verified)

    on_postgres(stack, case)

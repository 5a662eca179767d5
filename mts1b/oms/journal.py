"""The journal of one fund in Postgres: a step's events, projections, audit links and outbox rows commit together.

Steps that arrive while a commit is under way are committed together by the next one, whose rows and links are made
meanwhile, behind the head that the chain will have. Each commit checks the writer's epoch and fails when another has
taken over (`mts1b.oms.lease`). The chain's head is kept in
memory and its next sequence is claimed by the primary key: should another fund's writer have been faster, the batch is
linked anew to the head it left. So the sequence has no gaps, and a writer alone pays nothing for it.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from itertools import islice

from mts1b.audit.chain import GENESIS, Head
from mts1b.foundation.clock import NS_PER_DAY, Clock, SystemClock
from mts1b.foundation.errors import InvariantBroken, LeaseLost, MtsError, StackError
from mts1b.foundation.events import CashMoved
from mts1b.foundation.ids import ClientOrderId, FundId, IdempotencyKey, OrderId, Symbol
from mts1b.foundation.limits import (
    CHAIN_ATTEMPTS_MAX,
    DEDUP_KEYS_IN_MEMORY_MAX,
    JOURNAL_BATCH_MAX,
    LEASE_RENEW_S,
    QUEUE_DEPTH_MAX,
    RATE_MESSAGES_MAX,
)
from mts1b.foundation.order import Order, OrderStatus
from mts1b.oms import sql
from mts1b.oms.encode import move_from, order_from, position_from, recent_order
from mts1b.oms.journal_rows import Batch, batch_of
from mts1b.oms.lease import Lease
from mts1b.oms.ports import DuplicateContent, DuplicateOrder, Entry, JournalState, OutboxMessage
from mts1b.platform.db import Conflict, Connection, Pool, transaction, translated
from mts1b.riskengine.verdict import Mode, Standing

Waiting = tuple[tuple[Entry, ...], "asyncio.Future[None]"]

KEY_HELD = "order_keys_window"
CONTENT_HELD = "order_contents_window"
SEQUENCE_TAKEN = "audit_chain_pkey"


class _Next:
    """The rows of the next batch, made as its steps arrive; behind another head than it began with, they are none."""

    def __init__(self, first: Head) -> None:
        self.batch = Batch(first, first)
        self.holds = True
        self._taken = 0

    def prepare(self, entries: tuple[Entry, ...]) -> None:
        if self._taken >= JOURNAL_BATCH_MAX or not self.holds:
            return
        self._taken += 1
        try:
            self.batch.take(entries)
        except Exception:  # noqa: BLE001 the writer makes them anew, meets it again, and tells every waiter
            self.holds = False


class Journal:
    """A JournalPort. Holds one connection of the pool for writing and the fund's lease."""

    def __init__(self, pool: Pool, fund_id: FundId, clock: Clock | None = None) -> None:
        self._pool, self._fund_id = pool, fund_id
        self._lease = Lease(fund_id, clock or SystemClock())
        self._connection: Connection | None = None
        self._busy = asyncio.Lock()  # one statement at a time on the connection
        self._head = GENESIS
        self._waiting: deque[Waiting] = deque()
        self._next = _Next(GENESIS)
        self._writer: asyncio.Task[None] | None = None
        self._renewer: asyncio.Task[None] | None = None
        self._failure: MtsError | None = None

    async def open(self) -> None:
        """Take the lease. LeaseLost: another's has not run out."""
        await self._stop()
        with translated("journal"):
            connection = await self._pool.acquire()
            try:
                await self._become_writer(connection)
            except BaseException:
                connection.terminate()
                await self._pool.release(connection)
                raise
        self._renewer = asyncio.create_task(self._renew())

    async def _become_writer(self, connection: Connection) -> None:
        await self._lease.take(connection)
        await connection.fetch(sql.BECOME_WRITER, self._fund_id)
        record = await connection.fetchrow(sql.HEAD)
        self._head = GENESIS if record is None else Head(record["sequence"], record["hash"])
        self._connection, self._failure, self._next = connection, None, _Next(self._head)

    def lease_left_ns(self) -> int:
        return 0 if self._failure is not None else self._lease.left_ns()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(LEASE_RENEW_S)
            try:
                async with self._busy:
                    if self._connection is None or self._failure is not None:
                        return
                    with translated("journal"):
                        await self._lease.renew(self._connection)
            except MtsError as error:
                self._fail([], error)
                return

    async def load(self, keys_after_ns: int) -> JournalState:
        """Everything a start needs, as of one moment."""
        async with transaction(self._pool) as connection:
            fund = await connection.fetchrow(sql.FUND, self._fund_id)
            if fund is None:
                return JournalState()
            orders = await connection.fetch(sql.OPEN_ORDERS, self._fund_id)
            grouped = await connection.fetch(sql.OPEN_GROUPS, self._fund_id)
            positions = await connection.fetch(sql.POSITIONS, self._fund_id)
            keys = await connection.fetch(sql.KEYS, self._fund_id, keys_after_ns, DEDUP_KEYS_IN_MEMORY_MAX)
            marks = await connection.fetch(sql.MARKS, self._fund_id)
            recent = await connection.fetch(sql.RECENT, self._fund_id, keys_after_ns, RATE_MESSAGES_MAX)
            nav = await connection.fetchrow(sql.NAV, self._fund_id, NS_PER_DAY)
        return JournalState(
            cash=fund["cash"],
            report_sequence=fund["report_sequence"],
            standing=Standing(Mode(fund["mode"]), Mode(fund["manual_mode"]), frozenset(fund["throttled"])),
            open_orders=tuple(order_from(dict(record)) for record in orders),
            grouped=tuple(order_from(dict(record)) for record in grouped),
            positions=tuple(position_from(dict(record)) for record in positions),
            keys=tuple((IdempotencyKey(key), OrderId(order), at) for key, order, at in keys),
            marks=tuple((Symbol(mark["symbol"]), mark["price"]) for mark in marks),
            quoted=tuple((Symbol(mark["symbol"]), mark["timestamp"], mark["received_at"]) for mark in marks),
            recent=tuple(recent_order(dict(record)) for record in recent),
            **({} if nav is None else dict(nav)),
        )

    def append(self, *entries: Entry) -> Awaitable[None]:
        """Queue steps; see JournalPort."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._connection is None or self._failure is not None:
            done.set_exception(self._failure or StackError("journal", self._fund_id, "is not open", "call open()"))
        elif len(self._waiting) >= QUEUE_DEPTH_MAX:
            done.set_exception(StackError("journal", len(self._waiting), "steps wait already", "is Postgres stuck?"))
        else:
            self._waiting.append((entries, done))
            self._next.prepare(entries)
            if self._writer is None or self._writer.done():
                self._writer = asyncio.create_task(self._write_all())
        return done

    async def order(self, order_id: OrderId) -> Order | None:
        return await self._one(sql.ORDER, order_id)

    async def order_by_client_id(self, client_order_id: ClientOrderId) -> Order | None:
        return await self._one(sql.ORDER_BY_CLIENT_ID, client_order_id)

    async def order_by_key(self, key: IdempotencyKey) -> Order | None:
        return await self._one(sql.ORDER_BY_KEY, key)

    async def cash_move(self, move_id: str) -> CashMoved | None:
        with translated("journal"):
            record = await self._pool.fetchrow(sql.CASH_MOVE, self._fund_id, move_id)
        return None if record is None else move_from(dict(record))

    async def order_counts(self) -> dict[OrderStatus, int]:
        with translated("journal"):
            rows = await self._pool.fetch(sql.ORDER_COUNTS, self._fund_id)
        return {OrderStatus(status): count for status, count in rows}

    async def unpublished(self, limit: int) -> Sequence[tuple[int, OutboxMessage]]:
        with translated("journal"):
            rows = await self._pool.fetch(sql.UNPUBLISHED, self._fund_id, limit)
        return [(row["id"], OutboxMessage(row["subject"], row["message_id"], row["payload"])) for row in rows]

    async def mark_published(self, ids: Sequence[int], ts_ns: int) -> None:
        with translated("journal"):
            done = await self._pool.execute(sql.PUBLISHED, list(ids), ts_ns, self._fund_id, self._lease.epoch)
        if ids and done == "UPDATE 0":
            raise LeaseLost("fund_id", self._fund_id, "another OMS has taken over", "it publishes what is left")

    async def close(self) -> None:
        """Commit what waits and give the lease back."""
        await self._stop()
        await self._lease.give_back(self._pool)

    async def _stop(self) -> None:
        """Commit what waits and let go of the connection. The lease stays ours."""
        if self._writer is not None:
            await asyncio.gather(self._writer, return_exceptions=True)
        renewer, self._renewer = self._renewer, None
        if renewer is not None:
            renewer.cancel()
            await asyncio.wait([renewer])
        connection, self._connection = self._connection, None
        if connection is not None:
            if self._failure is not None:
                with suppress(StackError), translated("journal"):  # a lost one is back in the pool already
                    connection.terminate()  # nobody knows what state it is in
            await self._pool.release(connection)

    async def _one(self, statement: str, value: str) -> Order | None:
        with translated("journal"):
            record = await self._pool.fetchrow(statement, value)
        return None if record is None else order_from(dict(record))

    async def _read_head(self) -> None:
        assert self._connection is not None
        record = await self._connection.fetchrow(sql.HEAD)
        self._head = GENESIS if record is None else Head(record["sequence"], record["hash"])

    async def _write_all(self) -> None:
        """Commit batch after batch until nothing waits."""
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), JOURNAL_BATCH_MAX))]
            try:
                await self._write(batch, self._ready(batch))
            except MtsError as error:
                self._fail(batch, error)
            except Exception as error:  # whatever it was, memory and disk have parted: every waiter must hear of it
                self._fail(batch, InvariantBroken("journal", type(error).__name__, str(error), "run recover()"))
                raise

    def _ready(self, waiting: list[Waiting]) -> Batch:
        """The rows of these, which wait no more. What still waits is made ready behind them."""
        ready = self._next
        made = (
            ready.batch if ready.holds and ready.batch.first == self._head else batch_of(_entries(waiting), self._head)
        )
        self._next = _Next(made.head)
        for entries, _ in islice(self._waiting, JOURNAL_BATCH_MAX):
            self._next.prepare(entries)
        return made

    def _fail(self, batch: list[Waiting], error: MtsError) -> None:
        self._failure = error
        for _, done in (*batch, *self._waiting):
            if not done.done():
                done.set_exception(error)
        self._waiting.clear()

    async def _write(self, waiting: list[Waiting], batch: Batch) -> None:
        """Commit these together; when one of them is barred, each alone, so that the others go through."""
        try:
            await self._commit(_entries(waiting), batch)
        except DuplicateOrder as error:
            if len(waiting) > 1:
                for item in waiting:
                    await self._write([item], batch_of(item[0], self._head))
            elif not waiting[0][1].done():
                waiting[0][1].set_exception(error)
            return
        for _, done in waiting:
            if not done.done():
                done.set_result(None)

    async def _commit(self, entries: list[Entry], batch: Batch) -> None:
        for _ in range(CHAIN_ATTEMPTS_MAX):
            try:
                async with self._busy:
                    with translated("journal"):
                        await self._run(batch, entries)
            except Conflict as error:
                if error.value == KEY_HELD:
                    raise DuplicateOrder("idempotency_key", error.value, "an order of this key exists") from None
                if error.value == CONTENT_HELD:
                    raise DuplicateContent("content", error.value, "an order like it was taken just now") from None
                if error.value != SEQUENCE_TAKEN:
                    raise
                async with self._busy:  # the lease may be renewed at this moment
                    await self._read_head()
                batch = batch_of(entries, self._head)
                continue
            self._head = batch.head
            return
        raise StackError("audit_chain", self._head.sequence, "other writers were faster every time", "try again")

    async def _run(self, batch: Batch, entries: list[Entry]) -> None:
        connection = self._connection
        assert connection is not None
        opening = next((entry for entry in entries if entry.opening_cash is not None), None)
        if opening is None:
            return await self._write_rows(connection, batch)
        async with connection.transaction():
            await connection.execute(sql.OPEN_FUND, opening.fund_id, opening.opening_cash, opening.ts_ns)
            await self._write_rows(connection, batch)

    async def _write_rows(self, connection: Connection, batch: Batch) -> None:
        """One statement; alone, it is its own transaction."""
        rows = batch.rows()
        given = (*batch.link_columns(), *(json.dumps(table) for table in rows.values()))
        await connection.fetchrow(sql.write(tuple(rows)), self._fund_id, self._lease.epoch, *given)


def _entries(waiting: list[Waiting]) -> list[Entry]:
    return [entry for entries, _ in waiting for entry in entries]

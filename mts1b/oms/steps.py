"""Steps of one fund: decided on memory, queued to the journal in the same breath, told to risk once durable.

Memory runs ahead of the journal by what is in flight. When the journal fails, memory is worthless: nothing more is
taken until it has been read again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Sequence
from decimal import Decimal
from typing import TypeVar

from mts1b.foundation.clock import Clock
from mts1b.foundation.errors import MtsError, StackError
from mts1b.foundation.events import CashMoved, OrderFilled, OrderReceived, OrderWorking
from mts1b.foundation.ids import FundId, OrderId
from mts1b.foundation.order import Order
from mts1b.oms.book import Book
from mts1b.oms.encode import fill_message
from mts1b.oms.machine import step
from mts1b.oms.messages import Message
from mts1b.oms.order_table import OrderTable
from mts1b.oms.outbox import Outbox
from mts1b.oms.ports import DuplicateOrder, Entry, JournalPort, JournalState, Note, Recorder, RiskPort
from mts1b.oms.transitions import Step

STEP_JOURNAL = "oms_journal"

T = TypeVar("T")


class Steps:
    """The fund's orders and book in memory, and the one way to change them."""

    def __init__(
        self, fund_id: FundId, journal: JournalPort, risk: RiskPort, outbox: Outbox, clock: Clock, recorder: Recorder
    ) -> None:
        self.fund_id, self.journal, self.risk = fund_id, journal, risk
        self._outbox, self._clock, self._recorder = outbox, clock, recorder
        self.table = OrderTable()
        self.book = Book(fund_id, Decimal(0), {})
        self.report_sequence = 0
        self._journalled_sequence = 0
        self.counts: Counter[str] = Counter()
        self.ready = False
        """Whether memory may be stepped: it is the journal's view."""
        self.accepting = False
        """Whether commands are taken: the venue was asked about every order it may hold."""
        self._writing: Counter[OrderId] = Counter()
        self._snapshots = 0
        self._generation = 0
        self._failed = asyncio.Event()

    def stop(self) -> None:
        """Take nothing more until `load`."""
        self.ready = self.accepting = False

    def fail(self) -> None:
        """Memory is worthless: stop, and wake who waits for that in `failed`."""
        self.stop()
        self._failed.set()

    async def failed(self) -> None:
        """Returns once memory is worthless and has to be read again."""
        await self._failed.wait()

    async def held(self, waiting: Awaitable[T]) -> T:
        """Wait in the middle of something. StackError when memory was read again meanwhile: what went before is stale.

        Whoever asked for it asks again, under the same key.
        """
        generation = self._generation
        try:
            result = await waiting
        except Exception:
            self._require_generation(generation)
            raise
        self._require_generation(generation)
        return result

    def _require_generation(self, generation: int) -> None:
        if generation != self._generation:
            raise StackError("oms", self.fund_id, "has recovered meanwhile", "ask again")

    def load(self, state: JournalState, opening_cash: Decimal) -> None:
        """Forget everything and take the journal's view; everything under way on the old view ends with StackError."""
        self._generation += 1
        self._failed.clear()
        self._writing = Counter()
        self.table = OrderTable()
        for key, order_id, created_ns in state.keys:
            self.table.remember_key(key, order_id, created_ns)
        for order in (*state.grouped, *state.open_orders):
            self.table.put(order)
        cash = opening_cash if state.cash is None else state.cash
        self.book = Book(self.fund_id, cash, {position.symbol: position for position in state.positions})
        self.report_sequence = self._journalled_sequence = state.report_sequence

    def snapshot_taken(self) -> None:
        """Risk is about to be given all of memory: it must not also be told of steps that are in memory already."""
        self._snapshots += 1

    def require_ready(self) -> None:
        if not self.ready:
            raise StackError("oms", self.fund_id, "is not ready", "wait until recover() has returned")

    def require_accepting(self) -> None:
        if not (self.ready and self.accepting):
            raise StackError("oms", self.fund_id, "is not ready", "wait until recover() has returned")

    def latest(self, order: Order) -> Order:
        """The newest value of an order."""
        return self.table.get(order.order_id) or order

    async def apply(self, order: Order, message: Message) -> Step:
        """One step on an order, durable when this returns."""
        taken = self.decide(self.latest(order), message)
        await self.commit(taken)
        return taken

    def decide(self, order: Order | None, message: Message) -> Step:
        """One step on memory: from here on the order is what the step says. `commit` it before anything else."""
        self.require_ready()
        try:
            taken = step(order, message, self._clock.now_ns())
        except MtsError:
            self.fail()  # memory and venue contradict each other: read the journal again
            raise
        if taken.events and taken.is_kept:
            self.table.put(taken.order)
            for event in taken.events:
                if isinstance(event, OrderFilled):
                    self.book = self.book.filled(event.fill)
                    self.counts["fills"] += 1
        return taken

    def commit(self, taken: Step, is_new: bool = False, content: tuple[str, int] | None = None) -> Awaitable[None]:
        """Queue the step at once, behind those before it. Await the result: durable, and risk told."""
        if not taken.events:
            return _nothing()
        return self._told(self.append(self._entry(taken, is_new, content)), [taken], self._snapshots, self._writing)

    def commit_new(self, taken: Sequence[Step], content: tuple[str, int] | None = None) -> Awaitable[None]:
        """Queue the steps that made a group of orders; they become durable together. The first has the content."""
        entries = [self._entry(step, True, None if at else content) for at, step in enumerate(taken)]
        return self._told(self.append(*entries), taken, self._snapshots, self._writing)

    def is_writing(self, order: Order) -> bool:
        """Whether a step of the order is on its way to the journal: whoever took it does what follows from it."""
        return self._writing[order.order_id] > 0

    def _entry(self, taken: Step, is_new: bool, content: tuple[str, int] | None) -> Entry:
        self._writing[taken.order.order_id] += 1
        fills = [event for event in taken.events if isinstance(event, OrderFilled)]
        moved = self.report_sequence != self._journalled_sequence
        self._journalled_sequence = self.report_sequence
        return Entry(
            self.fund_id,
            taken.order.updated_ns,
            order=taken.order if taken.is_kept else None,
            is_new=is_new,
            events=taken.events,
            position=self.book.position(taken.order.symbol) if fills else None,
            cash=self.book.cash if fills else None,
            report_sequence=self.report_sequence if moved else None,
            outbox=tuple(fill_message(event) for event in fills),
            content=content,
        )

    async def adopt(self, order: Order, note: Note) -> None:
        """Take up an order that is at the venue: on record, and told to risk, when this returns."""
        assert order.venue_order_id is not None
        self.table.put(order)
        now_ns = order.updated_ns
        events = (OrderReceived(order, now_ns), OrderWorking(order.order_id, order.venue_order_id, now_ns))
        snapshots = self._snapshots
        await self.append(Entry(self.fund_id, now_ns, order=order, is_new=True, events=events, notes=(note,)))
        self.counts["adopted"] += 1
        if snapshots == self._snapshots:
            self.risk.tell(events)

    async def move(self, move: CashMoved) -> None:
        """Money came or went: in the book at once, durable and told to risk when this returns."""
        self.require_ready()
        self.book = self.book.moved(move)
        entry = Entry(self.fund_id, self._clock.now_ns(), cash=self.book.cash, move=move)
        snapshots = self._snapshots
        await self.append(entry)
        if snapshots == self._snapshots:
            self.risk.tell((move,))

    def append(self, *entries: Entry) -> Awaitable[None]:
        """Queue entries at once. Await the result: durable, all or none."""
        return self._durable(self.journal.append(*entries), self._clock.monotonic_ns(), self._generation)

    async def _durable(self, committed: Awaitable[None], began_ns: int, generation: int) -> None:
        try:
            await committed
        except DuplicateOrder:
            raise
        except MtsError:
            if generation == self._generation:
                self.fail()
            raise
        self._require_generation(generation)
        self._recorder.record(STEP_JOURNAL, self._clock.monotonic_ns() - began_ns)

    async def _told(
        self, durable: Awaitable[None], steps: Sequence[Step], snapshots: int, writing: Counter[OrderId]
    ) -> None:
        try:
            await durable
        except DuplicateOrder:
            for taken in steps:
                self.table.remove(taken.order)
            raise
        finally:
            writing.subtract(taken.order.order_id for taken in steps)
        for taken in steps:
            if taken.is_kept and snapshots == self._snapshots:
                self.risk.tell(taken.events)
            if any(isinstance(event, OrderFilled) for event in taken.events):
                self._outbox.wake()


async def _nothing() -> None:
    return

"""The journal in memory: the rows of the real one in dictionaries, durable for as long as its store is kept."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from mts1b.audit.chain import GENESIS, Head, Link
from mts1b.foundation.clock import NS_PER_DAY, NS_PER_S, Clock
from mts1b.foundation.errors import InvariantBroken, LeaseLost, MtsError, StackError
from mts1b.foundation.events import CashMoved, NavMarked
from mts1b.foundation.fill import Fill
from mts1b.foundation.ids import ClientOrderId, FillId, FundId, IdempotencyKey, OrderId, Symbol
from mts1b.foundation.limits import DEDUP_WINDOW_S, LEASE_MARGIN_S, LEASE_RENEW_S, LEASE_S
from mts1b.foundation.order import Order, OrderStatus
from mts1b.foundation.position import Position
from mts1b.oms.journal_rows import links_of
from mts1b.oms.ports import DuplicateContent, DuplicateOrder, Entry, JournalState, OutboxMessage
from mts1b.riskengine.activity import RecentOrder


@dataclass(slots=True)
class MemoryLease:
    """A row of `writer_leases`. `expires_ns` None: given back."""

    epoch: int
    holder: object
    expires_ns: int | None


class MemoryStore:
    """What would be on disk: it outlives the journals that write to it. `fail_next` makes the next commit fail."""

    def __init__(self) -> None:
        self.head: Head = GENESIS
        self.links: list[Link] = []
        self.orders: dict[OrderId, Order] = {}
        self.fills: dict[FillId, Fill] = {}
        self.positions: dict[tuple[FundId, Symbol], Position] = {}
        self.state: dict[FundId, JournalState] = {}
        self.rearmed: dict[FundId, tuple[Decimal, int]] = {}
        self.rearmed_on: dict[FundId, int] = {}
        self.marks: dict[tuple[FundId, Symbol], Decimal] = {}
        self.quoted: dict[tuple[FundId, Symbol], tuple[int, int]] = {}
        self.navs: dict[tuple[FundId, int], NavMarked] = {}
        self.moves: dict[tuple[FundId, str], CashMoved] = {}
        self.outbox: dict[int, tuple[FundId, OutboxMessage]] = {}
        self.messages = 0
        self.keys: dict[IdempotencyKey, tuple[OrderId, int]] = {}
        self.contents: dict[str, int] = {}
        self.leases: dict[FundId, MemoryLease] = {}
        self.commits = 0
        self.fail_next = False


class MemoryJournal:
    """A JournalPort over a MemoryStore. Commits happen one loop turn after `append`, in its order.

    With a clock its lease runs out unless it is renewed; without one only `close` and `crash` end it.
    """

    def __init__(self, store: MemoryStore, fund_id: FundId, clock: Clock | None = None) -> None:
        self.store, self._fund_id, self._clock = store, fund_id, clock
        self.epoch, self._until_ns = 0, 0
        self._failure: MtsError | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._renewer: asyncio.Task[None] | None = None
        self._order = asyncio.Lock()

    def crash(self) -> None:
        """Be gone as a killed process is, its lease run out; what was not committed is lost."""
        for task in self._tasks:
            task.cancel()
        self._give_back()
        self._failure = StackError("journal", self._fund_id, "crashed", "open it again")

    async def open(self) -> None:
        await self._ended()  # what was queued before belongs to the epoch before
        held = self.store.leases.get(self._fund_id)
        if held is not None and held.holder is not self and not self._has_run_out(held):
            raise LeaseLost("fund_id", self._fund_id, "another OMS writes this fund", "stop it first")
        self.epoch = 1 if held is None else held.epoch + 1
        self.store.leases[self._fund_id] = MemoryLease(self.epoch, self, self._expiry())
        self._failure = None
        if self._clock is not None and self._renewer is None:
            self._renewer = asyncio.create_task(self._renew())

    def lease_left_ns(self) -> int:
        if self._failure is not None:
            return 0
        if self._clock is None:
            return int(LEASE_S * NS_PER_S)
        return max(0, self._until_ns - self._clock.monotonic_ns())

    def holds_lease(self) -> bool:
        """Whether this epoch is still the fund's."""
        held = self.store.leases.get(self._fund_id)
        return held is not None and held.holder is self and held.epoch == self.epoch and held.expires_ns is not None

    @property
    def is_writing(self) -> bool:
        """Whether commits are under way."""
        return bool(self._tasks)

    def _has_run_out(self, held: MemoryLease) -> bool:
        if held.expires_ns is None:
            return True
        return self._clock is not None and held.expires_ns <= self._clock.now_ns()

    def _expiry(self) -> int:
        if self._clock is None:
            return 0
        self._until_ns = self._clock.monotonic_ns() + int((LEASE_S - LEASE_MARGIN_S) * NS_PER_S)
        return self._clock.now_ns() + int(LEASE_S * NS_PER_S)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(LEASE_RENEW_S)
            if self._failure is None and self.holds_lease():
                self.store.leases[self._fund_id].expires_ns = self._expiry()
            elif self._failure is None:
                self._failure = LeaseLost("fund_id", self._fund_id, "another OMS has taken over", "stop")

    def _give_back(self) -> None:
        if self.holds_lease():
            self.store.leases[self._fund_id].expires_ns = None

    async def load(self, keys_after_ns: int) -> JournalState:
        state = self.store.state.get(self._fund_id)
        if state is None:
            return JournalState()
        mine = [order for order in self.store.orders.values() if order.fund_id == self._fund_id]
        keys = [(o.idempotency_key, o.order_id, o.created_ns) for o in mine if o.created_ns > keys_after_ns]
        marks = sorted((ts, mark.nav) for (fund, ts), mark in self.store.navs.items() if fund == self._fund_id)
        return JournalState(
            cash=state.cash,
            report_sequence=state.report_sequence,
            open_orders=tuple(order for order in mine if not order.status.is_terminal),
            grouped=_grouped(mine),
            positions=tuple(held for (fund, _), held in self.store.positions.items() if fund == self._fund_id),
            keys=tuple(keys),
            marks=tuple(
                sorted((name, price) for (fund, name), price in self.store.marks.items() if fund == self._fund_id)
            ),
            last_nav=marks[-1][1] if marks else None,
            marked_ns=marks[-1][0] if marks else 0,
            peak_nav=_peak(marks, self.store.rearmed.get(self._fund_id)),
            day_start_nav=_day_start(marks, self.store.rearmed.get(self._fund_id)),
            standing=state.standing,
            quoted=tuple(
                (name, *times) for (fund, name), times in sorted(self.store.quoted.items()) if fund == self._fund_id
            ),
            recent=tuple(
                self._recent(order)
                for order in mine
                if order.created_ns > keys_after_ns and order.status is not OrderStatus.DENIED
            ),
        )

    def _recent(self, order: Order) -> RecentOrder:
        traded = order.filled_quantity > 0 and order.updated_ns > self.store.rearmed_on.get(self._fund_id, 0)
        repeat = (order.strategy_id, order.symbol, order.side)
        return RecentOrder(repeat, order.created_ns, order.updated_ns if traded else None)

    def append(self, *entries: Entry) -> Awaitable[None]:
        task = asyncio.create_task(self._commit(entries))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def order(self, order_id: OrderId) -> Order | None:
        return self.store.orders.get(order_id)

    async def order_by_client_id(self, client_order_id: ClientOrderId) -> Order | None:
        return next((o for o in self.store.orders.values() if o.client_order_id == client_order_id), None)

    async def order_by_key(self, key: IdempotencyKey) -> Order | None:
        found = [order for order in self.store.orders.values() if order.idempotency_key == key]
        return max(found, key=lambda order: order.created_ns, default=None)

    async def cash_move(self, move_id: str) -> CashMoved | None:
        return self.store.moves.get((self._fund_id, move_id))

    async def order_counts(self) -> dict[OrderStatus, int]:
        return dict(Counter(order.status for order in self.store.orders.values() if order.fund_id == self._fund_id))

    async def unpublished(self, limit: int) -> Sequence[tuple[int, OutboxMessage]]:
        mine = [(row, message) for row, (fund, message) in self.store.outbox.items() if fund == self._fund_id]
        return mine[:limit]

    async def mark_published(self, ids: Sequence[int], ts_ns: int) -> None:
        if ids and not self.holds_lease():
            raise LeaseLost("fund_id", self._fund_id, "another OMS has taken over", "it publishes what is left")
        for row in ids:
            self.store.outbox.pop(row, None)

    async def _ended(self) -> None:
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close(self) -> None:
        await self._ended()
        if self._renewer is not None:
            self._renewer.cancel()
            await asyncio.wait([self._renewer])
            self._renewer = None
        self._give_back()
        self._failure = StackError("journal", self._fund_id, "is not open", "call open()")

    async def _commit(self, entries: Sequence[Entry]) -> None:
        async with self._order:  # the lock serves in the order of `append`
            await asyncio.sleep(0)
            self._commit_now(entries)

    def _commit_now(self, entries: Sequence[Entry]) -> None:
        if self._failure is not None:
            raise self._failure
        if not self.holds_lease():
            self._failure = LeaseLost("fund_id", self._fund_id, "another OMS has taken over", "stop")
            raise self._failure
        if self.store.fail_next:
            self.store.fail_next = False
            self._failure = StackError("journal", self._fund_id, "the commit failed", "recover")
            raise self._failure
        self._require_free(entries)
        for entry in entries:
            self._claim(entry)
            self._write(entry)

    def _require_free(self, entries: Sequence[Entry]) -> None:
        """All keys and contents of these entries, before any of them is claimed: they come whole or not at all."""
        for entry in entries:
            if not (entry.is_new and entry.order is not None):
                continue
            key, now_ns = entry.order.idempotency_key, entry.order.created_ns
            held = self.store.keys.get(key)
            if held is not None and held[1] > now_ns:
                raise DuplicateOrder("idempotency_key", key, "an order of this key exists")
            if entry.content is not None and self.store.contents.get(entry.content[0], now_ns) > now_ns:
                raise DuplicateContent("content", entry.content[0], "an order like it was taken just now")

    def _claim(self, entry: Entry) -> None:
        if entry.is_new and entry.order is not None:
            until_ns = entry.order.created_ns + DEDUP_WINDOW_S * NS_PER_S
            self.store.keys[entry.order.idempotency_key] = (entry.order.order_id, until_ns)
            if entry.content is not None:
                self.store.contents[entry.content[0]] = entry.content[1]

    def _write(self, entry: Entry) -> None:
        store = self.store
        links = links_of(entry, store.head)
        store.head = links[-1].head if links else store.head
        store.links += links
        store.commits += 1
        if entry.order is not None:
            if not entry.is_new and entry.order.order_id not in store.orders:
                raise InvariantBroken("journal", entry.order.order_id, "changed an order that it does not hold")
            store.orders[entry.order.order_id] = entry.order
        for event in entry.events:
            fill = getattr(event, "fill", None)
            if fill is not None:
                if fill.fill_id in store.fills:
                    raise InvariantBroken("journal", fill.fill_id, "is there already")
                store.fills[fill.fill_id] = fill
        if entry.position is not None:
            store.positions[(entry.fund_id, entry.position.symbol)] = entry.position
        if entry.nav is not None:
            store.navs[(entry.fund_id, entry.nav.ts_ns)] = entry.nav
            store.marks |= {(entry.fund_id, symbol): price for symbol, price in entry.marks}
            times = (entry.nav.ts_ns, entry.ts_ns)
            store.quoted |= {(entry.fund_id, symbol): times for symbol, _ in entry.marks}
        if entry.move is not None:
            store.moves[(entry.fund_id, entry.move.move_id)] = entry.move
        for message in entry.outbox:
            store.messages += 1
            store.outbox[store.messages] = (entry.fund_id, message)
        old = store.state.get(entry.fund_id, JournalState())
        store.state[entry.fund_id] = JournalState(
            cash=old.cash if entry.cash is None else entry.cash,
            report_sequence=max(old.report_sequence, entry.report_sequence or 0),
            standing=entry.standing or old.standing,
        )
        if entry.rearmed is not None:
            store.rearmed[entry.fund_id] = entry.rearmed
            store.rearmed_on[entry.fund_id] = entry.ts_ns


def _grouped(orders: Sequence[Order]) -> tuple[Order, ...]:
    """Of groups with an open order, those members that have ended."""
    groups = {order.group.group_id for order in orders if order.group and not order.status.is_terminal}
    return tuple(o for o in orders if o.group and o.group.group_id in groups and o.status.is_terminal)


def _peak(marks: list[tuple[int, Decimal]], rearmed: tuple[Decimal, int] | None) -> Decimal | None:
    if rearmed is None:
        return max((nav for _, nav in marks), default=None)
    return max([rearmed[0], *(nav for ts, nav in marks if ts > rearmed[1])])


def _day_start(marks: list[tuple[int, Decimal]], rearmed: tuple[Decimal, int] | None) -> Decimal | None:
    if not marks:
        return None
    today = marks[-1][0] // NS_PER_DAY
    if rearmed is not None and rearmed[1] // NS_PER_DAY == today:
        return rearmed[0]
    return next((nav for ts, nav in reversed(marks) if ts // NS_PER_DAY < today), marks[0][1])

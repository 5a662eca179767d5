"""What the OMS needs from outside, as protocols. The venue's is `mts1b.brokers.port.Broker`."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from mts1b.foundation.commands import CancelOrder, SubmitOrder
from mts1b.foundation.errors import DataError
from mts1b.foundation.events import CashMoved, FundEvent, NavMarked, OrderEvent
from mts1b.foundation.ids import ClientOrderId, FundId, IdempotencyKey, OrderId, Symbol
from mts1b.foundation.order import Order, OrderStatus
from mts1b.foundation.position import Position
from mts1b.riskengine.activity import RecentOrder
from mts1b.riskengine.master import Reference
from mts1b.riskengine.snapshot import RiskSnapshot
from mts1b.riskengine.verdict import Decision, Mode, Standing


class RiskPort(Protocol):
    """The fund's risk engine. `tell` and `release` do not wait, and arrive in the order they were called."""

    async def check(self, command: SubmitOrder | CancelOrder) -> Decision:
        """Decide; an accepted order counts as working at once."""
        ...

    async def check_replace(self, order: Order) -> Decision:
        """Decide about the terms in `order.wanted`; what they add counts as working at once, until `release` of
        `mts1b.riskengine.replacing.replace_key`."""
        ...

    def tell(self, events: Sequence[OrderEvent | FundEvent]) -> None:
        """Pass on journalled events."""
        ...

    def release(self, key: IdempotencyKey) -> None:
        """The order accepted under this key did not come to be."""
        ...

    async def halt(self, mode: Mode) -> Standing:
        """A person's word: HALTED lets only cancels pass, REDUCING only what brings positions nearer to zero."""
        ...

    async def resume(self) -> Standing:
        """Take that word back; what the drawdown latched stays."""
        ...

    async def rearm(self) -> Standing:
        """Trade again, whatever held the fund; drawdown counts from NAV now."""
        ...

    async def refer(self, reference: Reference) -> None:
        """Go by these limits and master data from now on."""
        ...

    async def restore(self, snapshot: RiskSnapshot) -> None:
        """Start from the journal's view."""
        ...


class BusPort(Protocol):
    """The event bus. A message id makes a repeat harmless."""

    async def publish(self, subject: str, payload: bytes, message_id: str) -> None:
        """Returns once the bus has it safe. StackError when it does not answer."""
        ...


class Recorder(Protocol):
    """Takes the duration of one step of the hot path."""

    def record(self, step: str, ns: int) -> None: ...


class NoRecorder:
    """Records nothing."""

    def record(self, step: str, ns: int) -> None:
        return


class DuplicateOrder(DataError):
    """The journal holds an order of this key already, from another writer: read that one."""


class DuplicateContent(DuplicateOrder):
    """The journal holds an order with another key and the same content, taken within its window."""


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """One message for the bus, in the journal until the bus has it."""

    subject: str
    message_id: str
    payload: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something about an order or a fund that goes on record: `content` as plain values."""

    subject_id: str
    kind: str
    content: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Entry:
    """One step to make durable whole or not at all: events, what they change, what they say to the world.

    `order` is the order afterwards, `is_new` when the step made it. `position`, `cash` and `report_sequence` are the
    new values where they changed. `marks` are the prices `nav` was valued at, those that are new. `opening_cash` opens
    the fund. `standing`: what holds it back from now on, said `by` whom and `why`. `rearmed`: NAV that drawdown counts
    from again, and the time of the last mark before. `notes` go on record in the audit chain and nowhere else.
    `content`: what a new order bars from being taken again under another key, and until when (UTC nanoseconds).
    `move`: money that came or went without a trade.
    """

    fund_id: FundId
    ts_ns: int
    order: Order | None = None
    is_new: bool = False
    events: tuple[OrderEvent, ...] = ()
    position: Position | None = None
    cash: Decimal | None = None
    report_sequence: int | None = None
    outbox: tuple[OutboxMessage, ...] = ()
    nav: NavMarked | None = None
    marks: tuple[tuple[Symbol, Decimal], ...] = ()
    opening_cash: Decimal | None = None
    standing: Standing | None = None
    rearmed: tuple[Decimal, int] | None = None
    by: str = ""
    why: str = ""
    notes: tuple[Note, ...] = ()
    content: tuple[str, int] | None = None
    move: CashMoved | None = None


@dataclass(frozen=True, slots=True)
class JournalState:
    """What a start needs: the fund (`cash` None: never opened), its open orders, its recent keys, its NAV history.

    `marks`: the last price of each name, as of `marked_ns` or before; `quoted`: when the market made it and when it
    came. `recent`: the orders of the last day that risk let through. `grouped`: orders that have ended, of groups that
    still have an open one.
    """

    cash: Decimal | None = None
    report_sequence: int = 0
    open_orders: tuple[Order, ...] = ()
    grouped: tuple[Order, ...] = ()
    positions: tuple[Position, ...] = ()
    keys: tuple[tuple[IdempotencyKey, OrderId, int], ...] = ()
    marks: tuple[tuple[Symbol, Decimal], ...] = ()
    last_nav: Decimal | None = None
    marked_ns: int = 0
    peak_nav: Decimal | None = None
    day_start_nav: Decimal | None = None
    standing: Standing = Standing()
    quoted: tuple[tuple[Symbol, int, int], ...] = ()
    recent: tuple[RecentOrder, ...] = ()


class JournalPort(Protocol):
    """Where the OMS writes before it acts."""

    async def open(self) -> None:
        """Become the fund's one writer, under an epoch of its own. LeaseLost while another's lease has not run out.

        What was sent under an earlier epoch left before its lease ran out: nothing more will come of it.
        """
        ...

    def lease_left_ns(self) -> int:
        """How long no other writer can take over, on this process's monotonic clock; renewed while open. 0: unknown."""
        ...

    async def load(self, keys_after_ns: int) -> JournalState:
        """Read the fund; of its keys, those of orders created after `keys_after_ns`."""
        ...

    def append(self, *entries: Entry) -> Awaitable[None]:
        """Queue steps behind those before them; resolves once all of these are durable, which they become together.

        DuplicateOrder: refused, and nothing else is affected. Any other error: these and all later steps are lost to
        memory, what is durable is not known, and the journal takes no more until it is opened again. LeaseLost: another
        writer has taken over.
        """
        ...

    async def order(self, order_id: OrderId) -> Order | None: ...

    async def order_by_client_id(self, client_order_id: ClientOrderId) -> Order | None: ...

    async def order_by_key(self, key: IdempotencyKey) -> Order | None:
        """The newest order of this key."""
        ...

    async def cash_move(self, move_id: str) -> CashMoved | None:
        """What was posted to the fund under this id."""
        ...

    async def order_counts(self) -> dict[OrderStatus, int]:
        """The fund's orders by where they stand."""
        ...

    async def unpublished(self, limit: int) -> Sequence[tuple[int, OutboxMessage]]:
        """The oldest outbox rows that the bus has not confirmed, with their ids."""
        ...

    async def mark_published(self, ids: Sequence[int], ts_ns: int) -> None:
        """LeaseLost when another writer has taken over: it publishes what is not marked."""
        ...

    async def close(self) -> None:
        """Make durable what is queued and stop being the writer."""
        ...

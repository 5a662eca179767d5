"""What the gates read: positions, working orders, marks, NAV, peak, known keys. No I/O and no clock.

One owner changes it in place, by events in their order: the same events give the same state. It is not copied at each
step because a day's keys alone may be a million.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeVar, assert_never

from mts1b.foundation.clock import NS_PER_DAY, NS_PER_S
from mts1b.foundation.commands import SubmitOrder
from mts1b.foundation.events import (
    CancelRequested,
    NavMarked,
    OrderAccepted,
    OrderCancelled,
    OrderDenied,
    OrderEvent,
    OrderExpired,
    OrderFilled,
    OrderHeld,
    OrderInDoubt,
    OrderNotReplaced,
    OrderReceived,
    OrderRejected,
    OrderReleased,
    OrderReplaced,
    OrderRevived,
    OrderSubmitting,
    OrderWorking,
    ReplaceRequested,
)
from mts1b.foundation.fill import Fill
from mts1b.foundation.ids import FundId, IdempotencyKey, OrderId, Symbol
from mts1b.foundation.limits import DEDUP_KEYS_IN_MEMORY_MAX
from mts1b.foundation.order import Order, Side
from mts1b.riskengine.covariance import Covariance
from mts1b.riskengine.exposure import EMPTY, ZERO, Name, Totals
from mts1b.riskengine.verdict import Mode

K = TypeVar("K", IdempotencyKey, OrderId)


@dataclass(frozen=True, slots=True)
class Borrow:
    """Shares of one name that can be borrowed, and what it costs a year as a fraction."""

    quantity: Decimal
    rate: Decimal


@dataclass(frozen=True, slots=True)
class RiskSnapshot:
    """All that a risk engine needs to start: taken from the journal by the OMS, never from a former engine's memory.

    `marks` may be empty: then gate 4 refuses until prices come. `peak_nav`, `day_start_nav`: None without history.
    """

    cash: Decimal
    positions: tuple[tuple[Symbol, Decimal], ...] = ()
    open_orders: tuple[Order, ...] = ()
    keys: tuple[tuple[IdempotencyKey, int], ...] = ()
    marks: tuple[tuple[Symbol, Decimal], ...] = ()
    marked_ns: int = 0
    last_nav: Decimal | None = None
    peak_nav: Decimal | None = None
    day_start_nav: Decimal | None = None
    mode: Mode = Mode.ACTIVE


@dataclass(frozen=True, slots=True)
class Working:
    """The open part of an order, in unsigned shares."""

    symbol: Symbol
    side: Side
    quantity: Decimal


def working(order: Order) -> Working:
    """An order's open part at worst."""
    return Working(order.symbol, order.side, order.exposed_quantity)


class RiskState:
    """Risk's view of one fund."""

    def __init__(self, fund_id: FundId) -> None:
        self.fund_id = fund_id
        self.cash = ZERO
        self.names: dict[Symbol, Name] = {}
        self.totals = Totals()
        self.unmarked: set[Symbol] = set()
        self.reserved: dict[IdempotencyKey, Working] = {}  # accepted, its events not back yet
        self.working: dict[OrderId, Working] = {}
        self.keys: dict[IdempotencyKey, int] = {}
        self.borrow: dict[Symbol, Borrow] = {}
        self.borrow_ns: int | None = None
        self.covariance: Covariance | None = None
        self.marked_ns = 0
        self.last_nav: Decimal | None = None
        self.peak_nav: Decimal | None = None
        self.day_start_nav: Decimal | None = None
        self.mode = Mode.ACTIVE

    @property
    def nav(self) -> Decimal | None:
        """Cash and the worth of the shares held at the marks. None before the first mark, or with a name unmarked."""
        return None if self.last_nav is None or self.unmarked else self.cash + self.totals.held

    @property
    def open_orders(self) -> int:
        """Orders that may still fill."""
        return len(self.reserved) + len(self.working)

    def name(self, symbol: Symbol) -> Name:
        return self.names.get(symbol, EMPTY)

    def restore(self, snapshot: RiskSnapshot) -> None:
        """Forget everything but covariance and borrow, and start from `snapshot`."""
        kept = self.covariance, self.borrow, self.borrow_ns
        self.__init__(self.fund_id)  # type: ignore[misc]
        self.covariance, self.borrow, self.borrow_ns = kept
        self.cash = snapshot.cash
        self.keys.update(sorted(snapshot.keys, key=lambda pair: pair[1]))
        self.last_nav, self.peak_nav = snapshot.last_nav, snapshot.peak_nav
        self.day_start_nav, self.marked_ns, self.mode = snapshot.day_start_nav, snapshot.marked_ns, snapshot.mode
        for symbol, price in snapshot.marks:
            self._set(symbol, replace(self.name(symbol), mark=price))
        for symbol, quantity in snapshot.positions:
            self._set(symbol, replace(self.name(symbol), held=quantity))
        for order in snapshot.open_orders:
            if order.exposed_quantity:
                self._work(self.working, order.order_id, working(order))
        self._reload_covariance()

    def reserve(self, command: SubmitOrder, now_ns: int) -> None:
        """Count an accepted order at once, before its events come back: many may be in flight."""
        self.keys[command.idempotency_key] = now_ns
        self._work(self.reserved, command.idempotency_key, Working(command.symbol, command.side, command.quantity))

    def release(self, key: IdempotencyKey) -> None:
        """Take back a reservation that never became an order."""
        self.keys.pop(key, None)
        self._work(self.reserved, key, None)

    @contextmanager
    def without(self, order_id: OrderId) -> Iterator[None]:
        """The fund as if this order were not there, for as long as another in its place is judged."""
        part = self.working.get(order_id)
        self._work(self.working, order_id, None)
        try:
            yield
        finally:
            self._work(self.working, order_id, part)

    def forget_keys(self, now_ns: int, window_s: int) -> None:
        """Drop keys older than the window, and the oldest beyond what memory may hold; they are in order of time."""
        horizon = now_ns - window_s * NS_PER_S
        while self.keys:
            key = next(iter(self.keys))
            if self.keys[key] > horizon and len(self.keys) <= DEDUP_KEYS_IN_MEMORY_MAX:
                return
            del self.keys[key]

    def apply(self, event: OrderEvent) -> None:
        """Follow one event of the order path."""
        match event:
            case OrderReceived(order=order, ts_ns=ts_ns):
                self.keys.setdefault(order.idempotency_key, ts_ns)
                self._work(self.reserved, order.idempotency_key, None)
                self._work(self.working, order.order_id, Working(order.symbol, order.side, order.quantity))
            case OrderHeld(order=order, ts_ns=ts_ns):
                self.keys.setdefault(order.idempotency_key, ts_ns)
                self._work(self.reserved, order.idempotency_key, None)
            case OrderRevived() | OrderReleased() | ReplaceRequested() | OrderReplaced() | OrderNotReplaced():
                now = working(event.order) if event.order.exposed_quantity else None
                self._work(self.working, event.order.order_id, now)
            case OrderFilled(fill=fill):
                self._fill(fill)
            case OrderDenied() | OrderCancelled() | OrderRejected() | OrderExpired():
                self._work(self.working, event.order_id, None)
            case OrderAccepted() | OrderSubmitting() | OrderWorking() | CancelRequested() | OrderInDoubt():
                return
            case _:
                assert_never(event)

    def mark(self, prices: Mapping[Symbol, Decimal], ts_ns: int) -> NavMarked:
        """Take new prices. The first mark of a UTC day makes the last NAV of the day before the day's start."""
        for symbol, price in prices.items():
            self._set(symbol, replace(self.name(symbol), mark=price))
        self._reload_covariance()
        nav = self.cash + self.totals.held
        if self.day_start_nav is None or ts_ns // NS_PER_DAY > self.marked_ns // NS_PER_DAY:
            self.day_start_nav = nav if self.last_nav is None else self.last_nav
        self.peak_nav = nav if self.peak_nav is None else max(self.peak_nav, nav)
        self.marked_ns, self.last_nav = ts_ns, nav
        return NavMarked(self.fund_id, nav, self.cash, self.totals.gross, ts_ns)

    def set_covariance(self, covariance: Covariance) -> None:
        self.covariance = covariance
        self._reload_covariance()

    def set_borrow(self, borrow: Iterable[tuple[Symbol, Borrow]], ts_ns: int) -> None:
        self.borrow, self.borrow_ns = dict(borrow), ts_ns

    def _fill(self, fill: Fill) -> None:
        self.cash += fill.cash_change
        name = self.name(fill.symbol)
        self._set(fill.symbol, replace(name, held=name.held + fill.side.sign * fill.quantity))
        open_part = self.working.get(fill.order_id)
        if open_part is not None:  # else a late fill of an order that had ended
            left = open_part.quantity - fill.quantity
            self._work(self.working, fill.order_id, replace(open_part, quantity=left) if left > 0 else None)

    def _work(self, table: dict[K, Working], key: K, now: Working | None) -> None:
        """Set the open part of one order; None when it has none."""
        for sign, part in ((-1, table.pop(key, None)), (1, now)):
            if part is None:
                continue
            name = self.name(part.symbol)
            change = sign * part.quantity
            if part.side is Side.BUY:
                self._set(part.symbol, replace(name, buys=name.buys + change))
            else:
                self._set(part.symbol, replace(name, sells=name.sells + change))
        if now is not None:
            table[key] = now

    def _set(self, symbol: Symbol, name: Name) -> None:
        self.totals = self.totals.exchange(self.name(symbol), name)
        self.names[symbol] = name
        if name.mark is None and not name.is_idle:
            self.unmarked.add(symbol)
        else:
            self.unmarked.discard(symbol)
        if self.covariance is not None:
            self.covariance.move(symbol, (name.held + name.buys - name.sells) * (name.mark or ZERO))

    def _reload_covariance(self) -> None:
        if self.covariance is not None:
            self.covariance.load(
                {s: (n.held + n.buys - n.sells) * (n.mark or ZERO) for s, n in self.names.items() if not n.is_idle}
            )

"""What the gates read: positions, working orders, marks, NAV, peak, known keys, activity. No I/O and no clock.

One owner changes it in place, by events in their order: the same events give the same state. It is not copied at each
step because a day's keys alone may be a million.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import assert_never

from mts1b.foundation.changing import changed
from mts1b.foundation.clock import NS_PER_DAY, NS_PER_S
from mts1b.foundation.commands import SubmitOrder
from mts1b.foundation.events import (
    CancelRequested,
    CashMoved,
    FundEvent,
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
    SharesSplit,
)
from mts1b.foundation.ids import FundId, IdempotencyKey, OrderId, Symbol
from mts1b.foundation.limits import DEDUP_KEYS_IN_MEMORY_MAX
from mts1b.foundation.order import Order, Side
from mts1b.riskengine.activity import Activity, Repeat
from mts1b.riskengine.covariance import Covariance
from mts1b.riskengine.exposure import Name, Totals
from mts1b.riskengine.master import Borrow, MasterData
from mts1b.riskengine.positions import Positions, Working
from mts1b.riskengine.snapshot import RiskSnapshot
from mts1b.riskengine.verdict import Mode, Standing


class RiskState:
    """Risk's view of one fund."""

    def __init__(self, fund_id: FundId) -> None:
        self.fund_id = fund_id
        self.book = Positions()
        self.activity = Activity()
        self.reserved: dict[IdempotencyKey, Working] = {}  # accepted, its events not back yet
        self.working: dict[OrderId, Working] = {}
        self.keys: dict[IdempotencyKey, int] = {}
        self.borrow: dict[Symbol, Borrow] = {}
        self.borrow_ns: int | None = None
        self.marked_ns = 0
        self.last_nav: Decimal | None = None
        self.peak_nav: Decimal | None = None
        self.day_start_nav: Decimal | None = None
        self.standing = Standing()

    @property
    def mode(self) -> Mode:
        """How much the fund may do."""
        return self.standing.mode

    @property
    def nav(self) -> Decimal | None:
        """Cash and the worth of the shares held at the marks. None before the first mark, or with a name unmarked."""
        return None if self.last_nav is None else self.book.worth

    @property
    def cash(self) -> Decimal:
        """In the fund's own currency."""
        return self.book.cash

    @property
    def totals(self) -> Totals:
        return self.book.totals

    @property
    def names(self) -> dict[Symbol, Name]:
        return self.book.names

    @property
    def open_orders(self) -> int:
        """Orders that may still fill."""
        return len(self.reserved) + len(self.working)

    def name(self, symbol: Symbol) -> Name:
        return self.book.name(symbol)

    def restore(self, snapshot: RiskSnapshot) -> None:
        """Forget everything but covariance, master data and borrow, and start from `snapshot`."""
        kept, covariance, master = (self.borrow, self.borrow_ns), self.book.covariance, self.book.master
        self.__init__(self.fund_id)  # type: ignore[misc]
        self.borrow, self.borrow_ns = kept
        self.book.currency, self.book.cash = snapshot.currency, snapshot.cash
        self.book.foreign = dict(snapshot.foreign)
        self.book.set_master(master)
        self.keys.update(sorted(snapshot.keys, key=lambda pair: pair[1]))
        self.last_nav, self.peak_nav = snapshot.last_nav, snapshot.peak_nav
        self.day_start_nav, self.marked_ns = snapshot.day_start_nav, snapshot.marked_ns
        self.standing = snapshot.standing
        times = {symbol: (ts_ns, received_ns) for symbol, ts_ns, received_ns in snapshot.quoted}
        for symbol, price in snapshot.marks:
            ts_ns, received_ns = times.get(symbol, (0, 0))
            self.book.quote({symbol: price}, ts_ns, received_ns)
        for symbol, quantity in snapshot.positions:
            self.book.hold(symbol, quantity)
        for split in snapshot.splits:
            self.book.remember_split(split)
        for order in snapshot.open_orders:
            if order.exposed_quantity:
                self.book.work(self.working, order.order_id, working(order))
        self.activity.restore(snapshot.recent)
        self.book.set_covariance(covariance)

    def reserve(self, command: SubmitOrder, now_ns: int) -> None:
        """Count an accepted order at once, before its events come back: many may be in flight."""
        self.keys[command.idempotency_key] = now_ns
        self.book.work(self.reserved, command.idempotency_key, wanted(command))
        self.activity.ordered(now_ns)

    def release(self, key: IdempotencyKey) -> None:
        """Take back a reservation that never became an order."""
        self.keys.pop(key, None)
        self.book.work(self.reserved, key, None)

    @contextmanager
    def without(self, order_id: OrderId) -> Iterator[None]:
        """The fund as if this order were not there, for as long as another in its place is judged."""
        part = self.working.get(order_id)
        self.book.work(self.working, order_id, None)
        try:
            yield
        finally:
            self.book.work(self.working, order_id, part)

    def forget_keys(self, now_ns: int, window_s: int) -> None:
        """Drop keys older than the window, and the oldest beyond what memory may hold; they are in order of time."""
        horizon = now_ns - window_s * NS_PER_S
        while self.keys:
            key = next(iter(self.keys))
            if self.keys[key] > horizon and len(self.keys) <= DEDUP_KEYS_IN_MEMORY_MAX:
                return
            del self.keys[key]

    def apply(self, event: OrderEvent | FundEvent) -> Repeat | None:
        """Follow one event. Returns what traded, when the event is the first trade of its order."""
        match event:
            case OrderReceived(order=order, ts_ns=ts_ns):
                self.keys.setdefault(order.idempotency_key, ts_ns)
                key, name = order.idempotency_key, order.order_id
                self.book.received(self.reserved, key, self.working, name, working(order))
            case OrderHeld(order=order, ts_ns=ts_ns):
                self.keys.setdefault(order.idempotency_key, ts_ns)
                self.book.work(self.reserved, order.idempotency_key, None)
            case OrderRevived() | OrderReleased() | ReplaceRequested() | OrderReplaced() | OrderNotReplaced():
                now = working(event.order) if event.order.exposed_quantity else None
                self.book.work(self.working, event.order.order_id, now)
            case OrderFilled():
                return self._filled(event)
            case OrderDenied() | OrderCancelled() | OrderRejected() | OrderExpired():
                self.book.work(self.working, event.order_id, None)
            case CashMoved():
                self.book.moved(event)
            case SharesSplit():
                self.book.split(event)
            case OrderAccepted() | OrderSubmitting() | OrderWorking() | CancelRequested() | OrderInDoubt():
                pass
            case _:
                assert_never(event)
        return None

    def mark(self, prices: Mapping[Symbol, Decimal], ts_ns: int, received_ns: int) -> NavMarked:
        """Take new prices. The first mark of a UTC day makes the last NAV of the day before the day's start."""
        self.book.quote(prices, ts_ns, received_ns)
        self.book.reload_covariance()
        nav = self.book.all_cash + self.totals.held
        if self.day_start_nav is None or ts_ns // NS_PER_DAY > self.marked_ns // NS_PER_DAY:
            self.day_start_nav = nav if self.last_nav is None else self.last_nav
        self.peak_nav = nav if self.peak_nav is None else max(self.peak_nav, nav)
        self.marked_ns, self.last_nav = ts_ns, nav
        return NavMarked(self.fund_id, nav, self.cash, self.totals.gross, ts_ns)

    def set_covariance(self, covariance: Covariance) -> None:
        self.book.set_covariance(covariance)

    def set_master(self, master: MasterData) -> None:
        self.book.set_master(master)

    def set_borrow(self, borrow: Mapping[Symbol, Borrow] | Iterable[tuple[Symbol, Borrow]], ts_ns: int | None) -> None:
        self.borrow, self.borrow_ns = dict(borrow), ts_ns

    def _filled(self, event: OrderFilled) -> Repeat | None:
        fill = event.fill
        self.book.filled(fill)
        part = self.working.get(fill.order_id)
        if part is None:  # a late fill of an order that had ended
            return None
        left = part.quantity - fill.quantity
        now = changed(part, quantity=left, has_traded=True) if left > 0 else None
        self.book.work(self.working, fill.order_id, now)
        if part.has_traded:
            return None
        repeat = (part.strategy_id, part.symbol, part.side)
        self.activity.traded(repeat, event.ts_ns)
        return repeat


def working(order: Order) -> Working:
    """The open part of an order at worst: of two sets of terms that may hold, more shares and the worse limit."""
    wanted, limit, stop = order.wanted, order.limit_price, order.stop_price
    if wanted is not None and limit is not None and wanted.limit_price is not None:
        limit = max(limit, wanted.limit_price) if order.side is Side.BUY else min(limit, wanted.limit_price)
    if wanted is not None and stop is not None and wanted.stop_price is not None:
        stop = max(stop, wanted.stop_price)
    sized = order.reference_price if stop is None else max(order.reference_price, stop)
    traded = order.filled_quantity > 0
    return Working(order.symbol, order.side, order.exposed_quantity, limit, stop, sized, order.strategy_id, traded)


def wanted(command: SubmitOrder) -> Working:
    """A command as the open order it would be."""
    stop, sized = command.stop_price, command.reference_price
    return Working(
        command.symbol,
        command.side,
        command.quantity,
        command.limit_price,
        stop,
        sized if stop is None else max(sized, stop),
        command.strategy_id,
    )

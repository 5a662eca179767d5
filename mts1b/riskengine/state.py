"""What the gates read: positions, working orders, marks, NAV, peak, known keys. No I/O and no clock.

One owner changes it in place, by events in their order: the same events give the same state. It is not copied at each
step because a day's keys alone may be a million.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import assert_never

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
    OrderInDoubt,
    OrderReceived,
    OrderRejected,
    OrderSubmitting,
    OrderWorking,
)
from mts1b.foundation.fill import Fill
from mts1b.foundation.ids import FundId, IdempotencyKey, OrderId, Symbol
from mts1b.foundation.order import Order, Side
from mts1b.riskengine.covariance import Covariance
from mts1b.riskengine.exposure import EMPTY, ZERO, Name, Totals
from mts1b.riskengine.verdict import Mode


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


class RiskState:
    """Risk's view of one fund."""

    def __init__(self, fund_id: FundId) -> None:
        self.fund_id = fund_id
        self.cash = ZERO
        self.names: dict[Symbol, Name] = {}
        self.totals = Totals()
        self.unmarked: set[Symbol] = set()
        self.working: dict[IdempotencyKey, Working] = {}
        self.keys: dict[IdempotencyKey, int] = {}
        self.key_of: dict[OrderId, IdempotencyKey] = {}
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
            self.key_of[order.order_id] = order.idempotency_key
            self._work(order.idempotency_key, Working(order.symbol, order.side, order.open_quantity))
        self._reload_covariance()

    def reserve(self, command: SubmitOrder, now_ns: int) -> None:
        """Count an accepted order at once, before its events come back: many may be in flight."""
        self.keys[command.idempotency_key] = now_ns
        self._work(command.idempotency_key, Working(command.symbol, command.side, command.quantity))

    def release(self, key: IdempotencyKey) -> None:
        """Take back a reservation that never became an order."""
        self.keys.pop(key, None)
        self._work(key, None)

    def forget_keys(self, now_ns: int, window_s: int) -> None:
        """Drop keys older than the window; they are in order of time."""
        horizon = now_ns - window_s * NS_PER_S
        while self.keys:
            key = next(iter(self.keys))
            if self.keys[key] > horizon:
                return
            del self.keys[key]

    def apply(self, event: OrderEvent) -> None:
        """Follow one event of the order path."""
        match event:
            case OrderReceived(order=order, ts_ns=ts_ns):
                self.keys.setdefault(order.idempotency_key, ts_ns)
                self.key_of[order.order_id] = order.idempotency_key
                self._work(order.idempotency_key, Working(order.symbol, order.side, order.quantity))
            case OrderFilled(fill=fill):
                self._fill(fill)
            case OrderDenied() | OrderCancelled() | OrderRejected() | OrderExpired():
                key = self.key_of.pop(event.order_id, None)
                if key is not None:
                    self._work(key, None)
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
        key = self.key_of.get(fill.order_id)
        open_part = self.working.get(key) if key is not None else None
        if key is None or open_part is None:
            return  # a late fill of an order that had ended
        left = open_part.quantity - fill.quantity
        self._work(key, replace(open_part, quantity=left) if left > 0 else None)
        if left <= 0:
            del self.key_of[fill.order_id]

    def _work(self, key: IdempotencyKey, now: Working | None) -> None:
        """Set the open part of one order; None when it has none."""
        for sign, part in ((-1, self.working.pop(key, None)), (1, now)):
            if part is None:
                continue
            name = self.name(part.symbol)
            change = sign * part.quantity
            if part.side is Side.BUY:
                self._set(part.symbol, replace(name, buys=name.buys + change))
            else:
                self._set(part.symbol, replace(name, sells=name.sells + change))
        if now is not None:
            self.working[key] = now

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

"""A venue that nobody can crash: its log is the judge of what happened. It fills in parts, at prices that wander."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from random import Random
from typing import Any

from mts1b.brokers.port import ReportKind, VenueAck, VenueOrderState, VenueReject, VenueReport, VenueStatus
from mts1b.foundation.clock import Clock
from mts1b.foundation.errors import VenueError
from mts1b.foundation.ids import ClientOrderId, FillId, Symbol, VenueOrderId
from mts1b.foundation.order import Order, OrderType, Terms, TimeInForce

TICK = Decimal("0.01")
FEE = Decimal("0.0001")
AT_ONCE = (TimeInForce.IOC, TimeInForce.FOK)
ENDED = frozenset({VenueStatus.FILLED, VenueStatus.CANCELLED, VenueStatus.REJECTED, VenueStatus.EXPIRED})
REJECTED_RATIO = 0.03
PART_RATIO = 0.5


@dataclass(slots=True)
class Held:
    """An order at the venue. `order` has the terms that hold; `revision`: of the last ones that were asked for."""

    order: Order
    venue_order_id: VenueOrderId
    status: VenueStatus
    filled: Decimal
    reports: list[VenueReport]
    is_awake: bool
    revision: int = 0
    reason: str = ""


class SimVenue:
    """The venue's side of the broker port, as plain calls. `tell` hands every report to whoever listens."""

    def __init__(self, clock: Clock, random: Random, symbols: tuple[Symbol, ...], price: Decimal) -> None:
        self._clock, self._random = clock, random
        self.prices = dict.fromkeys(symbols, price)
        self.orders: dict[ClientOrderId, Held] = {}
        self.working: dict[ClientOrderId, Held] = {}
        self.reports: list[VenueReport] = []
        self.listeners: list[Callable[[VenueReport], None]] = []

    # -- asked of it -------------------------------------------------------------------------------------------------

    def submit(self, order: Order) -> VenueAck | VenueReject:
        self._in_time(order)
        held = self.orders.get(order.client_order_id)
        if held is None:
            held = self._take(order)
        elif (held.order.symbol, held.order.side) != (order.symbol, order.side):
            raise VenueError("client_order_id", order.client_order_id, "names another order", "use a fresh id")
        first = held.reports[0]
        if first.kind is ReportKind.REJECT:
            return VenueReject(order.client_order_id, first.reason, first.ts_ns)
        return VenueAck(order.client_order_id, held.venue_order_id, first.ts_ns)

    def replace(self, order: Order) -> VenueAck | VenueReject:
        self._in_time(order)
        terms, name = order.wanted, order.client_order_id
        assert terms is not None
        held, now_ns = self.orders.get(name), self._clock.now_ns()
        if held is None:
            return VenueReject(name, "unknown order", now_ns)
        if terms.revision <= held.revision:
            if any(report.terms == terms for report in held.reports):
                return VenueAck(name, held.venue_order_id, now_ns)
            return VenueReject(name, f"revision {held.revision} was asked for already", now_ns)
        held.revision = terms.revision
        if held.status in ENDED:
            return VenueReject(name, f"already {held.status}", now_ns)
        if terms.quantity <= held.filled:
            return VenueReject(name, f"{held.filled} are filled", now_ns)
        held.is_awake = held.is_awake and terms.stop_price == held.order.stop_price
        held.order = _with_terms(held.order, terms)
        self._report(held, ReportKind.REPLACE, terms=terms)
        return VenueAck(name, held.venue_order_id, now_ns)

    def cancel(self, client_order_id: ClientOrderId) -> VenueAck | VenueReject:
        held, now_ns = self.orders.get(client_order_id), self._clock.now_ns()
        if held is None:
            return VenueReject(client_order_id, "unknown order", now_ns)
        if held.status in ENDED:
            return VenueReject(client_order_id, f"already {held.status}", now_ns)
        self._end(held, VenueStatus.CANCELLED, ReportKind.CANCEL, "cancelled on request")
        return VenueAck(client_order_id, held.venue_order_id, now_ns)

    def query(self, client_order_id: ClientOrderId) -> VenueOrderState | None:
        held = self.orders.get(client_order_id)
        if held is None:
            return None
        return VenueOrderState(
            client_order_id,
            held.venue_order_id,
            held.status,
            held.order.quantity,
            held.filled,
            held.reason,
            tuple(held.reports),
        )

    # -- its market --------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Prices wander; what they reach fills, whole or in part."""
        for symbol, price in self.prices.items():
            self.prices[symbol] = max(price + self._random.randint(-20, 20) * TICK, TICK)
        now_ns = self._clock.now_ns()
        for held in list(self.working.values()):
            if held.order.good_till_ns is not None and now_ns >= held.order.good_till_ns:
                self._end(held, VenueStatus.EXPIRED, ReportKind.EXPIRE, "its time has passed")
            else:
                self._match(held)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _in_time(self, order: Order) -> None:
        if 0 < order.send_by_ns < self._clock.now_ns():
            raise VenueError("venue", "simulated", "the request comes too late", "ask about the order")

    def _take(self, order: Order) -> Held:
        name = VenueOrderId(f"V{len(self.orders) + 1}")
        held = Held(order, name, VenueStatus.WORKING, Decimal(0), [], not order.order_type.has_stop)
        self.orders[order.client_order_id] = held
        if self._random.random() < REJECTED_RATIO:
            self._end(held, VenueStatus.REJECTED, ReportKind.REJECT, "not today")
            return held
        self.working[order.client_order_id] = held
        self._report(held, ReportKind.ACK)
        if order.time_in_force in AT_ONCE:
            self._match(held, whole=order.time_in_force is TimeInForce.FOK)
            if held.status not in ENDED:
                self._end(held, VenueStatus.EXPIRED, ReportKind.EXPIRE, "not to be had at once")
        return held

    def _match(self, held: Held, whole: bool = False) -> None:
        order, price = held.order, self.prices[held.order.symbol]
        if order.stop_price is not None and (price - order.stop_price) * order.side.sign >= 0:
            held.is_awake = True
        if not held.is_awake or (order.limit_price is not None and (price - order.limit_price) * order.side.sign > 0):
            return
        if order.order_type is OrderType.MARKET and not whole and self._random.random() < 0.4:
            return  # nobody there just now
        quantity = order.quantity - held.filled
        if not whole and quantity > 1 and self._random.random() < PART_RATIO:
            quantity = Decimal(self._random.randint(1, int(quantity) - 1))
        held.filled += quantity
        is_whole = held.filled == order.quantity
        held.status = VenueStatus.FILLED if is_whole else VenueStatus.PARTIALLY_FILLED
        if is_whole:
            self.working.pop(order.client_order_id)
        name = FillId(f"F-{held.venue_order_id}-{len(held.reports)}")
        fee = (price * quantity * FEE).quantize(TICK)
        self._report(held, ReportKind.FILL, fill_id=name, quantity=quantity, price=price, fee=fee)

    def _end(self, held: Held, status: VenueStatus, kind: ReportKind, reason: str) -> None:
        held.status, held.reason = status, reason
        self.working.pop(held.order.client_order_id, None)
        self._report(held, kind, reason=reason)

    def _report(self, held: Held, kind: ReportKind, **said: Any) -> None:
        order, sequence, now_ns = held.order, len(self.reports) + 1, self._clock.now_ns()
        report = VenueReport(sequence, kind, order.client_order_id, held.venue_order_id, now_ns, **said)
        self.reports.append(report)
        held.reports.append(report)
        for listener in tuple(self.listeners):
            listener(report)


def _with_terms(order: Order, terms: Terms) -> Order:
    return replace(order, quantity=terms.quantity, limit_price=terms.limit_price, stop_price=terms.stop_price)

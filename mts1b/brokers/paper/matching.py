"""What the exchange decides. No clock, no I/O: `decide` reads the state, `apply` changes it, both from values alone.

An entry of the exchange's log is a command with the reports it led to. Live, an entry is decided, applied and stored;
after a crash the stored entries are applied again and nothing is decided twice.

Prices: one price a name stands for both sides of the quote. A market order pays `slippage_bps` against itself, rounded
to the tick against itself; a limit order trades at the quote or not at all. Liquidity is unlimited: orders fill whole.
A stop order sleeps until the quote has reached its stop price, and is a market or limit order from then on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

from mts1b.brokers.port import ReportKind, VenueOrderState, VenueReport, VenueStatus
from mts1b.foundation.errors import InputError, InvariantBroken
from mts1b.foundation.ids import ClientOrderId, FillId, Symbol, VenueOrderId
from mts1b.foundation.limits import TICK
from mts1b.foundation.order import OrderType, Side, Terms, TimeInForce

BPS = Decimal("0.0001")
CASH_STEP = Decimal("0.0001")
"""Fees are rounded to this step of the currency, half to even."""

Prices = Mapping[Symbol, Decimal]


@dataclass(frozen=True, slots=True)
class Rules:
    """How the exchange charges. `slippage_bps` and `fee_bps` in basis points of price and of notional."""

    fee_bps: Decimal = Decimal(0)
    slippage_bps: Decimal = Decimal(0)
    tick: Decimal = Decimal(TICK)
    lot: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class PaperOrder:
    """An order as the exchange sees it."""

    client_order_id: ClientOrderId
    symbol: Symbol
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    quantity: Decimal
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    good_till_ns: int | None = None


@dataclass(frozen=True, slots=True)
class SetRules:
    """Charge by these rules from now on."""

    rules: Rules
    ts_ns: int


@dataclass(frozen=True, slots=True)
class Place:
    order: PaperOrder
    ts_ns: int


@dataclass(frozen=True, slots=True)
class Cancel:
    client_order_id: ClientOrderId
    ts_ns: int


@dataclass(frozen=True, slots=True)
class Amend:
    """Other terms for a working order."""

    client_order_id: ClientOrderId
    terms: Terms
    ts_ns: int


@dataclass(frozen=True, slots=True)
class OpenSession:
    """Opening auction of the session `ts_ns` (market time) at one price a name."""

    ts_ns: int
    prices: Prices


@dataclass(frozen=True, slots=True)
class Quote:
    """New prices within the open session."""

    ts_ns: int
    prices: Prices


@dataclass(frozen=True, slots=True)
class CloseSession:
    ts_ns: int


Command = SetRules | Place | Cancel | Amend | OpenSession | Quote | CloseSession


class OutOfTurn(InputError):
    """A command that is readable but makes no sense now. Nothing was changed."""


@dataclass(slots=True)
class Held:
    """An order at the exchange with its story so far. `revision`: of the last terms that were asked for."""

    order: PaperOrder
    state: VenueOrderState
    ack_ts_ns: int
    is_awake: bool = True
    revision: int = 0


@dataclass(slots=True)
class Exchange:
    """The whole state. `prices` are those of the running session; `market_ns` is the market's last time."""

    rules: Rules = field(default_factory=Rules)
    orders: dict[ClientOrderId, Held] = field(default_factory=dict)
    working: dict[ClientOrderId, None] = field(default_factory=dict)
    reports: list[VenueReport] = field(default_factory=list)
    prices: dict[Symbol, Decimal] = field(default_factory=dict)
    market_ns: int = 0
    is_open: bool = False

    def decide(self, command: Command) -> tuple[VenueReport, ...]:
        """The reports that the command leads to; the state is untouched.

        OutOfTurn when the command makes no sense now: an id reused for another order, time running backwards.
        """
        drafts = list(self._drafts(command))
        first = len(self.reports) + 1
        return tuple(replace(draft, sequence=first + index) for index, draft in enumerate(drafts))

    def apply(self, command: Command, reports: tuple[VenueReport, ...]) -> None:
        """Take an entry into the state. InvariantBroken when the reports do not follow the last one."""
        match command:
            case SetRules(rules):
                self.rules = rules
            case Place(order) if reports:
                self._hold(order, reports[0])
            case OpenSession(ts_ns, prices):
                self.market_ns, self.is_open, self.prices = ts_ns, True, dict(prices)
                self._wake(prices)
            case Quote(ts_ns, prices):
                self.market_ns = ts_ns
                self.prices.update(prices)
                self._wake(prices)
            case Amend(client_order_id, terms):
                self._amended(client_order_id, terms, accepted=bool(reports))
            case CloseSession(ts_ns):
                self.market_ns, self.is_open, self.prices = max(ts_ns, self.market_ns), False, {}
        for report in reports:
            self._take(report)

    def query(self, client_order_id: ClientOrderId) -> VenueOrderState | None:
        """The order's state; None when the id was never placed."""
        held = self.orders.get(client_order_id)
        return held.state if held else None

    # --- deciding -------------------------------------------------------------------------------------------------

    def _drafts(self, command: Command) -> Iterator[VenueReport]:
        match command:
            case Place(order, ts_ns):
                yield from self._place(order, ts_ns)
            case Cancel(client_order_id, ts_ns):
                if client_order_id in self.working:
                    yield self._draft(ReportKind.CANCEL, client_order_id, ts_ns, reason="cancelled on request")
            case Amend(client_order_id, terms, ts_ns):
                yield from self._amend(client_order_id, terms, ts_ns)
            case OpenSession(ts_ns, prices):
                if self.is_open and ts_ns == self.market_ns and dict(prices) == self.prices:
                    return  # a resend
                if ts_ns <= self.market_ns:
                    raise OutOfTurn("ts_ns", ts_ns, f"the market is at {self.market_ns}", "open a later session")
                yield from self._auction(ts_ns, prices)
            case Quote(ts_ns, prices):
                if not self.is_open or ts_ns < self.market_ns:
                    raise OutOfTurn("ts_ns", ts_ns, "no session is open at this time", "open a session first")
                yield from self._sweep_working(ts_ns, prices)
            case CloseSession(ts_ns):
                yield from self._expire_day_orders(ts_ns)

    def amend_problem(self, client_order_id: ClientOrderId, terms: Terms) -> str:
        """Why these terms are not taken; empty when they are, or were before."""
        held = self.orders.get(client_order_id)
        if held is None:
            return "unknown order"
        if terms.revision <= held.revision:
            taken = any(report.terms == terms for report in held.state.reports)
            return "" if taken else f"revision {held.revision} was asked for already"
        if client_order_id not in self.working:
            return f"already {held.state.status}"
        if terms.quantity <= held.state.filled_quantity:
            return f"quantity {terms.quantity} is not above the {held.state.filled_quantity} filled"
        return self._problem(_with_terms(held.order, terms))

    def _amend(self, client_order_id: ClientOrderId, terms: Terms, ts_ns: int) -> Iterator[VenueReport]:
        held = self.orders.get(client_order_id)
        if held is None or terms.revision <= held.revision or self.amend_problem(client_order_id, terms):
            return
        yield replace(self._draft(ReportKind.REPLACE, client_order_id, ts_ns), terms=terms)
        order = _with_terms(held.order, terms)
        awake = held.is_awake and (terms.stop_price == held.order.stop_price)
        if self.is_open and order.time_in_force is not TimeInForce.OPG:
            yield from self._match(order, self.market_ns, self.prices, awake)

    def _place(self, order: PaperOrder, ts_ns: int) -> Iterator[VenueReport]:
        known = self.orders.get(order.client_order_id)
        if known is not None:
            if known.order != order:
                raise OutOfTurn("client_order_id", order.client_order_id, "names another order", "use a fresh id")
            return  # a resend: nothing happens twice
        if problem := self._problem(order):
            yield self._draft(ReportKind.REJECT, order.client_order_id, ts_ns, reason=problem)
            return
        yield self._draft(ReportKind.ACK, order.client_order_id, ts_ns)
        if self.is_open and order.time_in_force is not TimeInForce.OPG:
            yield from self._try(order, self.market_ns, self.prices)

    def _problem(self, order: PaperOrder) -> str:
        if order.quantity <= 0 or order.quantity % self.rules.lot != 0:
            return f"quantity {order.quantity} is not a positive multiple of the lot {self.rules.lot}"
        for name, price, needed in (
            ("limit", order.limit_price, order.order_type.has_limit),
            ("stop", order.stop_price, order.order_type.has_stop),
        ):
            if needed != (price is not None):
                return f"a {order.order_type} order needs {'a' if needed else 'no'} {name} price"
            if price is not None and (price <= 0 or price % self.rules.tick != 0):
                return f"{name} price {price} is not a positive multiple of the tick {self.rules.tick}"
        return self._time_problem(order)

    def _time_problem(self, order: PaperOrder) -> str:
        if order.time_in_force in AT_ONCE and not self.is_open:
            return "the market is closed"
        if order.time_in_force in AT_ONCE and order.order_type.has_stop:
            return f"a stop order waits, which {order.time_in_force} does not"
        if (order.time_in_force is TimeInForce.GTD) != (order.good_till_ns is not None):
            return "an order until a time needs that time, another has none"
        if order.good_till_ns is not None and order.good_till_ns <= self.market_ns:
            return f"the time {order.good_till_ns} has passed"
        return ""

    def _auction(self, ts_ns: int, prices: Prices) -> Iterator[VenueReport]:
        for client_order_id, held in self._working():
            order = held.order
            if _is_over(order, ts_ns):
                yield self._draft(ReportKind.EXPIRE, client_order_id, ts_ns, reason="its time has passed")
                continue
            reports = list(self._match(order, ts_ns, prices, held.is_awake))
            yield from reports
            if not reports and order.time_in_force is TimeInForce.OPG:
                missing = order.symbol not in prices
                reason = "no opening price" if missing else "not marketable at the opening"
                yield self._draft(ReportKind.EXPIRE, client_order_id, ts_ns, reason=reason)

    def _sweep_working(self, ts_ns: int, prices: Prices) -> Iterator[VenueReport]:
        for client_order_id, held in self._working():
            if _is_over(held.order, ts_ns):
                yield self._draft(ReportKind.EXPIRE, client_order_id, ts_ns, reason="its time has passed")
            elif held.order.time_in_force is not TimeInForce.OPG:
                yield from self._match(held.order, ts_ns, prices, held.is_awake)

    def _expire_day_orders(self, ts_ns: int) -> Iterator[VenueReport]:
        for client_order_id, held in self._working():
            if held.order.time_in_force is TimeInForce.DAY:
                yield self._draft(ReportKind.EXPIRE, client_order_id, ts_ns, reason="end of day")
            elif _is_over(held.order, ts_ns):
                yield self._draft(ReportKind.EXPIRE, client_order_id, ts_ns, reason="its time has passed")

    def _working(self) -> Iterator[tuple[ClientOrderId, Held]]:
        return ((client_order_id, self.orders[client_order_id]) for client_order_id in self.working)

    def _try(self, order: PaperOrder, ts_ns: int, prices: Prices) -> Iterator[VenueReport]:
        reports = list(self._match(order, ts_ns, prices, not order.order_type.has_stop))
        yield from reports
        if not reports and order.time_in_force in AT_ONCE:
            yield self._draft(ReportKind.EXPIRE, order.client_order_id, ts_ns, reason="not marketable at once")

    def _match(self, order: PaperOrder, ts_ns: int, prices: Prices, is_awake: bool) -> Iterator[VenueReport]:
        quote = prices.get(order.symbol)
        if quote is None or quote <= 0 or not (is_awake or _reached(order, quote)):
            return
        price = quote
        if order.limit_price is None:
            price = slipped(quote, order.side, self.rules)
        elif (quote - order.limit_price) * order.side.sign > 0:
            return
        held = self.orders.get(order.client_order_id)
        quantity = order.quantity - (held.state.filled_quantity if held else 0)
        fee = (price * quantity * self.rules.fee_bps * BPS).quantize(CASH_STEP, ROUND_HALF_EVEN)
        draft = self._draft(ReportKind.FILL, order.client_order_id, ts_ns)
        fill_id = FillId(f"F-{order.client_order_id}-1")
        yield replace(draft, fill_id=fill_id, quantity=quantity, price=price, fee=fee)

    def _draft(self, kind: ReportKind, client_order_id: ClientOrderId, ts_ns: int, reason: str = "") -> VenueReport:
        held = self.orders.get(client_order_id)
        venue_order_id = held.state.venue_order_id if held else VenueOrderId(f"P{len(self.orders) + 1:08d}")
        return VenueReport(0, kind, client_order_id, venue_order_id, ts_ns, reason=reason)

    # --- applying -------------------------------------------------------------------------------------------------

    def _hold(self, order: PaperOrder, first: VenueReport) -> None:
        state = VenueOrderState(
            client_order_id=order.client_order_id,
            venue_order_id=first.venue_order_id,
            status=VenueStatus.WORKING,
            quantity=order.quantity,
            filled_quantity=Decimal(0),
            symbol=order.symbol,
            side=order.side,
        )
        held = self.orders[order.client_order_id] = Held(order, state, first.ts_ns)
        self.working[order.client_order_id] = None
        if order.order_type.has_stop:
            held.is_awake = self.is_open and _reached(order, self.prices.get(order.symbol))

    def _wake(self, prices: Prices) -> None:
        """Stop orders whose price the quotes have reached."""
        for _, held in self._working():
            if not held.is_awake:
                held.is_awake = _reached(held.order, prices.get(held.order.symbol))

    def _amended(self, client_order_id: ClientOrderId, terms: Terms, accepted: bool) -> None:
        held = self.orders.get(client_order_id)
        if held is None or terms.revision <= held.revision:
            return
        held.revision = terms.revision
        if accepted:
            moved = terms.stop_price != held.order.stop_price
            held.order = _with_terms(held.order, terms)
            if moved:
                held.is_awake = self.is_open and _reached(held.order, self.prices.get(held.order.symbol))

    def _take(self, report: VenueReport) -> None:
        if report.sequence != len(self.reports) + 1:
            raise InvariantBroken("sequence", report.sequence, f"expected {len(self.reports) + 1}")
        self.reports.append(report)
        held = self.orders[report.client_order_id]
        held.state = after(held.state, report)
        if held.state.status in ENDED:
            self.working.pop(report.client_order_id, None)


ENDED = frozenset({VenueStatus.FILLED, VenueStatus.CANCELLED, VenueStatus.REJECTED, VenueStatus.EXPIRED})

_STATUS_AFTER = {
    ReportKind.ACK: VenueStatus.WORKING,
    ReportKind.CANCEL: VenueStatus.CANCELLED,
    ReportKind.REJECT: VenueStatus.REJECTED,
    ReportKind.EXPIRE: VenueStatus.EXPIRED,
}


def after(state: VenueOrderState, report: VenueReport) -> VenueOrderState:
    """An order's state with one more report. InvariantBroken on an overfill or a report after the end."""
    if state.status in ENDED:
        raise InvariantBroken("client_order_id", state.client_order_id, f"{report.kind} after {state.status}")
    if report.terms is not None:
        return replace(state, quantity=report.terms.quantity, reports=(*state.reports, report))
    filled = state.filled_quantity + report.quantity
    if report.kind is ReportKind.FILL and filled > state.quantity:
        raise InvariantBroken("filled_quantity", filled, f"more than the {state.quantity} ordered")
    if report.kind is ReportKind.FILL:
        status = VenueStatus.FILLED if filled == state.quantity else VenueStatus.PARTIALLY_FILLED
    else:
        status = _STATUS_AFTER[report.kind]
    reason = report.reason or state.reason
    return replace(state, status=status, filled_quantity=filled, reason=reason, reports=(*state.reports, report))


AT_ONCE = (TimeInForce.IOC, TimeInForce.FOK)


def _with_terms(order: PaperOrder, terms: Terms) -> PaperOrder:
    return replace(order, quantity=terms.quantity, limit_price=terms.limit_price, stop_price=terms.stop_price)


def _reached(order: PaperOrder, quote: Decimal | None) -> bool:
    """Whether the market has come to the order's stop price from its good side."""
    if order.stop_price is None:
        return True
    return quote is not None and (quote - order.stop_price) * order.side.sign >= 0


def _is_over(order: PaperOrder, ts_ns: int) -> bool:
    return order.good_till_ns is not None and ts_ns >= order.good_till_ns


def slipped(price: Decimal, side: Side, rules: Rules) -> Decimal:
    """What a market order pays at the quote `price`: moved by the slippage and rounded to the tick, against it."""
    if rules.slippage_bps == 0:
        return price
    moved = price * (1 + side.sign * rules.slippage_bps * BPS)
    rounding = ROUND_CEILING if side is Side.BUY else ROUND_FLOOR
    return max((moved / rules.tick).to_integral_value(rounding) * rules.tick, rules.tick)

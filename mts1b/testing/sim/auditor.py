"""What must hold at every step of a story. The venue's log is the judge of what happened."""

from __future__ import annotations

from decimal import Decimal

from mts1b.audit.chain import Verified, verify
from mts1b.brokers.port import ReportKind
from mts1b.foundation.clock import NS_PER_S
from mts1b.foundation.commands import SubmitOrder
from mts1b.foundation.events import OrderFilled, OrderRevived
from mts1b.foundation.fill import Fill
from mts1b.foundation.ids import ClientOrderId, FillId, FundId, IdempotencyKey, OrderId, Symbol
from mts1b.foundation.limits import DEDUP_WINDOW_S
from mts1b.foundation.order import Order, OrderStatus, Role
from mts1b.oms.machine import NEVER_REACHED
from mts1b.oms.ports import Entry
from mts1b.oms.transitions import LEGAL
from mts1b.riskengine.gates.drawdown import drawdown
from mts1b.riskengine.limits import RiskLimits
from mts1b.riskengine.service import RiskService
from mts1b.riskengine.verdict import Mode, stricter
from mts1b.testing.journal import MemoryJournal, MemoryStore
from mts1b.testing.sim.venue import SimVenue

ZERO = Decimal(0)
S = OrderStatus


class Violation(AssertionError):
    """An invariant does not hold."""


class Auditor:
    """Watches commits, requests and risk. The first thing that must not be is kept in `violation`, and raised."""

    def __init__(self, store: MemoryStore, venue: SimVenue, fund_id: FundId, opening_cash: Decimal) -> None:
        self._store, self._venue, self._fund_id = store, venue, fund_id
        self.opening_cash = opening_cash
        self.orders: dict[OrderId, Order] = {}
        self.by_client: dict[ClientOrderId, Order] = {}
        self.cash = ZERO
        self.held: dict[Symbol, Decimal] = {}
        self.filled: dict[OrderId, Decimal] = {}
        self.working: dict[Symbol, dict[OrderId, Order]] = {}
        self._keys: dict[IdempotencyKey, int] = {}
        self._messages: set[str] = set()
        self._links = 0
        self._changed: set[Symbol] = set()
        self.violation = ""
        self.halts = 0
        """Entries so far that hold the fund back by a person's word."""

    # -- commits -----------------------------------------------------------------------------------------------------

    def committed(self, journal: MemoryJournal, entry: Entry) -> None:
        """One entry has become durable."""
        lease = self._store.leases[self._fund_id]
        self._must(lease.holder is journal and lease.epoch == journal.epoch, "a writer wrote whose epoch is over")
        self._chain()
        if entry.opening_cash is not None:
            self._must(not self.orders, "the fund was opened twice")
            self.cash = entry.opening_cash
        self.halts += entry.standing is not None and entry.standing.manual is Mode.HALTED
        if entry.order is not None:
            self._order(entry, entry.order)
        for event in entry.events:
            if isinstance(event, OrderRevived):
                self._must(False, f"{event.order.order_id} was let go and reached the venue")
            if isinstance(event, OrderFilled):
                self._fill(event.fill)
        if entry.order is not None:
            name, counted = entry.order.order_id, self.filled.get(entry.order.order_id, ZERO)
            same = entry.order.filled_quantity == counted
            self._must(same, f"{name} says that {entry.order.filled_quantity} are filled, its fills {counted}")
        told = {message.message_id for message in entry.outbox}
        fills = {event.fill.fill_id for event in entry.events if isinstance(event, OrderFilled)}
        self._must(told == fills, f"the outbox was told of {sorted(told)}, filled were {sorted(fills)}")
        self._messages |= told
        self._book(entry)

    def _chain(self) -> None:
        links = self._store.links[self._links :]
        before = self._store.links[self._links - 1].head if self._links else None
        proof = verify(links, before) if before is not None else verify(links)
        self._must(isinstance(proof, Verified) and bool(links), f"the chain does not hold: {proof}")
        self._links = len(self._store.links)

    def _chain_is_whole(self) -> None:
        """Every link was verified when it came."""
        links = self._store.links
        whole = len(links) == self._links and (not links or links[-1].head == self._store.head)
        self._must(whole, f"{self._links} links were verified of {len(links)}")

    def _order(self, entry: Entry, order: Order) -> None:
        before = self.orders.get(order.order_id)
        if before is None:
            self._must(entry.is_new, f"{order.order_id} was changed before it was made")
            last_ns = self._keys.get(order.idempotency_key)
            again = last_ns is not None and order.created_ns - last_ns < DEDUP_WINDOW_S * NS_PER_S
            self._must(not again, f"the key {order.idempotency_key} made a second order")
            self._keys[order.idempotency_key] = order.created_ns
            mode = self._store.state[self._fund_id].standing.mode
            self._must(mode is not Mode.HALTED or order.status is S.DENIED, f"{order.order_id} was taken while halted")
        else:
            self._must(not entry.is_new, f"{order.order_id} was made twice")
            legal = order.status in LEGAL[before.status] or order.status is before.status
            self._must(legal, f"{order.order_id} went from {before.status} to {order.status}")
            self._must(order.client_order_id == before.client_order_id, f"{order.order_id} has another client id")
        self._must(order.filled_quantity <= order.quantity, f"{order.order_id} is over-filled")
        self.orders[order.order_id] = self.by_client[order.client_order_id] = order
        at_work = self.working.setdefault(order.symbol, {})
        if order.open_quantity:
            at_work[order.order_id] = order
        else:
            at_work.pop(order.order_id, None)
        self._changed.add(order.symbol)

    def _fill(self, fill: Fill) -> None:
        order = self.orders.get(fill.order_id)
        self._must(order is not None, f"{fill.fill_id} fills no order")
        assert order is not None
        at_venue = self._venue.orders.get(order.client_order_id)
        said = [] if at_venue is None else [item for item in at_venue.reports if item.fill_id == fill.fill_id]
        self._must(
            len(said) == 1
            and (said[0].quantity, said[0].price, said[0].fee) == (fill.quantity, fill.price, fill.fee)
            and (order.symbol, order.side) == (fill.symbol, fill.side),
            f"the venue never filled {fill.fill_id} like that",
        )
        self.cash += fill.cash_change
        self.held[fill.symbol] = self.held.get(fill.symbol, ZERO) + fill.side.sign * fill.quantity
        self.filled[fill.order_id] = self.filled.get(fill.order_id, ZERO) + fill.quantity
        self._changed.add(fill.symbol)

    def _book(self, entry: Entry) -> None:
        if entry.position is not None:
            held = self.held.get(entry.position.symbol, ZERO)
            journalled = entry.position.quantity
            self._must(journalled == held, f"{entry.position.symbol}: position {journalled}, fills {held}")
        if entry.cash is not None:
            self._must(entry.cash == self.cash, f"cash {entry.cash}, opening and fills {self.cash}")

    # -- requests ----------------------------------------------------------------------------------------------------

    def sent(self, journal: MemoryJournal, what: str, subject: Order | ClientOrderId) -> None:
        """An OMS sends to the venue."""
        lease = self._store.leases[self._fund_id]
        self._must(lease.holder is journal and lease.epoch == journal.epoch, f"{what} was sent by a former writer")
        name = subject.client_order_id if isinstance(subject, Order) else subject
        order = self.by_client.get(name)
        self._must(order is not None, f"{what} of {name} was sent before it was journalled")
        assert order is not None
        if what == "submit" and isinstance(subject, Order):
            terms = (order.quantity, order.limit_price, order.stop_price)
            same = (subject.quantity, subject.limit_price, subject.stop_price) == terms
            self._must(same or order.status is not S.SUBMITTING, f"{name} was sent with other terms than journalled")
            self._must(order.status not in (S.ACCEPTED, S.DENIED), f"{name} was sent while {order.status}")
        if what == "cancel":
            asked = order.status.is_terminal or order.status is S.PENDING_CANCEL
            self._must(asked, f"the cancel of {name} was sent before it was journalled")
        if what == "replace" and isinstance(subject, Order) and subject.wanted is not None:
            known = (order.wanted.revision if order.wanted else 0, order.revision)
            self._must(subject.wanted.revision <= max(known), f"terms of {name} were sent before they were journalled")

    # -- answers -----------------------------------------------------------------------------------------------------

    def told(self, order: Order) -> None:
        """Somebody is told of an order. Refusals by the form of an order go on record without one."""
        known = order.order_id in self.orders or order.status is S.DENIED
        self._must(known, f"{order.order_id} was told of and is not journalled")

    def halted(self, halts_before: int) -> None:
        """Somebody is told that the fund is halted."""
        self._must(self.halts > halts_before, "a halt was confirmed that is not journalled")

    # -- risk --------------------------------------------------------------------------------------------------------

    def worst_with(self, command: SubmitOrder) -> Decimal:
        """Shares of its name towards its side, were all that is journalled as open and this order filled. Legs apart:
        they are judged by their form alone.
        """
        symbol, sign = command.symbol, command.side.sign
        working = (order for order in self.working.get(symbol, {}).values() if order.side.sign == sign)
        others = sum((order.exposed_quantity for order in working if not _is_leg(order)), ZERO)
        return sign * self.held.get(symbol, ZERO) + others + command.quantity

    def accepted(self, command: SubmitOrder, worst: Decimal, risk: RiskService) -> None:
        """Risk lets an order pass: `worst_with` it, as of when risk was asked, must be within the limit of its name."""
        symbol = command.symbol
        name, nav, limit = risk.state.name(symbol), risk.state.nav, risk.limits.name_to_nav_max
        self._must(None not in (name.mark, nav, limit), f"an order was taken of {symbol}, which has no mark")
        assert name.mark is not None and nav is not None and limit is not None
        other = abs(name.lowest if command.side.sign > 0 else name.highest)
        within = worst <= other or worst * name.mark <= limit * nav
        self._must(within, f"{command.quantity} {symbol} taken: at worst {worst} shares of {limit * nav / name.mark}")

    def look_at_risk(self, risk: RiskService) -> None:
        """Risk, of an OMS that takes orders, must not be looser than what is journalled."""
        state = risk.state
        journalled = self._store.state[self._fund_id].standing
        self._must(
            state.standing.mode.severity >= journalled.mode.severity,
            f"risk is {state.standing.mode}, the journal {journalled.mode}",
        )
        for symbol in sorted(self._changed):
            name = state.name(symbol)
            held = self.held.get(symbol, ZERO)
            working = self.working.get(symbol, {}).values()
            buys = sum((order.exposed_quantity for order in working if order.side.sign > 0), ZERO)
            sells = sum((order.exposed_quantity for order in working if order.side.sign < 0), ZERO)
            self._must(
                name.highest >= held + buys and name.lowest <= held - sells,
                f"{symbol}: risk sees {name.lowest} to {name.highest}, possible are {held - sells} to {held + buys}",
            )
        self._changed.clear()

    def recheck(self) -> None:
        """Look at every name again next time: another OMS, or one that has recovered, takes orders."""
        self._changed = set(self.held) | set(self.working)

    # -- the end -----------------------------------------------------------------------------------------------------

    def settled(self, published: list[str], risk: RiskService) -> None:
        """Everything has been said and heard: journal, venue and bus must agree to the last share."""
        self._latched(risk)
        self.recheck()
        self.look_at_risk(risk)
        self._same_fills()
        for order in self.orders.values():
            self._same_order(order)
        for name in self._venue.orders:
            self._must(name in self.by_client, f"the venue holds {name}, which nobody journalled")
        self._must(sorted(published) == sorted(self._messages), "the bus was not told of every fill once")
        self._chain_is_whole()
        self._groups()

    def _latched(self, risk: RiskService) -> None:
        """What any mark since the fund was last re-armed asked for, holds."""
        navs = sorted((mark.ts_ns, mark.nav) for mark in self._store.navs.values())
        rearmed = self._store.rearmed.get(self._fund_id)
        if rearmed is not None:
            navs = [(rearmed[1], rearmed[0]), *(item for item in navs if item[0] > rearmed[1])]
        asked, start, peak = Mode.ACTIVE, navs[0][1] if navs else ZERO, ZERO
        for _, nav in navs:
            peak = max(peak, nav)
            asked = stricter(asked, _asked(risk.limits, drawdown(nav, start), drawdown(nav, peak)))
        latched = risk.state.standing.latched
        self._must(latched.severity >= asked.severity, f"risk is {latched}, the marks asked for {asked}")

    def _same_fills(self) -> None:
        filled: dict[FillId, Decimal] = {}
        held: dict[Symbol, Decimal] = {}
        cash = self.opening_cash
        for at_venue in self._venue.orders.values():
            sign, symbol = at_venue.order.side.sign, at_venue.order.symbol
            for report in at_venue.reports:
                if report.kind is ReportKind.FILL and report.fill_id is not None:
                    filled[report.fill_id] = report.quantity
                    held[symbol] = held.get(symbol, ZERO) + sign * report.quantity
                    cash += -sign * report.quantity * report.price - report.fee
        self._must(set(filled) == set(self._store.fills), "fills are missing, or there are too many")
        self._must(cash == self.cash, f"cash {self.cash}, the venue's {cash}")
        self._must(held == self.held, f"positions {self.held}, the venue's {held}")

    def _same_order(self, order: Order) -> None:
        at_venue = self._venue.orders.get(order.client_order_id)
        if at_venue is None:
            here = order.status in (S.DENIED, S.ACCEPTED, S.CANCELLED)
            self._must(here, f"{order.order_id} is {order.status}, the venue has never heard of it")
            return
        self._must(order.reason != NEVER_REACHED, f"{order.order_id} was let go and reached the venue")
        name = order.order_id
        self._must(
            order.filled_quantity == at_venue.filled, f"{name}: {order.filled_quantity} filled, {at_venue.filled}"
        )
        is_open = order.client_order_id in self._venue.working
        self._must(is_open != order.status.is_terminal, f"{name} is {order.status}, at the venue {at_venue.status}")
        if is_open:
            terms = (order.quantity, order.limit_price, order.stop_price)
            theirs = (at_venue.order.quantity, at_venue.order.limit_price, at_venue.order.stop_price)
            self._must(terms == theirs, f"{name} has the terms {terms}, at the venue {theirs}")

    def _groups(self) -> None:
        """A position that was bought under a bracket has its stop for as long as no leg has ended."""
        groups: dict[str, list[Order]] = {}
        for order in self.orders.values():
            if order.group is not None:
                groups.setdefault(order.group.group_id, []).append(order)
        for members in groups.values():
            entry = next((order for order in members if order.group and order.group.role is Role.ENTRY), None)
            legs = [order for order in members if order is not entry]
            if entry is None or not entry.filled_quantity or any(leg.status.is_terminal for leg in legs):
                continue
            filled = sum((leg.filled_quantity for leg in legs), ZERO)
            for leg in legs:
                left = entry.filled_quantity - filled
                self._must(leg.open_quantity == left, f"{leg.order_id} protects {leg.open_quantity} of {left}")

    def found(self, what: str) -> None:
        """Something that must not be. The first of them is the story's."""
        self.violation = self.violation or what

    def _must(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.found(otherwise)
            raise Violation(otherwise)


def _is_leg(order: Order) -> bool:
    return order.group is not None and order.group.role is Role.LEG


def _asked(limits: RiskLimits, day: Decimal, peak: Decimal) -> Mode:
    """What the limits ask for at such drawdowns."""
    for mode, of_day, of_peak in (
        (Mode.HALTED, limits.day_drawdown_halt, limits.peak_drawdown_halt),
        (Mode.REDUCING, limits.day_drawdown_reduce, limits.peak_drawdown_reduce),
    ):
        assert of_day is not None and of_peak is not None
        if day >= of_day or peak >= of_peak:
            return mode
    return Mode.ACTIVE

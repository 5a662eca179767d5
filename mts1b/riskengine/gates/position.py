"""Gate 4: what the fund could hold at worst, were this order and any of its working orders filled.

A fund over a limit (prices moved) may still trade out of it: an order that does not raise the measure passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from mts1b.foundation.commands import SubmitOrder
from mts1b.riskengine.context import GateContext
from mts1b.riskengine.exposure import ZERO, Name, Totals
from mts1b.riskengine.gates.drawdown import reduces
from mts1b.riskengine.limits import LIMITS_OF_GATE, RiskLimits, known
from mts1b.riskengine.positions import with_working
from mts1b.riskengine.state import wanted
from mts1b.riskengine.verdict import ACCEPTED, Accepted, Verdict, refused, unset

GATE = 4
LIMITS = (*LIMITS_OF_GATE[GATE], "market_margin")


@dataclass(frozen=True, slots=True)
class Change:
    """The order's name and the fund's totals, as they are and as they would be with the order; NAV now."""

    before: Name
    after: Name
    was: Totals
    now: Totals
    nav: Decimal


Measure = tuple[str, Decimal, Decimal, Decimal]
"""Name, value before, value after, what it may be, all in the fund's currency."""


def gate(command: SubmitOrder, context: GateContext) -> Verdict:
    """Refuse `mark_missing`, `nav_unknown`, `nav_not_positive`; `name`, `sector`, `gross`, `leverage`, `net`,
    `net_to_nav`, `margin`; `cash`; `adv_unknown`, `adv`; `covariance_missing`, `var`."""
    if (missing := context.limits.first_unset(LIMITS)) is not None:
        return unset(GATE, missing)
    state = context.state
    before = state.name(command.symbol)
    if before.mark is None or state.book.unmarked:
        return refused(GATE, "mark_missing", symbol=min(state.book.unmarked, default=command.symbol))
    nav = state.nav
    if nav is None:
        return refused(GATE, "nav_unknown")
    if nav <= 0:
        return refused(GATE, "nav_not_positive", nav=nav)
    after = with_working(before, [wanted(command)])
    change = Change(before, after, state.totals, state.totals.exchange(before, after), nav)
    for check in CHECKS:
        verdict = check(command, context, change)
        if not isinstance(verdict, Accepted):
            return verdict
    return ACCEPTED


def _exposures(command: SubmitOrder, context: GateContext, change: Change) -> Verdict:
    sector = context.state.book.sectors.get(context.state.book.sector(command.symbol), ZERO)
    for measure, was, now, limit in _measures(context.limits, change, sector):
        if now > limit and now > was:
            return refused(GATE, measure, worst=now, before=was, nav=change.nav, limit=limit)
    return ACCEPTED


def _measures(limits: RiskLimits, change: Change, sector: Decimal) -> Iterator[Measure]:
    mark, nav, old, new = change.before.mark or ZERO, change.nav, change.was, change.now
    was, now = change.before.widest * mark, change.after.widest * mark
    yield "name", was, now, known(limits.name_to_nav_max) * nav
    yield "sector", sector, sector + now - was, known(limits.sector_to_nav_max) * nav
    yield "gross", old.gross, new.gross, known(limits.gross_max)
    yield "leverage", old.gross, new.gross, known(limits.leverage_max) * nav
    yield "net", old.net, new.net, known(limits.net_max)
    yield "net_to_nav", old.net, new.net, known(limits.net_to_nav_max) * nav
    yield "margin", old.margin, new.margin, known(limits.margin_to_nav_max) * nav


def _cash(command: SubmitOrder, context: GateContext, change: Change) -> Verdict:
    """Cash were all open buys filled and no sell: at their limits, or at the price they were sized with and the
    margin of market orders more. What only brings a short nearer to zero passes."""
    limits, book = context.limits, context.state.book
    if command.side.sign < 0 or reduces(command, context.state):
        return ACCEPTED
    all_cash = book.all_cash
    left = all_cash - change.now.bounded - change.now.unbounded * (1 + known(limits.market_margin))
    floor = known(limits.cash_to_nav_min) * change.nav
    if left < floor:
        return refused(GATE, "cash", worst=left, cash=all_cash, nav=change.nav, limit=floor)
    return ACCEPTED


def _adv(command: SubmitOrder, context: GateContext, change: Change) -> Verdict:
    """Open orders of one side as a share of what trades in a day."""
    volume, share_max = context.state.book.master.adv.get(command.symbol), known(context.limits.adv_share_max)
    if volume is None:
        return refused(GATE, "adv_unknown", symbol=command.symbol)
    open_now = change.before.buys if command.side.sign > 0 else change.before.sells
    if open_now + command.quantity > share_max * volume:
        return refused(GATE, "adv", quantity=command.quantity, open=open_now, adv=volume, adv_share_max=share_max)
    return ACCEPTED


def _value_at_risk(command: SubmitOrder, context: GateContext, change: Change) -> Verdict:
    """All working orders and this one taken as filled: the book that is being built."""
    book, limit = context.state.book, known(context.limits.var_to_nav_max)
    covariance = book.covariance
    if covariance is None or book.uncovered or command.symbol not in covariance:
        return refused(GATE, "covariance_missing", symbol=min(book.uncovered, default=command.symbol))
    amount = command.side.sign * command.quantity * (change.before.mark or ZERO)
    after = covariance.value_at_risk(command.symbol, amount)
    if after > limit * change.nav:
        was = covariance.value_at_risk(command.symbol, ZERO)
        if after > was:
            numbers = {"value_at_risk": after, "before": was, "nav": change.nav, "limit": limit * change.nav}
            return refused(GATE, "var", **numbers)
    return ACCEPTED


CHECKS: tuple[Callable[[SubmitOrder, GateContext, Change], Verdict], ...] = (_exposures, _cash, _adv, _value_at_risk)
"""In their order; the first refusal stops."""

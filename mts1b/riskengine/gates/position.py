"""Gate 4: what the fund could hold at worst, were this order and any of its working orders filled.

A fund over a limit (prices moved) may still trade out of it: an order that does not raise the measure passes.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from mts1b.foundation.commands import SubmitOrder
from mts1b.foundation.order import Side
from mts1b.riskengine.context import GateContext
from mts1b.riskengine.exposure import Name
from mts1b.riskengine.verdict import ACCEPTED, Verdict, refused, unset

GATE = 4
LIMITS = ("gross_to_nav_max", "net_to_nav_max", "name_to_nav_max", "var_to_nav_max")


def with_order(name: Name, side: Side, quantity: Decimal) -> Name:
    """`name` with one more working order."""
    if side is Side.BUY:
        return replace(name, buys=name.buys + quantity)
    return replace(name, sells=name.sells + quantity)


def gate(command: SubmitOrder, context: GateContext) -> Verdict:
    """Refuse `mark_missing`, `nav_unknown`, `nav_not_positive`, `name`, `gross`, `net`, `covariance_missing`, `var`."""
    for limit in LIMITS:
        if getattr(context.limits, limit) is None:
            return unset(GATE, limit)
    state = context.state
    before = state.name(command.symbol)
    if before.mark is None or state.unmarked:
        return refused(GATE, "mark_missing", symbol=min(state.unmarked, default=command.symbol))
    nav = state.nav
    if nav is None:
        return refused(GATE, "nav_unknown")
    if nav <= 0:
        return refused(GATE, "nav_not_positive", nav=nav)
    return _exposures(command, context, before, nav)


def _exposures(command: SubmitOrder, context: GateContext, before: Name, nav: Decimal) -> Verdict:
    after = with_order(before, command.side, command.quantity)
    mark = before.mark or Decimal(0)
    old = context.state.totals
    new = old.exchange(before, after)
    limits = context.limits
    for measure, was, now, limit in (
        ("name", before.widest * mark, after.widest * mark, limits.name_to_nav_max),
        ("gross", old.gross, new.gross, limits.gross_to_nav_max),
        ("net", old.net, new.net, limits.net_to_nav_max),
    ):
        assert limit is not None  # gate() has looked
        if now > limit * nav and now > was:
            return refused(GATE, measure, worst=now, before=was, nav=nav, to_nav_max=limit)
    return _value_at_risk(command, context, mark, nav)


def _value_at_risk(command: SubmitOrder, context: GateContext, mark: Decimal, nav: Decimal) -> Verdict:
    """All working orders and this one taken as filled: the book that is being built."""
    covariance, limit = context.state.covariance, context.limits.var_to_nav_max
    assert limit is not None  # gate() has looked
    lacking = command.symbol if covariance is None or command.symbol not in covariance else None
    if covariance is None or lacking is not None:
        return refused(GATE, "covariance_missing", symbol=lacking)
    change = command.side.sign * command.quantity * mark
    after = covariance.value_at_risk(command.symbol, change)
    if after > limit * nav:
        before = covariance.value_at_risk(command.symbol, Decimal(0))
        if after > before:
            return refused(GATE, "var", value_at_risk=after, before=before, nav=nav, to_nav_max=limit)
    return ACCEPTED

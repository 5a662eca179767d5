"""Gate 6: what could leave the fund short must be borrowable. Buys and sales of shares held pass without a locate."""

from __future__ import annotations

from mts1b.foundation.clock import NS_PER_S
from mts1b.foundation.commands import SubmitOrder
from mts1b.foundation.order import Side
from mts1b.riskengine.context import GateContext
from mts1b.riskengine.verdict import ACCEPTED, Verdict, refused, unset

GATE = 6


def gate(command: SubmitOrder, context: GateContext) -> Verdict:
    """Refuse `borrow_unknown`, `borrow_stale`, `locate` or `borrow_rate`. Worst case: all sells fill first."""
    short = command.quantity - context.state.name(command.symbol).lowest
    if command.side is Side.BUY or short <= 0:
        return ACCEPTED
    rate_max, age_s_max = context.limits.borrow_rate_max, context.limits.borrow_age_s_max
    if rate_max is None:
        return unset(GATE, "borrow_rate_max")
    if age_s_max is None:
        return unset(GATE, "borrow_age_s_max")
    found, fetched_ns = context.state.borrow.get(command.symbol), context.state.borrow_ns
    if found is None or fetched_ns is None:
        return refused(GATE, "borrow_unknown", symbol=command.symbol, short=short)
    if context.now_ns - fetched_ns > age_s_max * NS_PER_S:
        return refused(GATE, "borrow_stale", fetched_ns=fetched_ns, borrow_age_s_max=age_s_max)
    if found.quantity < short:
        return refused(GATE, "locate", short=short, borrowable=found.quantity)
    if found.rate > rate_max:
        return refused(GATE, "borrow_rate", rate=found.rate, borrow_rate_max=rate_max)
    return ACCEPTED

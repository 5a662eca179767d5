"""Gate 6: what could leave the fund short must be borrowable. Buys and sales of shares held pass without a locate."""

from __future__ import annotations

from decimal import Decimal

from mts1b.foundation.clock import NS_PER_S
from mts1b.foundation.commands import SubmitOrder
from mts1b.foundation.order import Side
from mts1b.riskengine.context import GateContext
from mts1b.riskengine.exposure import ZERO
from mts1b.riskengine.limits import LIMITS_OF_GATE, known
from mts1b.riskengine.master import Borrow
from mts1b.riskengine.verdict import ACCEPTED, Verdict, refused, unset

GATE = 6


def gate(command: SubmitOrder, context: GateContext) -> Verdict:
    """Refuse `borrow_unknown`, `borrow_stale`, `borrow_quantity`, `locate`, `borrow_rate` or `short_sale_restriction`.

    Worst case: all sells fill first; what is short already is borrowed already. Under a restriction a short sale needs
    a limit price above the mark, which stands for the best bid.
    """
    held = context.state.name(command.symbol)
    short = command.quantity - held.lowest - max(-held.held, ZERO)
    if command.side is Side.BUY or short <= 0:
        return ACCEPTED
    if (missing := context.limits.first_unset(LIMITS_OF_GATE[GATE])) is not None:
        return unset(GATE, missing)
    age_s_max = known(context.limits.borrow_age_s_max)
    fetched_ns, found = context.state.borrow_ns, context.state.borrow.get(command.symbol)
    if fetched_ns is None:
        return refused(GATE, "borrow_unknown", symbol=command.symbol, short=short)
    if context.now_ns - fetched_ns > age_s_max * NS_PER_S:
        return refused(GATE, "borrow_stale", fetched_ns=fetched_ns, borrow_age_s_max=age_s_max)
    if found is None:
        return refused(GATE, "borrow_unknown", symbol=command.symbol, short=short)
    return _lent(command, context, found, short)


def _lent(command: SubmitOrder, context: GateContext, found: Borrow, short: Decimal) -> Verdict:
    rate_max = known(context.limits.borrow_rate_max)
    if found.quantity < short:
        return refused(GATE, "borrow_quantity", short=short, borrowable=found.quantity)
    if found.located is not None and found.located < short:
        return refused(GATE, "locate", short=short, located=found.located)
    if found.rate > rate_max:
        return refused(GATE, "borrow_rate", rate=found.rate, borrow_rate_max=rate_max)
    mark = context.state.name(command.symbol).price
    if found.is_restricted and (command.limit_price is None or mark is None or command.limit_price <= mark):
        return refused(GATE, "short_sale_restriction", limit_price=command.limit_price, mark=mark)
    return ACCEPTED

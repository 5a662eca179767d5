"""Gate 3: limits that need no position: symbol, size, price, number of open orders."""

from __future__ import annotations

from mts1b.foundation.commands import SubmitOrder
from mts1b.riskengine.context import GateContext
from mts1b.riskengine.verdict import ACCEPTED, Accepted, Verdict, refused, unset

GATE = 3


def gate(command: SubmitOrder, context: GateContext) -> Verdict:
    """Refuse `symbol_not_allowed`, `symbol_restricted`, `quantity`, `open_orders`, `mark_missing`, `price_collar` or
    `notional`."""
    for check in (_symbol, _size, _price):
        verdict = check(command, context)
        if not isinstance(verdict, Accepted):
            return verdict
    return ACCEPTED


def _symbol(command: SubmitOrder, context: GateContext) -> Verdict:
    allowed, restricted = context.limits.allowed_symbols, context.limits.restricted_symbols
    if allowed is None:
        return unset(GATE, "allowed_symbols")
    if restricted is None:
        return unset(GATE, "restricted_symbols")
    if command.symbol not in allowed:
        return refused(GATE, "symbol_not_allowed", symbol=command.symbol, allowed=len(allowed))
    if command.symbol in restricted:
        return refused(GATE, "symbol_restricted", symbol=command.symbol)
    return ACCEPTED


def _size(command: SubmitOrder, context: GateContext) -> Verdict:
    quantity_max, orders_max = context.limits.quantity_max, context.limits.open_orders_max
    if quantity_max is None:
        return unset(GATE, "quantity_max")
    if orders_max is None:
        return unset(GATE, "open_orders_max")
    if command.quantity > quantity_max:
        return refused(GATE, "quantity", quantity=command.quantity, quantity_max=quantity_max)
    if context.state.open_orders >= orders_max:
        return refused(GATE, "open_orders", open_orders=context.state.open_orders, open_orders_max=orders_max)
    return ACCEPTED


def _price(command: SubmitOrder, context: GateContext) -> Verdict:
    """The collar holds for the price the order was sized with and for its limit; a market order is worth its mark."""
    collar, notional_max = context.limits.price_collar, context.limits.notional_max
    if collar is None:
        return unset(GATE, "price_collar")
    if notional_max is None:
        return unset(GATE, "notional_max")
    mark = context.state.name(command.symbol).mark
    if mark is None:
        return refused(GATE, "mark_missing", symbol=command.symbol)
    worth = mark
    for price in (command.reference_price, command.limit_price):
        if price is not None:
            if abs(price - mark) > collar * mark:
                return refused(GATE, "price_collar", price=price, mark=mark, price_collar=collar)
            worth = max(worth, price)
    notional = command.quantity * worth
    if notional > notional_max:
        return refused(GATE, "notional", notional=notional, price=worth, notional_max=notional_max)
    return ACCEPTED

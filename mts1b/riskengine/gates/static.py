"""Gate 3: what needs no position: name, hours, size, price, how busy the fund is, and whether it would trade with
itself."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from mts1b.foundation.clock import NS_PER_S
from mts1b.foundation.commands import SubmitOrder
from mts1b.foundation.order import Side, TimeInForce
from mts1b.riskengine.activity import repeat_name
from mts1b.riskengine.context import GateContext
from mts1b.riskengine.limits import LIMITS_OF_GATE, known
from mts1b.riskengine.positions import Working
from mts1b.riskengine.verdict import ACCEPTED, Accepted, Verdict, refused, unset

GATE = 3

QUEUED = frozenset({TimeInForce.OPG, TimeInForce.GTC, TimeInForce.GTD})
"""Orders that wait at the venue for its hours, or outlive them. All others are refused outside of them."""


def gate(command: SubmitOrder, context: GateContext) -> Verdict:
    """The first of CHECKS that refuses; each says by which names."""
    if (missing := context.limits.first_unset(LIMITS_OF_GATE[GATE])) is not None:
        return unset(GATE, missing)
    for check in CHECKS:
        verdict = check(command, context)
        if not isinstance(verdict, Accepted):
            return verdict
    return ACCEPTED


def name(command: SubmitOrder, context: GateContext) -> Verdict:
    """Refuse `symbol_not_allowed`, `symbol_restricted` or `not_tradable`."""
    symbol, allowed = command.symbol, known(context.limits.allowed_symbols)
    if symbol not in allowed:
        return refused(GATE, "symbol_not_allowed", symbol=symbol, allowed=len(allowed))
    if symbol in known(context.limits.restricted_symbols):
        return refused(GATE, "symbol_restricted", symbol=symbol)
    if not context.state.book.master.instruments[symbol].tradable:
        return refused(GATE, "not_tradable", symbol=symbol)
    return ACCEPTED


def hours(command: SubmitOrder, context: GateContext) -> Verdict:
    """Refuse `session_unknown` or `session_closed`."""
    master = context.state.book.master
    named = master.instruments[command.symbol].session
    session = master.sessions.get(named)
    if session is None:
        return refused(GATE, "session_unknown", symbol=command.symbol, session=named)
    if command.time_in_force in QUEUED or session.is_open(context.now_ns):
        return ACCEPTED
    opens_ns = session.opens_after(context.now_ns)
    return refused(GATE, "session_closed", session=named, now_ns=context.now_ns, opens_ns=opens_ns)


def size(command: SubmitOrder, context: GateContext) -> Verdict:
    """Refuse `quantity` or `open_orders`."""
    quantity_max, orders_max = known(context.limits.quantity_max), known(context.limits.open_orders_max)
    if command.quantity > quantity_max:
        return refused(GATE, "quantity", quantity=command.quantity, quantity_max=quantity_max)
    if context.state.open_orders >= orders_max:
        return refused(GATE, "open_orders", open_orders=context.state.open_orders, open_orders_max=orders_max)
    return ACCEPTED


def pace(command: SubmitOrder, context: GateContext) -> Verdict:
    """Refuse `order_rate`, `message_rate` or `order_to_trade`."""
    activity, limits, now_ns = context.state.activity, context.limits, context.now_ns
    for reason, count, limit in (
        ("order_rate", activity.orders_within_second(now_ns), known(limits.orders_per_s_max)),
        ("message_rate", activity.messages_within_second(now_ns), known(limits.messages_per_s_max)),
    ):
        if count >= limit:
            return refused(GATE, reason, within_second=count, per_s_max=limit)
    messages, traded = activity.day(now_ns)
    ratio_max = known(limits.order_to_trade_max)
    if messages >= known(limits.order_to_trade_from) and messages + 1 > ratio_max * max(traded, 1):
        return refused(GATE, "order_to_trade", messages=messages, traded=traded, order_to_trade_max=ratio_max)
    return ACCEPTED


def repeats(command: SubmitOrder, context: GateContext) -> Verdict:
    """Refuse `repeated_execution`: a strategy that traded the same way too often waits for a person."""
    repeat = (command.strategy_id, command.symbol, command.side)
    repeats_max, window_s = known(context.limits.repeats_max), known(context.limits.repeats_window_s)
    count = context.state.activity.repeats(repeat, context.now_ns, window_s)
    named = repeat_name(repeat)
    if named in context.state.standing.throttled or count >= repeats_max:
        return refused(
            GATE, "repeated_execution", repeat=named, count=count, repeats_max=repeats_max, window_s=window_s
        )
    return ACCEPTED


def price(command: SubmitOrder, context: GateContext) -> Verdict:
    """Refuse `mark_missing`, `quote_stale` or `price_collar`. The collar holds for the price the order was sized with
    and for its limit; that of a stop order, which is far off on purpose, is held against its stop price."""
    book, limits = context.state.book, context.limits
    quoted = book.quoted.get(command.symbol)
    if quoted is None:
        return refused(GATE, "mark_missing", symbol=command.symbol)
    collar, age_s_max = known(limits.price_collar), known(limits.quote_age_s_max)
    age_ns = max(context.now_ns - quoted.received_ns, book.market_ns - quoted.ts_ns)
    if age_ns > age_s_max * NS_PER_S:
        return refused(GATE, "quote_stale", symbol=command.symbol, age_ns=age_ns, quote_age_s_max=age_s_max)
    from_there = quoted.price if command.stop_price is None else command.stop_price
    for asked, centre in ((command.reference_price, quoted.price), (command.limit_price, from_there)):
        if asked is not None and abs(asked - centre) > collar * centre:
            return refused(GATE, "price_collar", price=asked, mark=centre, price_collar=collar)
    return ACCEPTED


def notional(command: SubmitOrder, context: GateContext) -> Verdict:
    """Refuse `rate_missing` or `notional`."""
    notional_max, held = known(context.limits.notional_max), context.state.name(command.symbol)
    if held.price is None or held.rate is None:
        return refused(GATE, "rate_missing", symbol=command.symbol)
    unit = synthetic_price(command, held.price, known(context.limits.market_margin))
    worth = command.quantity * unit * held.rate
    if worth > notional_max:
        return refused(GATE, "notional", notional=worth, price=unit, notional_max=notional_max)
    return ACCEPTED


def synthetic_price(command: SubmitOrder, mark: Decimal, market_margin: Decimal) -> Decimal:
    """What a unit of the order may come to: the dearest of its prices and the mark, and for an order that takes any
    price the margin more."""
    dearest = max(mark, command.reference_price, command.limit_price or mark, command.stop_price or mark)
    return dearest if command.limit_price is not None else dearest * (1 + market_margin)


def self_match(command: SubmitOrder, context: GateContext) -> Verdict:
    """Refuse `self_match`: it could trade with an order of the same fund. Stop orders are not in the market yet."""
    if context.limits.self_match_allowed or command.stop_price is not None:
        return ACCEPTED
    for resting in context.state.book.at_work(command.symbol):
        if crosses(command, resting):
            return refused(
                GATE, "self_match", limit_price=command.limit_price, resting=resting.quantity, at=resting.limit_price
            )
    return ACCEPTED


def crosses(command: SubmitOrder, resting: Working) -> bool:
    """Whether the two could trade with each other."""
    if resting.side is command.side or resting.stop_price is not None:
        return False
    if command.limit_price is None or resting.limit_price is None:
        return True
    buy, sell = command.limit_price, resting.limit_price
    if command.side is Side.SELL:
        buy, sell = sell, buy
    return buy >= sell


Check = Callable[[SubmitOrder, GateContext], Verdict]

CHECKS: tuple[Check, ...] = (name, hours, size, pace, repeats, price, notional, self_match)
"""In their order; the first refusal stops."""

"""The chain, the state that follows events, and limits that hold whatever order the world comes in."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mts1b.foundation.commands import CancelOrder, SubmitOrder
from mts1b.foundation.errors import InputError
from mts1b.foundation.events import (
    OrderCancelled,
    OrderDenied,
    OrderEvent,
    OrderExpired,
    OrderFilled,
    OrderReceived,
    OrderRejected,
    OrderWorking,
)
from mts1b.foundation.fill import Fill
from mts1b.foundation.ids import FillId, OrderId, StrategyId, Symbol, VenueOrderId
from mts1b.foundation.order import OrderStatus, Side
from mts1b.oms.machine import new_order
from mts1b.riskengine import ACCEPTED, Borrow, Refused, RiskService, RiskSnapshot
from mts1b.riskengine.activity import RecentOrder
from mts1b.riskengine.chain import Chain
from mts1b.riskengine.context import GateContext
from mts1b.riskengine.covariance import Covariance
from mts1b.riskengine.verdict import Verdict
from tests.unit.riskengine.books import FUND, NOW_NS, SYMBOLS, command, service

A = Symbol("A")


def fill_of(asked: SubmitOrder, quantity: int, name: str = "F", price: str = "10", fee: str = "1") -> OrderFilled:
    order = new_order(asked, 1)
    made = Fill(
        FillId(name), order.order_id, FUND, order.strategy_id, order.symbol, order.side, Decimal(quantity),
        Decimal(price), Decimal(fee), 2,
    )  # fmt: skip
    return OrderFilled(order.order_id, made, 2)


def test_a_decision_says_how_long_each_gate_took() -> None:
    ticks = iter(range(0, 10_000, 10))
    chain = Chain(lambda: next(ticks))
    engine = service()
    context = GateContext(engine.limits, engine.state, NOW_NS)
    assert chain.evaluate(command(1), context) == (ACCEPTED, (10,) * 6)
    verdict, spent_ns = chain.evaluate(command(2, quantity="100001"), context)
    assert isinstance(verdict, Refused) and spent_ns == (10,) * 3


@pytest.mark.parametrize("error", [ValueError("x"), TypeError("x"), ZeroDivisionError("x"), KeyError("x")])
def test_a_gate_that_fails_refuses(error: Exception) -> None:
    def broken(_order: SubmitOrder, _context: GateContext) -> Verdict:
        raise error

    engine = service()
    verdict, _ = Chain(lambda: 0, gates=(broken,)).evaluate(command(), GateContext(engine.limits, engine.state, 1))
    assert isinstance(verdict, Refused) and verdict.reason == "gate_failed"


def test_cancels_pass_a_halted_fund() -> None:
    engine = service()
    engine.halt()
    assert engine.check(CancelOrder(OrderId("x"), "why")).verdict is ACCEPTED


def test_events_move_shares_from_working_to_held() -> None:
    engine = service()
    asked = command(1)
    engine.check(asked)
    assert engine.state.name(A).buys == 100
    order = new_order(asked, 1)
    engine.on_events([OrderReceived(order, 1), OrderWorking(order.order_id, VenueOrderId("V"), 1)])
    assert engine.state.name(A).buys == 100
    engine.on_event(fill_of(asked, 40, "F1"))
    assert (engine.state.name(A).held, engine.state.name(A).buys) == (40, 60)
    engine.on_event(OrderCancelled(order.order_id, "", 3))
    assert (engine.state.name(A).held, engine.state.name(A).buys) == (40, 0)
    engine.on_event(fill_of(asked, 10, "F2"))  # crossed the cancel
    assert engine.state.name(A).held == 50 and not engine.state.working
    assert engine.state.cash == 100_000 - 500 - 2


@pytest.mark.parametrize("end", [OrderCancelled, OrderRejected, OrderExpired])
def test_each_end_frees_what_was_working(end: type[OrderCancelled]) -> None:
    engine = service()
    engine.check(command(1))
    order = new_order(command(1), 1)
    engine.on_events([OrderReceived(order, 1), end(order.order_id, "", 2)])
    assert engine.state.name(A).is_idle and not engine.state.open_orders


def test_a_denied_order_leaves_nothing_working() -> None:
    engine = service()
    order = new_order(command(1), 1)
    engine.on_events([OrderReceived(order, 1), OrderDenied(order.order_id, 4, "gross", (), 1)])
    assert engine.state.name(A).is_idle and len(engine.state.keys) == 1


def facts(engine: RiskService) -> dict[str, object]:
    """All that decides, but for the covariance."""
    book = {
        k: v for k, v in vars(engine.state.book).items() if k not in ("covariance", "_splits", "quoted", "_at_work")
    }
    at_work = {k: v for k, v in engine.state.book._at_work.items() if v}
    return vars(engine.state) | {"book": book, "at_work": at_work, "activity": engine.state.activity.day(10**18)[0]}


def test_a_restored_engine_equals_the_one_that_followed() -> None:
    engine = service()
    for n in range(3):
        engine.check(command(n))
        engine.on_event(OrderReceived(new_order(command(n), 1), 10**18))
    engine.on_event(fill_of(command(0), 100, "F0"))
    engine.on_event(fill_of(command(1), 30, "F1"))
    part = replace(new_order(command(1), 1), status=OrderStatus.PARTIALLY_FILLED, filled_quantity=Decimal(30))
    other = service()
    other.restore(
        RiskSnapshot(
            cash=engine.state.cash,
            positions=((A, Decimal(130)),),
            open_orders=(part, replace(new_order(command(2), 1), status=OrderStatus.WORKING)),
            keys=tuple(engine.state.keys.items()),
            marks=tuple((symbol, Decimal(10)) for symbol in SYMBOLS),
            marked_ns=engine.state.marked_ns,
            last_nav=engine.state.last_nav,
            peak_nav=engine.state.peak_nav,
            day_start_nav=engine.state.day_start_nav,
            quoted=tuple((s, q.ts_ns, q.received_ns) for s, q in engine.state.book.quoted.items()),
            recent=tuple(RecentOrder((StrategyId("s"), A, Side.BUY), 10**18) for _ in range(3)),
        )
    )
    assert facts(other) == facts(engine)
    assert other.statistics()["open_orders"] == 2


ASKED = st.tuples(st.sampled_from(SYMBOLS), st.sampled_from(list(Side)), st.integers(1, 3000), st.integers(0, 3))
STORY = st.lists(ASKED, max_size=25)


@settings(max_examples=150, deadline=None)
@given(STORY)
def test_no_subset_of_fills_carries_the_fund_past_its_limits(story: list[tuple[Symbol, Side, int, int]]) -> None:
    """Brute force: all ends of all accepted orders, against what gate 4 promised."""
    engine = service(leverage_max="0.6", net_to_nav_max="0.4", name_to_nav_max="0.3")
    engine.set_borrow([(symbol, Borrow(Decimal(10**6), Decimal(0))) for symbol in SYMBOLS], 10**18)
    accepted: list[SubmitOrder] = []
    for n, (symbol, side, quantity, _) in enumerate(story):
        asked = command(n, side, str(quantity), symbol=symbol)
        if engine.check(asked).accepted:
            accepted.append(asked)
    ends = []
    for symbol in SYMBOLS:
        mine = [order for order in accepted if order.symbol == symbol]
        buys = sum((o.quantity for o in mine if o.side is Side.BUY), Decimal(0))
        sells = sum((o.quantity for o in mine if o.side is Side.SELL), Decimal(0))
        ends.append([buys * 10, -sells * 10])
        assert max(buys, sells) * 10 <= Decimal("0.3") * 100_000
    for world in product(*ends):
        assert abs(sum(world)) <= Decimal("0.4") * 100_000
        assert sum(abs(amount) for amount in world) <= Decimal("0.6") * 100_000


@settings(max_examples=100, deadline=None)
@given(STORY)
def test_running_totals_equal_a_recount(story: list[tuple[Symbol, Side, int, int]]) -> None:
    engine = service()
    for n, (symbol, side, quantity, what) in enumerate(story):
        asked = command(n, side, str(quantity), symbol=symbol)
        order = new_order(asked, 1)
        events: list[OrderEvent] = [OrderReceived(order, 1)]
        if what:
            events.append(fill_of(asked, max(1, quantity * what // 3), f"F{n}"))
        if what == 2:
            events.append(OrderCancelled(order.order_id, "", 2))
        engine.on_events(events)
        engine.mark({symbol: Decimal(10 + n)}, 10**18 + n)
    names = engine.state.names.values()
    totals = engine.state.totals
    assert totals.gross == sum(name.widest * name.mark for name in names if name.mark)
    assert totals.highest == sum(name.highest * name.mark for name in names if name.mark)
    assert totals.lowest == sum(name.lowest * name.mark for name in names if name.mark)
    assert totals.held == sum(name.held * name.mark for name in names if name.mark)
    for symbol in SYMBOLS:
        mine = [part for part in engine.state.working.values() if part.symbol == symbol]
        assert engine.state.name(symbol).buys == sum(p.quantity for p in mine if p.side is Side.BUY)
        assert engine.state.name(symbol).sells == sum(p.quantity for p in mine if p.side is Side.SELL)


def test_value_at_risk_is_the_formula() -> None:
    rng = np.random.default_rng(3)
    matrix = np.cov(rng.normal(size=(50, 3)).T) * 1e-4
    covariance = Covariance(SYMBOLS, matrix)
    exposure = {SYMBOLS[0]: Decimal("1000"), SYMBOLS[1]: Decimal("-250.5"), SYMBOLS[2]: Decimal("77")}
    covariance.load({})
    for symbol, amount in exposure.items():
        covariance.move(symbol, amount)
    x = np.array([1000.0, -250.5, 77.0 + 33.0])
    want = 2.3263478740408408 * np.sqrt(x @ matrix @ x)
    assert abs(covariance.value_at_risk(SYMBOLS[2], Decimal(33)) - Decimal(float(want))) < Decimal("0.01")


@pytest.mark.parametrize(
    "matrix", [np.eye(2), np.array([[1.0, 2, 0], [0, 1, 0], [0, 0, 1]]), np.eye(3) * np.nan, -np.eye(3)]
)
def test_a_bad_covariance_is_refused(matrix: np.ndarray) -> None:
    with pytest.raises(InputError, match="covariance"):
        Covariance(SYMBOLS, matrix)

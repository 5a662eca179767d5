"""Each gate: a table of what it refuses and by which name, and that an unset limit denies."""

from __future__ import annotations

from dataclasses import fields, replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mts1b.foundation.clock import NS_PER_S
from mts1b.foundation.commands import SubmitOrder
from mts1b.foundation.ids import IdempotencyKey, Symbol
from mts1b.foundation.order import OrderType, Side
from mts1b.riskengine import Borrow, Refused, RiskService, RiskSnapshot, state
from tests.unit.riskengine.books import DAY_S, SYMBOLS, WIDE, command, service

BUY, SELL = Side.BUY, Side.SELL


def outcome(engine: RiskService, order: Any) -> str:
    """`ok`, or `gate:reason`."""
    verdict = engine.check(order).verdict
    return f"{verdict.gate}:{verdict.reason}" if isinstance(verdict, Refused) else "ok"


GATE_OF = {
    1: ["dedup_window_s"],
    2: ["price_tick", "quantity_lot"],
    3: ["allowed_symbols", "restricted_symbols", "quantity_max", "notional_max", "price_collar", "open_orders_max"],
    4: ["gross_to_nav_max", "net_to_nav_max", "name_to_nav_max", "var_to_nav_max"],
    5: ["day_drawdown_reduce", "day_drawdown_halt", "peak_drawdown_reduce", "peak_drawdown_halt"],
    6: ["borrow_rate_max", "borrow_age_s_max"],
}


@pytest.mark.parametrize(("gate", "limit"), [(gate, name) for gate, names in GATE_OF.items() for name in names])
def test_an_unset_limit_denies(gate: int, limit: str) -> None:
    short_sale = command(side=SELL)
    verdict = service(**{limit: None}).check(short_sale).verdict
    assert verdict == Refused(gate, "limit_unset", (("limit", limit),))


def test_every_limit_is_in_the_table() -> None:
    assert {name for names in GATE_OF.values() for name in names} == set(WIDE)


def test_a_fresh_engine_refuses() -> None:
    engine = service()
    engine.restore(RiskSnapshot(Decimal(1)))
    assert outcome(engine, command()) == "3:mark_missing"


NAN, INFINITY = Decimal("nan"), Decimal("inf")
MALFORMED: list[tuple[dict[str, Any], str]] = [
    ({"quantity": Decimal(0)}, "2:malformed"),
    ({"quantity": Decimal(-5)}, "2:malformed"),
    ({"quantity": NAN}, "2:malformed"),
    ({"quantity": INFINITY}, "2:malformed"),
    ({"quantity": "100"}, "2:malformed"),
    ({"quantity": 100.0}, "2:malformed"),
    ({"quantity": None}, "2:malformed"),
    ({"quantity": Decimal("1E+30")}, "2:malformed"),
    ({"quantity": Decimal("1.5")}, "2:off_lot"),
    ({"reference_price": Decimal("-1")}, "2:malformed"),
    ({"reference_price": Decimal("10.001")}, "2:off_tick"),
    ({"symbol": Symbol("")}, "2:malformed"),
    ({"symbol": Symbol("A\x00B")}, "2:malformed"),
    ({"symbol": None}, "2:malformed"),
    ({"side": "hold"}, "2:malformed"),
    ({"order_type": None}, "2:malformed"),
    ({"decided_ns": -1}, "2:malformed"),
    ({"decided_ns": 2**63}, "2:malformed"),
    ({"decided_ns": "now"}, "2:malformed"),
    ({"idempotency_key": ""}, "1:key_missing"),
    ({"idempotency_key": None}, "1:key_missing"),
    ({"idempotency_key": ["x"]}, "1:key_missing"),
    ({"idempotency_key": "x" * 65}, "2:malformed"),
    ({"fund_id": "other"}, "2:wrong_fund"),
    ({"limit_price": Decimal(10)}, "2:limit_price"),
    ({"order_type": OrderType.LIMIT}, "2:limit_price"),
    ({"order_type": OrderType.LIMIT, "limit_price": Decimal("10.005")}, "2:off_tick"),
    ({"order_type": OrderType.LIMIT, "limit_price": Decimal("10.5")}, "ok"),
]


@pytest.mark.parametrize(("changes", "want"), MALFORMED)
def test_gate_2_names_what_is_malformed(changes: dict[str, Any], want: str) -> None:
    assert outcome(service(), replace(command(), **changes)) == want


JUNK = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.decimals(), st.text(max_size=5))
FIELDS = sorted(item.name for item in fields(SubmitOrder))


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), JUNK | st.lists(st.integers(), max_size=1), min_size=1, max_size=4))
def test_junk_is_refused_by_name(changes: dict[str, Any]) -> None:
    order = replace(command(), **changes)
    result = outcome(service(), order)
    assert result == "ok" or result.split(":")[0] in {"1", "2", "3", "4", "5", "6"}
    assert "gate_failed" not in result
    if result == "ok":
        assert order.quantity > 0 and order.symbol in SYMBOLS


def test_gate_1_bars_a_key_for_its_window() -> None:
    engine = service()
    assert outcome(engine, command(1)) == "ok"
    assert outcome(engine, command(1)) == "1:duplicate_key"
    engine._clock.advance(DAY_S * NS_PER_S - 1)  # type: ignore[attr-defined]
    assert outcome(engine, command(1)) == "1:duplicate_key"
    engine._clock.advance(1)  # type: ignore[attr-defined]
    assert outcome(engine, command(1)) == "ok"
    assert len(engine.state.keys) == 1


def test_keys_in_memory_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "DEDUP_KEYS_IN_MEMORY_MAX", 3)
    engine = service()
    assert [outcome(engine, command(n)) for n in range(6)] == ["ok"] * 6
    assert list(engine.state.keys) == ["key2", "key3", "key4", "key5"]  # cut before each check, then one more


def test_a_released_key_is_free_again() -> None:
    engine = service()
    engine.check(command(1))
    engine.release(IdempotencyKey("key1"))
    assert engine.state.name(Symbol("A")).buys == 0 and outcome(engine, command(1)) == "ok"


STATIC: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"symbol": Symbol("Z")}, {}, "3:symbol_not_allowed"),
    ({}, {"restricted_symbols": ["A"]}, "3:symbol_restricted"),
    ({}, {"quantity_max": "100"}, "ok"),
    ({}, {"quantity_max": "99"}, "3:quantity"),
    ({}, {"notional_max": "1000"}, "ok"),
    ({}, {"notional_max": "999.99"}, "3:notional"),
    ({"reference_price": Decimal("10.50")}, {"price_collar": "0.05"}, "ok"),
    ({"reference_price": Decimal("10.51")}, {"price_collar": "0.05"}, "3:price_collar"),
    ({"reference_price": Decimal("9.49")}, {"price_collar": "0.05"}, "3:price_collar"),
    ({"reference_price": Decimal("10.50")}, {"notional_max": "1049"}, "3:notional"),
    (
        {"order_type": OrderType.LIMIT, "limit_price": Decimal("11")},
        {"price_collar": "0.05"},
        "3:price_collar",
    ),
    ({}, {"open_orders_max": 0}, "3:open_orders"),
]


@pytest.mark.parametrize(("order", "changes", "want"), STATIC)
def test_gate_3_static(order: dict[str, Any], changes: dict[str, Any], want: str) -> None:
    assert outcome(service(**changes), command(**order)) == want


def test_gate_3_counts_orders_in_flight() -> None:
    engine = service(open_orders_max=2)
    assert [outcome(engine, command(n)) for n in range(3)] == ["ok", "ok", "3:open_orders"]


POSITION: list[tuple[dict[str, int], list[tuple[Side, str, str]], dict[str, Any], str]] = [
    # held, (side, quantity, symbol) one after another, limits; NAV is 100,000 with nothing held
    ({}, [(BUY, "1000", "A")], {"name_to_nav_max": "0.1"}, "ok"),
    ({}, [(BUY, "1001", "A")], {"name_to_nav_max": "0.1"}, "4:name"),
    ({}, [(BUY, "600", "A"), (BUY, "401", "A")], {"name_to_nav_max": "0.1"}, "4:name"),
    ({}, [(BUY, "600", "A"), (SELL, "1000", "A")], {"name_to_nav_max": "0.1"}, "6:borrow_unknown"),
    ({"A": 500}, [(SELL, "500", "A"), (BUY, "500", "A")], {"name_to_nav_max": "0.1"}, "ok"),
    ({"A": 500}, [(SELL, "500", "A"), (BUY, "501", "A")], {"name_to_nav_max": "0.1"}, "4:name"),
    ({}, [(BUY, "1000", "A"), (BUY, "1001", "B")], {"gross_to_nav_max": "0.2"}, "4:gross"),
    ({}, [(BUY, "1000", "A"), (BUY, "1000", "B")], {"gross_to_nav_max": "0.2"}, "ok"),
    ({"A": 1000, "B": -1000}, [(BUY, "1", "C")], {"net_to_nav_max": "0.0001"}, "ok"),
    ({"A": 1000, "B": -1000}, [(BUY, "2", "C")], {"net_to_nav_max": "0.0001"}, "4:net"),
    ({"A": 20000}, [(SELL, "100", "A")], {"gross_to_nav_max": "0.2"}, "ok"),
    ({"A": 20000}, [(BUY, "1", "A")], {"gross_to_nav_max": "0.2"}, "4:gross"),
    ({}, [(BUY, "4298", "A")], {"var_to_nav_max": "0.01"}, "ok"),
    ({}, [(BUY, "4299", "A")], {"var_to_nav_max": "0.01"}, "4:var"),
    ({}, [(BUY, "4298", "A"), (BUY, "1", "B")], {"var_to_nav_max": "0.01"}, "ok"),
    ({}, [(BUY, "4298", "A"), (BUY, "100", "B")], {"var_to_nav_max": "0.01"}, "4:var"),
]


@pytest.mark.parametrize(("held", "orders", "changes", "want"), POSITION)
def test_gate_4_position(
    held: dict[str, int], orders: list[tuple[Side, str, str]], changes: dict[str, Any], want: str
) -> None:
    cash = str(100_000 - 10 * sum(held.values()))
    engine = service(held, cash, **changes)
    results = [outcome(engine, command(n, side, q, symbol=Symbol(s))) for n, (side, q, s) in enumerate(orders)]
    assert results[-1] == want and all(result == "ok" for result in results[:-1])


def test_gate_4_wants_marks_covariance_and_a_positive_nav() -> None:
    engine = service({"A": 100}, "-1000")
    assert outcome(engine, command()) == "4:nav_not_positive"
    engine = service()
    engine.set_covariance([Symbol("B")], np.eye(1))
    assert outcome(engine, command()) == "4:covariance_missing"


def test_gate_5_latches_and_relaxes_as_documented() -> None:
    day = 86_400 * NS_PER_S
    tight = {"day_drawdown_reduce": "0.02", "day_drawdown_halt": "0.1", "peak_drawdown_halt": "0.05"}
    engine = service({"A": 1000}, "90000", **tight)
    start = engine.state.marked_ns
    engine.mark({Symbol("A"): Decimal("8")}, start + 1)  # NAV 98,000: 2 % below the day's start
    assert engine.state.mode == "reducing"
    assert outcome(engine, command(1)) == "5:reducing"
    assert outcome(engine, command(2, SELL, "1000", reference_price=Decimal(8))) == "ok"
    assert outcome(engine, command(3, SELL, "1", reference_price=Decimal(8))) == "5:reducing"  # would cross zero
    engine.mark({Symbol("A"): Decimal("10")}, start + 2)
    assert engine.state.mode == "reducing"  # recovered, still latched
    engine.mark({Symbol("A"): Decimal("10")}, start + day)
    assert engine.state.mode == "active"
    engine.mark({Symbol("A"): Decimal("5")}, start + day + 1)  # 5 % below the peak
    assert engine.state.mode == "halted"
    engine.mark({Symbol("A"): Decimal("10")}, start + 3 * day)
    assert outcome(engine, command(5, SELL, "1")) == "5:halted"
    assert engine.rearm() == "active" and outcome(engine, command(6)) == "ok"
    engine.halt()
    assert outcome(engine, command(7)) == "5:halted"


BORROW: list[tuple[dict[str, Any], str, int, str]] = [
    ({}, "100", 0, "6:borrow_unknown"),
    ({"A": ("1000", "0.02")}, "1000", 0, "ok"),
    ({"A": ("1000", "0.02")}, "1001", 0, "6:locate"),
    ({"A": ("1000", "0.11")}, "10", 0, "6:borrow_rate"),
    ({"A": ("1000", "0.02")}, "10", 3601, "6:borrow_stale"),
    ({"B": ("1000", "0.02")}, "10", 0, "6:borrow_unknown"),
]


@pytest.mark.parametrize(("borrow", "quantity", "age_s", "want"), BORROW)
def test_gate_6_short(borrow: dict[str, Any], quantity: str, age_s: int, want: str) -> None:
    engine = service()
    if borrow:
        found = [(Symbol(name), Borrow(Decimal(q), Decimal(rate))) for name, (q, rate) in borrow.items()]
        engine.set_borrow(found, 10**18 - age_s * NS_PER_S)
    assert outcome(engine, command(side=SELL, quantity=quantity)) == want


def test_gate_6_counts_sells_in_flight_before_it_lets_shares_go() -> None:
    engine = service({"A": 100})
    assert outcome(engine, command(1, SELL, "60")) == "ok"
    assert outcome(engine, command(2, SELL, "40")) == "ok"
    assert outcome(engine, command(3, SELL, "1")) == "6:borrow_unknown"

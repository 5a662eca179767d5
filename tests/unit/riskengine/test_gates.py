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
from mts1b.foundation.commands import CancelOrder, SubmitOrder
from mts1b.foundation.events import OrderFilled, OrderReceived
from mts1b.foundation.fill import Fill
from mts1b.foundation.ids import FillId, IdempotencyKey, OrderId, StrategyId, Symbol
from mts1b.foundation.instrument import Session
from mts1b.foundation.order import OrderType, Side, TimeInForce
from mts1b.oms.machine import new_order
from mts1b.riskengine import Borrow, MasterData, Mode, Refused, RiskLimits, RiskService, RiskSnapshot, state
from mts1b.riskengine.limits import LIMITS_OF_GATE
from mts1b.testing.clock import SimulatedClock
from tests.unit.riskengine.books import DAY_S, FUND, MASTER, NOW_NS, SYMBOLS, command, limits, service

BUY, SELL = Side.BUY, Side.SELL


def outcome(engine: RiskService, order: Any) -> str:
    """`ok`, or `gate:reason`."""
    verdict = engine.check(order).verdict
    return f"{verdict.gate}:{verdict.reason}" if isinstance(verdict, Refused) else "ok"


@pytest.mark.parametrize(("gate", "limit"), [(gate, name) for gate, names in LIMITS_OF_GATE.items() for name in names])
def test_an_unset_limit_denies(gate: int, limit: str) -> None:
    short_sale = command(side=SELL)
    verdict = service(**{limit: None}).check(short_sale).verdict
    assert verdict == Refused(gate, "limit_unset", (("limit", limit),))


def test_every_limit_is_in_the_table() -> None:
    assert {name for names in LIMITS_OF_GATE.values() for name in names} == set(RiskLimits.model_fields)


def test_a_fresh_engine_refuses() -> None:
    engine = service()
    engine.restore(RiskSnapshot(Decimal(1)))
    assert outcome(engine, command()) == "3:mark_missing"
    fresh = RiskService(FUND, limits(), SimulatedClock(NOW_NS))
    assert outcome(fresh, command()) == "2:instrument_unknown"
    unset = RiskService(FUND, RiskLimits(), SimulatedClock(NOW_NS), MASTER)
    assert outcome(unset, command()) == "1:limit_unset"


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
    ({"symbol": Symbol("Z")}, "2:instrument_unknown"),
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
    ({"symbol": Symbol("C")}, {"allowed_symbols": ["A", "B"]}, "3:symbol_not_allowed"),
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


def test_gate_3_marks_orders_without_a_limit_up() -> None:
    for margin, want in (("0", "ok"), ("0.01", "3:notional")):
        engine = service(notional_max="1000", market_margin=margin)
        assert outcome(engine, command()) == want
    engine = service(notional_max="1000", market_margin="0.01")
    assert outcome(engine, command(order_type=OrderType.LIMIT, limit_price=Decimal(10))) == "ok"
    assert outcome(service(notional_max="1010", market_margin="0.01"), command()) == "ok"


HOURS = Session("XNYS", ((NOW_NS - 10, NOW_NS + 10), (NOW_NS + 100, NOW_NS + 200)))
CLOSED = Session("XNYS", ((NOW_NS - 10, NOW_NS), (NOW_NS + 100, NOW_NS + 200)))
DAY, GTC, IOC, OPG = TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.OPG


@pytest.mark.parametrize(
    ("sessions", "tif", "want"),
    [
        ([HOURS], DAY, "ok"),
        ([CLOSED], DAY, "3:session_closed"),
        ([CLOSED], IOC, "3:session_closed"),
        ([CLOSED], GTC, "ok"),
        ([CLOSED], OPG, "ok"),
        ([], DAY, "3:session_unknown"),
        ([], OPG, "3:session_unknown"),
        ([Session("XNYS", ())], DAY, "3:session_closed"),
    ],
)
def test_gate_3_knows_the_hours(sessions: list[Session], tif: TimeInForce, want: str) -> None:
    rows = [replace(item, session="XNYS") for item in MASTER.instruments.values()]
    engine = service(master=MasterData.of(rows, MASTER.adv, sessions))
    assert outcome(engine, command(time_in_force=tif)) == want


def test_a_session_opens_at_its_open_and_closes_at_its_close() -> None:
    asked = [NOW_NS - 11, NOW_NS - 10, NOW_NS + 9, NOW_NS + 10, NOW_NS + 100, NOW_NS + 199, NOW_NS + 200]
    assert [HOURS.is_open(now_ns) for now_ns in asked] == [False, True, True, False, True, True, False]
    assert [HOURS.opens_after(now_ns) for now_ns in (0, NOW_NS - 10, NOW_NS + 99, NOW_NS + 100)] == [
        NOW_NS - 10, NOW_NS + 100, NOW_NS + 100, None,
    ]  # fmt: skip


def test_gate_3_refuses_what_cannot_be_traded_now() -> None:
    rows = [replace(item, tradable=item.symbol != "A") for item in MASTER.instruments.values()]
    engine = service(master=MasterData.of(rows, MASTER.adv))
    assert outcome(engine, command()) == "3:not_tradable" and outcome(engine, command(symbol=Symbol("B"))) == "ok"


def test_gate_3_wants_a_fresh_quote() -> None:
    engine = service(quote_age_s_max=5)
    engine._clock.advance(5 * NS_PER_S)  # type: ignore[attr-defined]
    assert outcome(engine, command(1)) == "ok"
    engine._clock.advance(1)  # type: ignore[attr-defined]
    assert outcome(engine, command(2)) == "3:quote_stale"
    engine.mark({Symbol("B"): Decimal(10)}, NOW_NS + 5 * NS_PER_S)
    assert outcome(engine, command(3, symbol=Symbol("B"))) == "ok"
    engine.mark({Symbol("A"): Decimal(10)}, NOW_NS)  # came now, and is older than the market by the limit
    assert outcome(engine, command(4)) == "ok"
    engine.mark({Symbol("B"): Decimal(10)}, NOW_NS + 5 * NS_PER_S + 1)
    assert outcome(engine, command(5)) == "3:quote_stale"


def test_gate_3_counts_a_second() -> None:
    engine = service(orders_per_s_max=2)
    assert [outcome(engine, command(n)) for n in range(3)] == ["ok", "ok", "3:order_rate"]
    engine._clock.advance(NS_PER_S - 1)  # type: ignore[attr-defined]
    assert outcome(engine, command(3)) == "3:order_rate"
    engine._clock.advance(1)  # type: ignore[attr-defined]
    assert outcome(engine, command(4)) == "ok"


def test_gate_3_counts_messages_and_lets_cancels_pass() -> None:
    engine = service(messages_per_s_max=3)
    assert outcome(engine, command(1)) == "ok"
    assert [engine.check(CancelOrder(OrderId("x"), "")).accepted for _ in range(5)] == [True] * 5
    assert outcome(engine, command(2)) == "3:message_rate"


def test_gate_3_bounds_messages_for_each_trade() -> None:
    engine = service(order_to_trade_max="3", order_to_trade_from=4)
    assert [outcome(engine, command(n)) for n in range(5)] == ["ok"] * 4 + ["3:order_to_trade"]
    engine.on_events([OrderReceived(new_order(command(0), NOW_NS), NOW_NS), traded(command(0), NOW_NS)])
    assert outcome(engine, command(5)) == "3:order_to_trade"  # 5 for 1
    engine.on_events([OrderReceived(new_order(command(1), NOW_NS), NOW_NS), traded(command(1), NOW_NS)])
    assert [outcome(engine, command(n)) for n in (6, 7, 8)] == ["ok", "ok", "3:order_to_trade"]  # 6 for 2
    engine._clock.advance(DAY_S * NS_PER_S)  # type: ignore[attr-defined]
    engine.mark({symbol: Decimal(10) for symbol in SYMBOLS}, NOW_NS)
    assert outcome(engine, command(9)) == "ok"


def traded(asked: SubmitOrder, ts_ns: int, quantity: int = 1) -> OrderFilled:
    order = new_order(asked, NOW_NS)
    fill = Fill(
        FillId(f"F{asked.idempotency_key}{ts_ns}"), order.order_id, FUND, order.strategy_id, order.symbol, order.side,
        Decimal(quantity), Decimal(10), Decimal(0), ts_ns,
    )  # fmt: skip
    return OrderFilled(order.order_id, fill, ts_ns)


def test_gate_3_throttles_repeats_until_a_person_has_looked() -> None:
    engine = service(repeats_max=2, repeats_window_s=10)
    for n in (1, 2):
        assert outcome(engine, command(n)) == "ok"
        engine.on_event(OrderReceived(new_order(command(n), NOW_NS), NOW_NS))
        engine.on_event(traded(command(n), NOW_NS + n))
        engine.on_event(traded(command(n), NOW_NS + n + 5, 2))  # the same order once more: no repeat
        assert engine.standing().throttled == (frozenset() if n == 1 else {"s/A/buy"})
    engine._clock.advance(3600 * NS_PER_S)  # type: ignore[attr-defined]
    assert outcome(engine, command(3)) == "3:repeated_execution"
    assert outcome(engine, command(4, symbol=Symbol("B"))) == "ok"
    assert outcome(engine, command(5, SELL, "1", strategy_id=StrategyId("t"))) == "ok"
    assert engine.rearm().throttled == frozenset() and outcome(engine, command(6)) == "ok"


def test_trades_apart_are_no_repeats() -> None:
    engine = service(repeats_max=2, repeats_window_s=10)
    for n in (1, 2):
        engine.on_event(OrderReceived(new_order(command(n), NOW_NS), NOW_NS))
        engine.on_event(traded(command(n), NOW_NS + n * 10 * NS_PER_S))
    engine._clock.advance(20 * NS_PER_S)  # type: ignore[attr-defined]
    assert not engine.standing().throttled and outcome(engine, command(3)) == "ok"


LIMIT = OrderType.LIMIT
SELF: list[tuple[Decimal | None, Decimal | None, str]] = [
    # the limits of a resting sell and of the buy that comes
    (None, None, "3:self_match"),
    (Decimal(11), None, "3:self_match"),
    (None, Decimal(9), "3:self_match"),
    (Decimal(11), Decimal("10.99"), "ok"),
    (Decimal(11), Decimal(11), "3:self_match"),
    (Decimal(11), Decimal(12), "3:self_match"),
]


@pytest.mark.parametrize(("resting", "coming", "want"), SELF)
def test_gate_3_does_not_trade_with_itself(resting: Decimal | None, coming: Decimal | None, want: str) -> None:
    def kind(limit: Decimal | None) -> dict[str, Any]:
        return {} if limit is None else {"order_type": LIMIT, "limit_price": limit}

    for one, other in ((SELL, BUY), (BUY, SELL)):
        first, second = (resting, coming) if one is SELL else (coming, resting)
        engine = service({"A": 1000}, self_match_allowed=False)
        assert outcome(engine, command(1, one, **kind(first))) == "ok"
        assert outcome(engine, command(2, other, **kind(second))) == want
        assert outcome(engine, command(3, one, **kind(first))) == "ok"
        engine = service({"A": 1000}, self_match_allowed=True)
        assert outcome(engine, command(1, one, **kind(first))) == outcome(engine, command(2, other, **kind(second)))


POSITION: list[tuple[dict[str, int], list[tuple[Side, str, str]], dict[str, Any], str]] = [
    # held, (side, quantity, symbol) one after another, limits; NAV is 100,000 with nothing held
    ({}, [(BUY, "1000", "A")], {"name_to_nav_max": "0.1"}, "ok"),
    ({}, [(BUY, "1001", "A")], {"name_to_nav_max": "0.1"}, "4:name"),
    ({}, [(BUY, "600", "A"), (BUY, "401", "A")], {"name_to_nav_max": "0.1"}, "4:name"),
    ({}, [(BUY, "600", "A"), (SELL, "1000", "A")], {"name_to_nav_max": "0.1"}, "6:borrow_unknown"),
    ({"A": 500}, [(SELL, "500", "A"), (BUY, "500", "A")], {"name_to_nav_max": "0.1"}, "ok"),
    ({"A": 500}, [(SELL, "500", "A"), (BUY, "501", "A")], {"name_to_nav_max": "0.1"}, "4:name"),
    ({}, [(BUY, "1000", "A"), (BUY, "1001", "B")], {"leverage_max": "0.2"}, "4:leverage"),
    ({}, [(BUY, "1000", "A"), (BUY, "1000", "B")], {"leverage_max": "0.2"}, "ok"),
    ({"A": 1000, "B": -1000}, [(BUY, "1", "C")], {"net_to_nav_max": "0.0001"}, "ok"),
    ({"A": 1000, "B": -1000}, [(BUY, "2", "C")], {"net_to_nav_max": "0.0001"}, "4:net_to_nav"),
    ({"A": 20000}, [(SELL, "100", "A")], {"leverage_max": "0.2"}, "ok"),
    ({"A": 20000}, [(BUY, "1", "A")], {"leverage_max": "0.2"}, "4:leverage"),
    ({}, [(BUY, "1000", "A"), (BUY, "1001", "B")], {"gross_max": "20000"}, "4:gross"),
    ({}, [(BUY, "1000", "A"), (BUY, "1000", "B")], {"gross_max": "20000"}, "ok"),
    ({"A": 1000, "B": -1000}, [(BUY, "101", "C")], {"net_max": "1000"}, "4:net"),
    ({"A": 1000, "B": -1000}, [(BUY, "100", "C")], {"net_max": "1000"}, "ok"),
    ({}, [(BUY, "1001", "A")], {"sector_to_nav_max": "0.1"}, "4:sector"),
    ({}, [(BUY, "600", "A"), (BUY, "401", "B")], {"sector_to_nav_max": "0.1"}, "4:sector"),
    ({}, [(BUY, "600", "A"), (BUY, "1000", "C")], {"sector_to_nav_max": "0.1"}, "ok"),
    ({}, [(BUY, "1000", "A")], {"margin_to_nav_max": "0.05"}, "ok"),
    ({}, [(BUY, "1001", "A")], {"margin_to_nav_max": "0.05"}, "4:margin"),
    ({}, [(BUY, "501", "C")], {"margin_to_nav_max": "0.05"}, "4:margin"),
    ({}, [(BUY, "10000", "A")], {"cash_to_nav_min": "0"}, "ok"),
    ({}, [(BUY, "10001", "A")], {"cash_to_nav_min": "0"}, "4:cash"),
    ({}, [(BUY, "6000", "A"), (BUY, "4001", "B")], {"cash_to_nav_min": "0"}, "4:cash"),
    ({}, [(BUY, "10000", "A")], {"cash_to_nav_min": "0", "market_margin": "0.001"}, "4:cash"),
    ({"A": 10000}, [(SELL, "10000", "A")], {"cash_to_nav_min": "1"}, "ok"),
    ({"A": -100}, [(BUY, "100", "A")], {"cash_to_nav_min": "2"}, "ok"),  # brings the short nearer to zero
    ({"A": -100}, [(BUY, "101", "A")], {"cash_to_nav_min": "2"}, "4:cash"),
    ({}, [(BUY, "1000", "A")], {"adv_share_max": "0.00001"}, "ok"),
    ({}, [(BUY, "1001", "A")], {"adv_share_max": "0.00001"}, "4:adv"),
    ({}, [(BUY, "600", "A"), (BUY, "401", "A")], {"adv_share_max": "0.00001"}, "4:adv"),
    ({"A": 9000}, [(BUY, "600", "A"), (SELL, "1000", "A")], {"adv_share_max": "0.00001"}, "ok"),
    ({"A": 9000}, [(SELL, "600", "A"), (SELL, "401", "A")], {"adv_share_max": "0.00001"}, "4:adv"),
    ({}, [(BUY, "4298", "A")], {"var_to_nav_max": "0.01"}, "ok"),
    ({}, [(BUY, "4299", "A")], {"var_to_nav_max": "0.01"}, "4:var"),
    ({}, [(BUY, "4298", "A"), (BUY, "1", "B")], {"var_to_nav_max": "0.01"}, "ok"),
    ({}, [(BUY, "4298", "A"), (BUY, "100", "B")], {"var_to_nav_max": "0.01"}, "4:var"),
]


SECTORED = MasterData.of(
    [
        replace(
            item, sector="tech" if item.symbol in "AB" else "", margin_rate=Decimal(1 if item.symbol == "C" else "0.5")
        )
        for item in MASTER.instruments.values()
    ],
    MASTER.adv,
)
"""A and B are of one sector, C of none; a unit of C needs twice the margin."""


@pytest.mark.parametrize(("held", "orders", "changes", "want"), POSITION)
def test_gate_4_position(
    held: dict[str, int], orders: list[tuple[Side, str, str]], changes: dict[str, Any], want: str
) -> None:
    cash = str(100_000 - 10 * sum(held.values()))
    engine = service(held, cash, master=SECTORED, **changes)
    results = [outcome(engine, command(n, side, q, symbol=Symbol(s))) for n, (side, q, s) in enumerate(orders)]
    assert results[-1] == want and all(result == "ok" for result in results[:-1])


def test_gate_4_wants_marks_covariance_and_a_positive_nav() -> None:
    engine = service({"A": 100}, "-1000")
    assert outcome(engine, command()) == "4:nav_not_positive"
    engine = service()
    engine.set_covariance([Symbol("B")], np.eye(1))
    assert outcome(engine, command()) == "4:covariance_missing"
    assert outcome(engine, command(2, symbol=Symbol("B"))) == "ok"
    engine = service({"A": 100})  # what is held and has no row is a risk that nobody knows
    engine.set_covariance([Symbol("B")], np.eye(1))
    assert outcome(engine, command(1, symbol=Symbol("B"))) == "4:covariance_missing"
    engine.state.set_master(MasterData.of(MASTER.instruments.values()))
    assert outcome(engine, command(2, symbol=Symbol("B"))) == "4:adv_unknown"


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
    assert engine.resume().mode == "halted"  # a person's word does not open what NAV has latched
    assert engine.rearm().mode == "active" and outcome(engine, command(6)) == "ok"
    engine.halt()
    assert outcome(engine, command(7)) == "5:halted"
    assert engine.resume().mode == "active" and outcome(engine, command(8)) == "ok"
    engine.halt(Mode.REDUCING)
    engine.release(IdempotencyKey("key2"))
    assert outcome(engine, command(9)) == "5:reducing"
    assert outcome(engine, command(10, SELL, "1")) == "ok"
    engine.halt()
    assert engine.halt(Mode.REDUCING).mode == "halted"  # never looser
    assert engine.rearm().mode == "active"


BORROW: list[tuple[dict[str, Any], str, int, str]] = [
    ({}, "100", 0, "6:borrow_unknown"),
    ({"A": ("1000", "0.02")}, "1000", 0, "ok"),
    ({"A": ("1000", "0.02")}, "1001", 0, "6:borrow_quantity"),
    ({"A": ("1000", "0.02", "500")}, "500", 0, "ok"),
    ({"A": ("1000", "0.02", "500")}, "501", 0, "6:locate"),
    ({"A": ("1000", "0.1")}, "10", 0, "ok"),
    ({"A": ("1000", "0.02")}, "10", 3600, "ok"),
    ({"A": ("1000", "0.11")}, "10", 0, "6:borrow_rate"),
    ({"A": ("1000", "0.02")}, "10", 3601, "6:borrow_stale"),
    ({"B": ("1000", "0.02")}, "10", 0, "6:borrow_unknown"),
]


@pytest.mark.parametrize(("borrow", "quantity", "age_s", "want"), BORROW)
def test_gate_6_short(borrow: dict[str, Any], quantity: str, age_s: int, want: str) -> None:
    engine = service()
    if borrow:
        found = [(Symbol(name), Borrow(*map(Decimal, numbers))) for name, numbers in borrow.items()]
        engine.set_borrow(found, 10**18 - age_s * NS_PER_S)
    assert outcome(engine, command(side=SELL, quantity=quantity)) == want


def test_gate_6_counts_sells_in_flight_before_it_lets_shares_go() -> None:
    engine = service({"A": 100})
    assert outcome(engine, command(1, SELL, "60")) == "ok"
    assert outcome(engine, command(2, SELL, "40")) == "ok"
    assert outcome(engine, command(3, SELL, "1")) == "6:borrow_unknown"


def test_gate_6_asks_for_what_is_not_borrowed_yet() -> None:
    engine = service({"A": -900})
    engine.set_borrow([(Symbol("A"), Borrow(Decimal(100), Decimal(0)))], NOW_NS)
    assert outcome(engine, command(1, SELL, "60")) == "ok"
    assert outcome(engine, command(2, SELL, "40")) == "ok"
    assert outcome(engine, command(3, SELL, "1")) == "6:borrow_quantity"
    assert outcome(engine, command(4, BUY, "900")) == "ok"


@pytest.mark.parametrize(("limit", "want"), [(None, "6"), ("9.99", "6"), ("10", "6"), ("10.01", "ok")])
def test_gate_6_a_restricted_name_is_sold_short_above_the_bid_only(limit: str | None, want: str) -> None:
    engine = service({"B": 100})
    engine.set_borrow([(Symbol(n), Borrow(Decimal(500), Decimal(0), is_restricted=True)) for n in "AB"], NOW_NS)
    kind = {} if limit is None else {"order_type": LIMIT, "limit_price": Decimal(limit)}
    assert outcome(engine, command(1, SELL, "10", **kind)) == ("ok" if want == "ok" else "6:short_sale_restriction")
    assert outcome(engine, command(2, SELL, "100", symbol=Symbol("B"))) == "ok"  # held: no short sale

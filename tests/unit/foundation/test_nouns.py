"""The nouns: exact, immutable, picklable, cheap to import."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mts1b.foundation import clock, errors, ids, limits
from mts1b.foundation.fill import Fill
from mts1b.foundation.order import TERMINAL, Order, OrderStatus, OrderType, Side, TimeInForce
from mts1b.foundation.position import Position

ORDER = Order(
    order_id=ids.OrderId("o"),
    client_order_id=ids.ClientOrderId("c"),
    idempotency_key=ids.IdempotencyKey("k"),
    fund_id=ids.FundId("f"),
    strategy_id=ids.StrategyId("s"),
    symbol=ids.Symbol("AAPL"),
    side=Side.BUY,
    order_type=OrderType.MARKET,
    time_in_force=TimeInForce.OPG,
    quantity=Decimal(10),
    reference_price=Decimal("42.1"),
    created_ns=1,
    updated_ns=1,
    filled_quantity=Decimal(4),
)


@pytest.mark.parametrize("kind", [c for c in vars(errors).values() if isinstance(c, type)])
def test_errors_survive_pickling(kind: type[errors.MtsError]) -> None:
    error = kind("field", 3, "is wrong", "mend it")
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is kind and str(back) == str(error) == "field=3: is wrong; mend it"
    assert issubclass(kind, errors.MtsError)


def test_unknown_name_suggests() -> None:
    assert "AAPL" in str(errors.unknown_name("symbol", "APPL", ["AAPL", "MSFT"]))
    assert "known: A, B" in str(errors.unknown_name("symbol", "zzz", ["A", "B"]))


@given(st.integers(min_value=0, max_value=4_102_444_800_000_000))
def test_time_round_trip_to_the_microsecond(us: int) -> None:
    assert clock.to_ns(clock.from_ns(us * 1000)) == us * 1000
    assert clock.from_ns(us * 1000) == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)


def test_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        clock.to_ns(datetime(2020, 1, 1))


def test_system_clock_moves() -> None:
    now = clock.SystemClock()
    assert now.now_ns() > clock.to_ns(datetime(2025, 1, 1, tzinfo=UTC))
    first = now.monotonic_ns()
    assert now.monotonic_ns() >= first


@given(st.lists(st.text(max_size=5), min_size=1, max_size=4), st.lists(st.text(max_size=5), min_size=1, max_size=4))
def test_ids_are_equal_only_for_equal_parts(left: list[str], right: list[str]) -> None:
    clean = [[part.replace("\x1f", "") for part in parts] for parts in (left, right)]
    assert (ids.digest(*clean[0]) == ids.digest(*clean[1])) == (clean[0] == clean[1])


def test_client_order_id_is_derived() -> None:
    order = ids.order_id(ids.IdempotencyKey("k"), 7)
    assert ids.client_order_id(order) == ids.client_order_id(order)
    assert ids.client_order_id(order) != ids.client_order_id(ids.order_id(ids.IdempotencyKey("k"), 8))


@pytest.mark.parametrize("status", list(OrderStatus))
def test_only_orders_at_the_venue_have_something_open(status: OrderStatus) -> None:
    import dataclasses

    order = dataclasses.replace(ORDER, status=status)
    held_here = status is OrderStatus.ACCEPTED
    assert order.open_quantity == order.exposed_quantity == (0 if status in TERMINAL or held_here else 6)


def test_fill_cash_and_position_pnl() -> None:
    fill = Fill(
        fill_id=ids.FillId("1"),
        order_id=ORDER.order_id,
        fund_id=ORDER.fund_id,
        strategy_id=ORDER.strategy_id,
        symbol=ORDER.symbol,
        side=Side.SELL,
        quantity=Decimal(3),
        price=Decimal("10.5"),
        fee=Decimal("0.25"),
        ts_ns=1,
    )
    assert fill.cash_change == Decimal("31.25")
    held = Position(ORDER.fund_id, ORDER.symbol, quantity=Decimal(-2), average_price=Decimal(10))
    assert held.unrealised_pnl(Decimal(9)) == Decimal(2)


def test_limits_relate() -> None:
    assert limits.BROKER_TIMEOUT_S < limits.LEASE_S
    assert Decimal(limits.TICK) == Decimal("0.0001")

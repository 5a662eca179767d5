from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.portfolio import Holdings, Mandate, rebalance, target_shares
from mts1b.foundation.ids import FundId, StrategyId, Symbol
from mts1b.foundation.order import Side

MANDATE = Mandate(FundId("fund"), StrategyId("strategy"))
A, B, C = Symbol("A"), Symbol("B"), Symbol("C")
ONE = Decimal(1)

SIZES = [
    # target, NAV, names, close, lot, shares
    (1.0, "1000", 1, "10", "1", "100"),
    (1.0, "1000", 10, "10", "1", "10"),
    (0.1, "1000", 1, "10", "1", "10"),  # a tenth, not the float beside it
    (1.0, "1000", 3, "10", "1", "33"),
    (-1.0, "1000", 3, "10", "1", "-33"),
    (1.0, "1000", 1, "9.99", "100", "100"),
    (2.0, "1000", 1, "10", "1", "200"),
    (0.0, "1000", 1, "10", "1", "0"),
    (float("nan"), "1000", 1, "10", "1", "0"),
    (float("inf"), "1000", 1, "10", "1", "0"),
    (1.0, "-5", 1, "10", "1", "0"),
    (1.0, "1000", 1, "0", "1", "0"),
]


@pytest.mark.parametrize(("target", "nav", "names", "close", "lot", "shares"), SIZES)
def test_shares(target: float, nav: str, names: int, close: str, lot: str, shares: str) -> None:
    assert target_shares(target, Decimal(nav), names, Decimal(close), Decimal(lot)) == Decimal(shares)


@given(st.floats(-2, 2), st.decimals(1, 10**8, places=2), st.integers(1, 500), st.decimals("0.01", 10**4, places=4))
def test_never_more_than_the_target(target: float, nav: Decimal, names: int, close: Decimal) -> None:
    shares = target_shares(target, nav, names, close, ONE)
    wanted = abs(Decimal(repr(target))) * nav / names
    assert abs(shares) * close <= wanted
    assert wanted - abs(shares) * close < close or shares == 0


def test_orders_are_the_difference_and_sells_come_first() -> None:
    holdings = Holdings(Decimal(3000), {A: Decimal(50), B: Decimal(100)}, {C: Decimal(30)})
    closes = {A: Decimal(10), B: Decimal(10), C: Decimal(10)}
    orders = rebalance(MANDATE, (A, B, C), (1.0, 0.0, 0.4), closes, holdings, 7)
    assert [(order.symbol, order.side, order.quantity) for order in orders] == [
        (B, Side.SELL, Decimal(100)),
        (A, Side.BUY, Decimal(50)),
        (C, Side.BUY, Decimal(10)),
    ]
    assert len({order.idempotency_key for order in orders}) == 3
    assert orders == rebalance(MANDATE, (A, B, C), (1.0, 0.0, 0.4), closes, holdings, 7)


def test_a_name_without_a_close_is_left_alone() -> None:
    holdings = Holdings(Decimal(2000), {B: Decimal(5)})
    orders = rebalance(MANDATE, (A, B), (1.0, 0.0), {A: Decimal(10)}, holdings, 7)
    assert [order.symbol for order in orders] == [A]

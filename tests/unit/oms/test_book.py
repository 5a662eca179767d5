"""The book: conservation over random fills, and the average-cost cases."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mts1b.foundation.errors import DataError, InvariantBroken
from mts1b.foundation.fill import Fill
from mts1b.foundation.ids import FillId, FundId, OrderId, StrategyId, Symbol
from mts1b.foundation.order import Side
from mts1b.oms.book import Book

FUND = FundId("fund")
CASH = Decimal(1_000_000)


def fill(signed: int, price: str, symbol: str = "AAPL", fee: str = "0", fund: FundId = FUND) -> Fill:
    side = Side.BUY if signed > 0 else Side.SELL
    return Fill(
        FillId("F"), OrderId("O"), fund, StrategyId("s"), Symbol(symbol), side, Decimal(abs(signed)), Decimal(price),
        Decimal(fee), 1,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("trades", "quantity", "average", "realised"),
    [
        ([(100, "10")], 100, "10", "0"),
        ([(100, "10"), (100, "12")], 200, "11", "0"),
        ([(100, "10"), (-40, "12")], 60, "10", "80"),
        ([(100, "10"), (-100, "9")], 0, "0", "-100"),
        ([(100, "10"), (-150, "12")], -50, "12", "200"),
        ([(-100, "10")], -100, "10", "0"),
        ([(-100, "10"), (-100, "8")], -200, "9", "0"),
        ([(-100, "10"), (30, "8")], -70, "10", "60"),
        ([(-100, "10"), (160, "11")], 60, "11", "-100"),
    ],
)
def test_average_cost(trades: list[tuple[int, str]], quantity: int, average: str, realised: str) -> None:
    book = Book(FUND, CASH, {})
    for signed, price in trades:
        book = book.filled(fill(signed, price))
    held = book.position(Symbol("AAPL"))
    assert (held.quantity, held.average_price, held.realised_pnl) == (quantity, Decimal(average), Decimal(realised))


SIGNED = st.integers(-500, 500).filter(bool)
TRADES = st.lists(
    st.tuples(SIGNED, st.integers(1, 10**7), st.sampled_from(["A", "B", "C"]), st.integers(0, 999)), max_size=25
)


@given(TRADES, st.integers(1, 10**7))
def test_cash_shares_and_pnl_are_conserved(trades: list[tuple[int, int, str, int]], mark_ticks: int) -> None:
    fills = [fill(q, str(Decimal(p) / 10_000), s, str(Decimal(f) / 100)) for q, p, s, f in trades]
    book = Book(FUND, CASH, {})
    for item in fills:
        book = book.filled(item)
    assert book.cash == CASH + sum((f.cash_change for f in fills), Decimal(0))
    for symbol in ("A", "B", "C"):
        mine = [f for f in fills if f.symbol == symbol]
        assert book.position(Symbol(symbol)).quantity == sum(f.side.sign * f.quantity for f in mine)
    mark = Decimal(mark_ticks) / 10_000
    marks = {Symbol(symbol): mark for symbol in ("A", "B", "C")}
    nav = book.nav(marks)
    pnl = sum((p.realised_pnl + p.unrealised_pnl(mark) - p.fees for p in book.positions.values()), Decimal(0))
    assert nav is not None and abs(nav - CASH - pnl) < Decimal("1e-12")


def test_a_name_without_a_mark_makes_nav_unknown() -> None:
    book = Book(FUND, CASH, {}).filled(fill(10, "5"))
    assert book.nav({}) is None
    with pytest.raises(DataError, match="AAPL"):
        book.marked({}, 1)
    flat = book.filled(fill(-10, "5"))
    assert flat.nav({}) == CASH
    marked = book.marked({Symbol("AAPL"): Decimal(7)}, 1)
    assert (marked.nav, marked.gross, marked.cash) == (CASH + 20, 70, CASH - 50)


def test_another_funds_fill_does_not_enter() -> None:
    with pytest.raises(InvariantBroken):
        Book(FUND, CASH, {}).filled(fill(1, "1", fund=FundId("other")))


def test_what_is_missing_is_a_name_that_is_held() -> None:
    book = Book(FUND, CASH, {})
    for trade in (fill(5, "10", "FLAT"), fill(-5, "10", "FLAT"), fill(5, "10", "KNOWN"), fill(5, "10", "MISSING")):
        book = book.filled(trade)
    with pytest.raises(DataError, match="MISSING"):
        book.marked({Symbol("KNOWN"): Decimal(10)}, 1)

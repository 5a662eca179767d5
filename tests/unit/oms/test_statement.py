"""A day folded from what happened: it reconciles, and no number can be wrong without being told of."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from mts1b.foundation.events import CashKind, CashMoved
from mts1b.foundation.fill import Fill
from mts1b.foundation.ids import FillId, FundId, OrderId, StrategyId, Symbol
from mts1b.foundation.order import Side
from mts1b.oms.statement import Happened, Ledger, Statement, Valued, statement

D, FUND = Decimal, FundId("fund")
A, B = Symbol("A"), Symbol("B")


def fill(number: int, symbol: Symbol, quantity: int, price: str, strategy: str = "s", fee: str = "1") -> Fill:
    side = Side.BUY if quantity > 0 else Side.SELL
    ids = FillId(f"f{number}"), OrderId(f"o{number}")
    return Fill(*ids, FUND, StrategyId(strategy), symbol, side, D(abs(quantity)), D(price), D(fee), number)


def moved(number: int, kind: CashKind, amount: str, symbol: Symbol | None = None) -> CashMoved:
    return CashMoved(f"m{number}", FUND, kind, "USD", D(amount), "", number, symbol)


LEDGER = Ledger(
    FUND,
    date(2026, 11, 26),
    opening_cash=D(10_000),
    opening=Valued(20, 1, nav=D(10_048), cash=D(8_998), gross=D(1_050), prices={A: D("10.5")}),
    closing=Valued(40, 2, nav=D("10117"), cash=D("9197"), gross=D(1_520), prices={A: D(11), B: D(20)}),
    happened=(
        Happened(11, fill(1, A, 60, "10")),
        Happened(12, fill(2, A, 40, "10", "t")),
        Happened(31, fill(3, A, -40, "12")),
        Happened(32, fill(4, B, -10, "21", "t")),
        Happened(33, fill(5, B, -5, "21", "t", "0")),
        Happened(34, moved(6, CashKind.BORROW_FEE, "-2.5", B)),
        Happened(35, moved(7, CashKind.INTEREST, "0.5")),
        Happened(36, moved(8, CashKind.WITHDRAWAL, "-594")),
        Happened(50, fill(9, A, 1, "11")),
    ),
    cash=D("9185"),
    quantities={A: D(61), B: D(-15)},
)


def balanced() -> Ledger:
    """LEDGER with the closing numbers that its items come to."""
    cash = D(8_998) + 480 - 1 + 210 - 1 + 105 + D("-2.5") + D("0.5") - 594
    nav, gross = cash + 60 * 11 - 15 * 20, D(60 * 11 + 15 * 20)
    closing = replace(LEDGER.closing, cash=cash, nav=nav, gross=gross)
    return replace(LEDGER, closing=closing, cash=cash - 12, quantities={A: D(61), B: D(-15)})


def test_a_day_reconciles_and_says_what_happened() -> None:
    made = statement(balanced())
    assert made.problems == ()
    assert (made.opening_nav, made.opening_cash, made.since, len(made.trades)) == (10_048, 8_998, 1, 3)
    told = {name: amount for name, amount in made.flows.items() if amount}
    assert told == {"sales": 795, "fees": -2, "borrow_fee": D("-2.5"), "interest": D("0.5"), "withdrawal": -594}
    first, second = made.positions
    assert (first.symbol, first.opening_quantity, first.bought, first.sold, first.quantity) == (A, 100, 0, 40, 60)
    assert (first.average_price, first.price, first.value, first.unrealised_pnl) == (10, 11, 660, 60)
    assert (first.realised_pnl, first.fees, first.moved) == (80, 1, 0)
    assert (second.symbol, second.quantity, second.unrealised_pnl, second.moved) == (B, -15, 15, D("-2.5"))
    by_name = {row.strategy_id: row for row in made.strategies}
    assert (by_name["s"].trades, by_name["s"].realised_pnl, by_name["s"].unrealised_change) == (1, 80, D("-10"))
    assert (by_name["t"].trades, by_name["t"].unrealised_change, by_name["t"].pnl) == (2, 35, 34)
    assert sum(row.pnl for row in made.strategies) == made.closing_nav - made.opening_nav + 596


def test_the_first_day_begins_with_the_opening_cash() -> None:
    whole = balanced()
    first = replace(whole, opening=None, closing=replace(LEDGER.opening, sequence=20))  # type: ignore[type-var]
    made = statement(first)
    assert made.problems == () and (made.opening_nav, made.opening_cash) == (10_000, 10_000)
    assert made.flows["purchases"] == -1_000 and made.since == 7


def spoiled(**changes: Any) -> Ledger:
    return replace(balanced(), **changes)


BALANCED = balanced()
OFF = D("0.01")
assert BALANCED.opening is not None
SPOILED: list[tuple[Ledger, str]] = [
    (spoiled(cash=BALANCED.cash + OFF), "cash: the fund's row"),
    (spoiled(quantities={A: D(61), B: D(-14)}), "quantity of B"),
    (spoiled(quantities={A: D(61), B: D(-15), Symbol("C"): D(1)}), "quantity of C"),
    (spoiled(closing=replace(BALANCED.closing, cash=BALANCED.closing.cash + OFF)), "closing cash"),
    (spoiled(closing=replace(BALANCED.closing, nav=BALANCED.closing.nav + OFF)), "closing NAV"),
    (spoiled(closing=replace(BALANCED.closing, gross=BALANCED.closing.gross + OFF)), "closing gross"),
    (spoiled(closing=replace(BALANCED.closing, prices={A: D(11)})), "no price of B"),
    (spoiled(opening=replace(BALANCED.opening, cash=BALANCED.opening.cash + OFF)), "opening cash"),
    (spoiled(opening=replace(BALANCED.opening, prices={A: D("10.6")})), "opening NAV"),
    (spoiled(happened=BALANCED.happened[1:]), "opening cash"),
    (spoiled(happened=(*BALANCED.happened[:5], *BALANCED.happened[6:])), "closing cash"),
    (spoiled(happened=BALANCED.happened[:-1]), "cash: the fund's row"),
    (spoiled(opening_cash=D(10_001)), "opening cash"),
]


@pytest.mark.parametrize(("ledger", "named"), SPOILED)
def test_whatever_differs_is_told_of(ledger: Ledger, named: str) -> None:
    made: Statement = statement(ledger)
    assert any(problem.startswith(named) or named in problem for problem in made.problems), made.problems

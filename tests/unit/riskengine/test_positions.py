"""Money of several currencies, splits with fills that come late, margins: the part of risk that is sums."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from mts1b.foundation.events import CashKind, CashMoved, SharesSplit
from mts1b.foundation.fill import Fill
from mts1b.foundation.ids import FillId, IdempotencyKey, OrderId, StrategyId, Symbol
from mts1b.foundation.instrument import Instrument
from mts1b.foundation.order import Side
from mts1b.riskengine.master import MasterData
from mts1b.riskengine.positions import Positions, Working
from tests.unit.riskengine.books import FUND

SAP, IBM, EUR_USD = Symbol("SAP"), Symbol("IBM"), Symbol("EUR/USD")
D = Decimal
INSTRUMENTS = [
    replace(Instrument(SAP, D("0.01"), D(1)), currency="EUR", sector="tech", margin_rate=D("0.5")),
    replace(Instrument(IBM, D("0.01"), D(1)), sector="tech"),
]


def fill(signed: int, price: str = "10", fee: str = "1", ts_ns: int = 5, currency: str = "") -> Fill:
    side = Side.BUY if signed > 0 else Side.SELL
    names = (FillId("F"), OrderId("O"), FUND, StrategyId("s"), SAP, side)
    return Fill(*names, D(abs(signed)), D(price), D(fee), ts_ns, currency)


@pytest.fixture
def book() -> Positions:
    """1,000 dollars and nothing else, SAP at 10 euros, IBM at 100 dollars."""
    made = Positions()
    made.set_master(MasterData.of(INSTRUMENTS, {}))
    made.cash = D(1000)
    made.quote({SAP: D(10), IBM: D(100)}, 1, 2)
    return made


@pytest.mark.parametrize("rate", ["1.25", "0.8", "1"])
def test_a_name_is_worth_its_price_at_the_rate(book: Positions, rate: str) -> None:
    assert book.name(SAP).mark is None
    book.quote({EUR_USD: D(rate)}, 3, 4)
    book.hold(SAP, D(-20))
    assert book.name(SAP).mark == 10 * D(rate)
    assert book.worth == 1000 - 200 * D(rate)
    assert (book.totals.gross, book.totals.margin) == (200 * D(rate), 100 * D(rate))
    assert book.sectors == {"tech": 200 * D(rate)}


def test_without_a_rate_there_is_no_worth(book: Positions) -> None:
    book.hold(SAP, D(20))
    assert book.worth is None and book.unmarked == {SAP}
    book.quote({EUR_USD: D(2)}, 3, 4)
    assert book.worth == 1000 + 400 and not book.unmarked


def test_cash_of_a_currency_without_a_rate_bars_the_worth_and_counts_nothing(book: Positions) -> None:
    book.pay("CHF", D(50))
    assert book.worth is None and book.all_cash == 1000
    book.pay("CHF", D(-50))
    assert book.worth == 1000, "none of it is left"


def test_a_fill_is_paid_in_its_own_currency(book: Positions) -> None:
    book.quote({EUR_USD: D(2)}, 3, 4)
    book.filled(fill(20, currency="EUR"))
    assert (book.cash, book.foreign) == (1000, {"EUR": -201})
    assert (book.all_cash, book.worth) == (1000 - 402, 1000 - 402 + 400)
    book.filled(fill(-20, currency="EUR"))
    assert book.foreign == {"EUR": -2} and book.name(SAP).held == 0
    book.moved(CashMoved("m", FUND, CashKind.CONVERSION, "EUR", D(2), "", 9))
    book.moved(CashMoved("n", FUND, CashKind.CONVERSION, "USD", D(-4), "", 9))
    assert (book.worth, book.cash) == (996, 996)


@pytest.mark.parametrize(("ts_ns", "held"), [(7, 200 + 20 * 4), (8, 200 + 20), (9, 200 + 20)])
def test_a_fill_from_before_a_split_counts_in_the_new_shares(book: Positions, ts_ns: int, held: int) -> None:
    book.hold(SAP, D(50))
    book.split(SharesSplit(FUND, SAP, D(4), D(1), D(200), D(3), "EUR", 8))
    assert book.name(SAP).price == D("2.5") and book.quoted[SAP].price == D("2.5")
    assert book.foreign == {"EUR": 3}
    book.filled(fill(20, ts_ns=ts_ns))
    assert book.name(SAP).held == held
    assert book.cash == 1000 - 201, "its money is what it was"


def test_open_orders_are_counted_while_they_are_open(book: Positions) -> None:
    working: dict[IdempotencyKey, Working] = {}
    key, other = IdempotencyKey("k"), IdempotencyKey("l")
    book.work(working, key, Working(IBM, Side.BUY, D(5), D(90), None, D(99), StrategyId("s")))
    book.work(working, other, Working(IBM, Side.BUY, D(3), None, None, D(99), StrategyId("s")))
    assert (book.name(IBM).buys, book.totals.bounded, book.totals.unbounded) == (8, 450, 297)
    book.work(working, key, Working(IBM, Side.SELL, D(2), D(90), None, D(99), StrategyId("s")))
    name = book.name(IBM)
    assert (name.buys, name.sells, name.bounded, len(list(book.at_work(IBM)))) == (3, 2, 0, 2)
    book.work(working, key, None)
    book.work(working, other, None)
    assert book.name(IBM).is_idle and not working and not list(book.at_work(IBM))
    assert (book.totals.gross, book.totals.bounded, book.totals.unbounded) == (0, 0, 0)


def test_the_markets_time_is_the_latest(book: Positions) -> None:
    book.quote({IBM: D(101)}, 9, 10)
    book.quote({SAP: D(11)}, 5, 11)
    assert book.market_ns == 9
    assert (book.quoted[SAP].ts_ns, book.quoted[SAP].received_ns) == (5, 11)

"""A fund's day: what it had, what happened, what it has. Folded anew from fills and moved money, and held against every
number that was written down on the way. Pure.

A day begins with the last valuation before it and ends with its own last one; what was journalled between the two is
the day's. All amounts are in the fund's currency.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from mts1b.foundation.events import CashKind, CashMoved
from mts1b.foundation.fill import Fill
from mts1b.foundation.ids import FundId, StrategyId, Symbol
from mts1b.oms.book import ZERO, Book

ROUNDING = Decimal("1e-9")
"""How far profit split by average prices may be from what is conserved: a quotient has 28 digits."""


@dataclass(frozen=True, slots=True)
class Happened:
    """A fill or moved money, with the sequence of the audit link that proves it."""

    sequence: int
    what: Fill | CashMoved


@dataclass(frozen=True, slots=True)
class Valued:
    """A valuation as the audit chain has it, and the price of each name then."""

    sequence: int
    ts_ns: int
    nav: Decimal
    cash: Decimal
    gross: Decimal
    prices: Mapping[Symbol, Decimal]


@dataclass(frozen=True, slots=True)
class Ledger:
    """All that the journal holds of a fund, in its order. `opening`: None on the day it was opened. `cash` and
    `quantities`: what stands in the tables of funds and positions now."""

    fund_id: FundId
    day: date
    opening_cash: Decimal
    opening: Valued | None
    closing: Valued
    happened: Sequence[Happened]
    cash: Decimal
    quantities: Mapping[Symbol, Decimal]


@dataclass(frozen=True, slots=True)
class PositionDay:
    """One name. `price` None: none was kept. `realised_pnl`, `fees`, `moved` (dividends, borrow): of the day;
    `unrealised_pnl` stands at its end."""

    symbol: Symbol
    opening_quantity: Decimal
    bought: Decimal
    sold: Decimal
    quantity: Decimal
    average_price: Decimal
    price: Decimal | None
    value: Decimal | None
    unrealised_pnl: Decimal | None
    realised_pnl: Decimal
    fees: Decimal
    moved: Decimal


@dataclass(frozen=True, slots=True)
class StrategyDay:
    """What one strategy's trades came to, as if its positions were its own. `pnl` is after fees."""

    strategy_id: StrategyId
    trades: int
    realised_pnl: Decimal
    unrealised_change: Decimal
    fees: Decimal
    pnl: Decimal


@dataclass(frozen=True, slots=True)
class Statement:
    """One fund's day. `flows`: what changed cash, by kind. `since`: what was journalled after the last valuation.
    `problems`: where it does not reconcile; empty when it does."""

    fund_id: FundId
    day: date
    opening_nav: Decimal
    opening_cash: Decimal
    flows: Mapping[str, Decimal]
    closing_cash: Decimal
    closing_nav: Decimal
    gross: Decimal
    positions: tuple[PositionDay, ...]
    strategies: tuple[StrategyDay, ...]
    trades: tuple[Fill, ...]
    moves: tuple[CashMoved, ...]
    since: int
    problems: tuple[str, ...]


@dataclass(slots=True)
class _Books:
    """The fund's book, and one for each strategy as if it were alone."""

    fund: Book
    strategies: dict[StrategyId, Book]

    @classmethod
    def of(cls, ledger: Ledger, last: int | None) -> _Books:
        """As of the link `last`; None: all that is known."""
        books = cls(Book(ledger.fund_id, ledger.opening_cash, {}), {})
        for one in ledger.happened:
            if last is not None and one.sequence > last:
                break
            books.take(one.what)
        return books

    def take(self, what: Fill | CashMoved) -> None:
        if isinstance(what, CashMoved):
            self.fund = self.fund.moved(what)
            return
        self.fund = self.fund.filled(what)
        own = self.strategies.get(what.strategy_id) or Book(what.fund_id, ZERO, {})
        self.strategies[what.strategy_id] = own.filled(what)


def statement(ledger: Ledger) -> Statement:
    """The day, reconciled."""
    began = -1 if ledger.opening is None else ledger.opening.sequence
    before, after = _Books.of(ledger, began), _Books.of(ledger, ledger.closing.sequence)
    days = [one.what for one in ledger.happened if began < one.sequence <= ledger.closing.sequence]
    trades = tuple(what for what in days if isinstance(what, Fill))
    moves = tuple(what for what in days if isinstance(what, CashMoved))
    opening_prices = {} if ledger.opening is None else ledger.opening.prices
    opening_cash = ledger.opening_cash if ledger.opening is None else ledger.opening.cash
    made = Statement(
        ledger.fund_id,
        ledger.day,
        ledger.opening_cash if ledger.opening is None else ledger.opening.nav,
        opening_cash,
        flows_of(trades, moves),
        ledger.closing.cash,
        ledger.closing.nav,
        ledger.closing.gross,
        tuple(_positions(before.fund, after.fund, trades, moves, ledger.closing.prices)),
        tuple(_strategies(before, after, trades, opening_prices, ledger.closing.prices)),
        trades,
        moves,
        sum(one.sequence > ledger.closing.sequence for one in ledger.happened),
        (),
    )
    return replace(made, problems=(*_differences(ledger, before.fund, after.fund), *_sums(made)))


def flows_of(trades: Iterable[Fill], moves: Iterable[CashMoved]) -> dict[str, Decimal]:
    """What changed cash, signed: sales and purchases, fees, and each kind of moved money."""
    flows = {"sales": ZERO, "purchases": ZERO, "fees": ZERO} | {kind.value: ZERO for kind in CashKind}
    for fill in trades:
        flows["sales" if fill.side.sign < 0 else "purchases"] -= fill.side.sign * fill.quantity * fill.price
        flows["fees"] -= fill.fee
    for move in moves:
        flows[move.kind.value] += move.amount
    return flows


def _positions(
    before: Book, after: Book, trades: Sequence[Fill], moves: Sequence[CashMoved], prices: Mapping[Symbol, Decimal]
) -> Iterator[PositionDay]:
    """Names that were held, traded, or that money came of."""
    touched = {fill.symbol for fill in trades} | {move.symbol for move in moves if move.symbol is not None}
    held = {item.symbol for book in (before, after) for item in book.positions.values() if item.quantity}
    for symbol in sorted(touched | held):
        was, now, price = before.position(symbol), after.position(symbol), prices.get(symbol)
        mine = [fill for fill in trades if fill.symbol == symbol]
        yield PositionDay(
            symbol,
            was.quantity,
            sum((fill.quantity for fill in mine if fill.side.sign > 0), ZERO),
            sum((fill.quantity for fill in mine if fill.side.sign < 0), ZERO),
            now.quantity,
            now.average_price,
            price,
            None if price is None else now.quantity * price,
            None if price is None else now.unrealised_pnl(price),
            now.realised_pnl - was.realised_pnl,
            now.fees - was.fees,
            sum((move.amount for move in moves if move.symbol == symbol), ZERO),
        )


def _strategies(
    before: _Books,
    after: _Books,
    trades: Sequence[Fill],
    opening_prices: Mapping[Symbol, Decimal],
    prices: Mapping[Symbol, Decimal],
) -> Iterator[StrategyDay]:
    for strategy_id, now in sorted(after.strategies.items()):
        was = before.strategies.get(strategy_id) or Book(now.fund_id, ZERO, {})
        realised = realised_of(now) - realised_of(was)
        change = unrealised_of(now, prices) - unrealised_of(was, opening_prices)
        mine = [fill for fill in trades if fill.strategy_id == strategy_id]
        fees = sum((fill.fee for fill in mine), ZERO)
        yield StrategyDay(strategy_id, len(mine), realised, change, fees, realised + change - fees)


def realised_of(book: Book) -> Decimal:
    return sum((item.realised_pnl for item in book.positions.values()), ZERO)


def unrealised_of(book: Book, prices: Mapping[Symbol, Decimal]) -> Decimal:
    """At `prices`; a name without one counts nothing, and is told of as a difference."""
    held = (item for item in book.positions.values() if item.quantity and item.symbol in prices)
    return sum((item.unrealised_pnl(prices[item.symbol]) for item in held), ZERO)


def _differences(ledger: Ledger, before: Book, after: Book) -> Iterator[str]:
    """Where what was written down differs from what fills and moved money come to."""
    if ledger.opening is not None:
        yield from _valuation("opening", ledger.opening, before)
    yield from _valuation("closing", ledger.closing, after)
    now = _Books.of(ledger, None).fund
    if now.cash != ledger.cash:
        yield f"cash: the fund's row has {ledger.cash}, fills and moved money come to {now.cash}"
    for symbol in sorted({*ledger.quantities, *now.positions}):
        stored, folded = ledger.quantities.get(symbol, ZERO), now.position(symbol).quantity
        if stored != folded:
            yield f"quantity of {symbol}: the position has {stored}, its fills come to {folded}"


def _valuation(when: str, valued: Valued, book: Book) -> Iterator[str]:
    if valued.cash != book.cash:
        yield f"{when} cash: valued with {valued.cash}, fills and moved money come to {book.cash}"
    missing = [p.symbol for p in book.positions.values() if p.quantity and p.symbol not in valued.prices]
    if missing:
        yield f"{when} NAV: no price of {', '.join(sorted(missing))} was kept, so that it cannot be checked"
        return
    for name, told, found in (
        ("NAV", valued.nav, book.nav(valued.prices)),
        ("gross", valued.gross, book.gross(valued.prices)),
    ):
        if told != found:
            yield f"{when} {name}: valued at {told}, positions and prices come to {found}"


def _sums(made: Statement) -> Iterator[str]:
    """Whether the statement's own lines add up."""
    flows = sum(made.flows.values(), ZERO)
    if made.opening_cash + flows != made.closing_cash:
        yield f"cash: {made.opening_cash} opening and {flows} of flows are not {made.closing_cash} closing"
    for row in made.positions:
        if row.opening_quantity + row.bought - row.sold != row.quantity:
            told = f"{row.opening_quantity} and {row.bought} bought less {row.sold} sold"
            yield f"quantity of {row.symbol}: {told} are not {row.quantity}"
    traded = made.closing_nav - made.opening_nav - sum((move.amount for move in made.moves), ZERO)
    earned = sum((row.pnl for row in made.strategies), ZERO)
    if abs(traded - earned) > ROUNDING:
        yield f"profit: NAV grew by {traded} besides moved money, strategies earned {earned}"

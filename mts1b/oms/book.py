"""What a fund owns: cash and positions, from fills; what it is worth, from marks. Pure values, exact arithmetic.

Conservation: cash is always the opening cash plus every fill's `cash_change` and what was moved in or out; a position's
shares are the signed sum of its fills. Average price and realised PnL split what is conserved, and add up to it with
the unrealised part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from mts1b.foundation.changing import changed
from mts1b.foundation.errors import DataError, InvariantBroken
from mts1b.foundation.events import CashMoved, NavMarked
from mts1b.foundation.fill import Fill
from mts1b.foundation.ids import FundId, Symbol
from mts1b.foundation.position import Position

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Book:
    """One fund's cash and positions; flat names stay, with what they realised."""

    fund_id: FundId
    cash: Decimal
    positions: Mapping[Symbol, Position]

    def position(self, symbol: Symbol) -> Position:
        """What is held of `symbol`; zero shares when it was never traded."""
        return self.positions.get(symbol) or Position(self.fund_id, symbol)

    def filled(self, fill: Fill) -> Book:
        """The book after one fill."""
        if fill.fund_id != self.fund_id:
            raise InvariantBroken("fill", fill.fill_id, f"belongs to {fill.fund_id}, not to {self.fund_id}")
        position = fill_position(self.position(fill.symbol), fill)
        return Book(self.fund_id, self.cash + fill.cash_change, {**self.positions, fill.symbol: position})

    def moved(self, move: CashMoved) -> Book:
        """The book after money came or went without a trade."""
        if move.fund_id != self.fund_id:
            raise InvariantBroken("move", move.move_id, f"belongs to {move.fund_id}, not to {self.fund_id}")
        return Book(self.fund_id, self.cash + move.amount, self.positions)

    def nav(self, marks: Mapping[Symbol, Decimal]) -> Decimal | None:
        """Cash plus the worth of all shares at `marks`; None when a name that is held has no mark."""
        held = [position for position in self.positions.values() if position.quantity]
        if any(position.symbol not in marks for position in held):
            return None
        return self.cash + sum((position.quantity * marks[position.symbol] for position in held), ZERO)

    def gross(self, marks: Mapping[Symbol, Decimal]) -> Decimal:
        """Worth of all shares, long and short both counted positive; names without a mark count nothing."""
        return sum((abs(p.quantity) * marks.get(p.symbol, ZERO) for p in self.positions.values()), ZERO)

    def marked(self, marks: Mapping[Symbol, Decimal], ts_ns: int) -> NavMarked:
        """The valuation at `ts_ns`. DataError when a name that is held has no mark."""
        nav = self.nav(marks)
        if nav is None:
            missing = next(p.symbol for p in self.positions.values() if p.quantity and p.symbol not in marks)
            raise DataError("marks", missing, "is held and has no price", "hand in its last one")
        return NavMarked(self.fund_id, nav, self.cash, self.gross(marks), ts_ns)


def fill_position(position: Position, fill: Fill) -> Position:
    """One position after one fill, average-cost accounting; a fill past zero closes all and opens the rest."""
    signed = fill.side.sign * fill.quantity
    quantity = position.quantity + signed
    fees = position.fees + fill.fee
    if position.quantity * signed >= 0:
        worth = position.average_price * abs(position.quantity) + fill.price * fill.quantity
        return changed(position, quantity=quantity, average_price=worth / abs(quantity), fees=fees)
    closed = min(abs(position.quantity), fill.quantity)
    direction = 1 if position.quantity > 0 else -1
    realised = position.realised_pnl + direction * closed * (fill.price - position.average_price)
    if quantity == 0:
        average = ZERO
    else:
        average = position.average_price if quantity * position.quantity > 0 else fill.price
    return changed(position, quantity=quantity, average_price=average, realised_pnl=realised, fees=fees)

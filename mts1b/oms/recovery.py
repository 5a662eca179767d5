"""What a start hands on from the journal, and what it reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from mts1b.foundation.ids import Symbol
from mts1b.foundation.order import Order
from mts1b.oms.book import Book
from mts1b.oms.ports import JournalState
from mts1b.riskengine.snapshot import RiskSnapshot
from mts1b.riskengine.verdict import Standing


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """Open orders found in the journal, how many of them stay unanswered, and the venue report to resume after."""

    open_orders: int
    in_doubt: int
    report_sequence: int


def risk_snapshot(
    state: JournalState,
    book: Book,
    open_orders: Sequence[Order],
    marks: Mapping[Symbol, Decimal],
    standing: Standing,
) -> RiskSnapshot:
    """The journal's view of the fund, as risk starts from it."""
    return RiskSnapshot(
        cash=book.cash,
        positions=tuple((item.symbol, item.quantity) for item in book.positions.values() if item.quantity),
        open_orders=tuple(open_orders),
        keys=tuple((key, created_ns) for key, _, created_ns in state.keys),
        marks=tuple(marks.items()),
        marked_ns=state.marked_ns,
        last_nav=state.last_nav,
        peak_nav=state.peak_nav,
        day_start_nav=state.day_start_nav,
        standing=standing,
        quoted=state.quoted,
        recent=state.recent,
    )

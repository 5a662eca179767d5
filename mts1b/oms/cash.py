"""Money that comes and goes without a trade: what may be posted, and when it is posted already. Pure."""

from __future__ import annotations

from decimal import Decimal

from mts1b.foundation.errors import InputError
from mts1b.foundation.events import CashKind, CashMoved
from mts1b.foundation.ids import FundId
from mts1b.foundation.instrument import BASE_CURRENCY

SIGNS = {CashKind.DEPOSIT: 1, CashKind.WITHDRAWAL: -1}
"""Kinds whose amount has one sign; a borrow fee may be a rebate, interest and dividends may be paid."""


def checked(move: CashMoved, fund_id: FundId) -> CashMoved:
    """The move. InputError when it cannot be posted to the fund's book, which has one currency."""
    if move.fund_id != fund_id:
        raise InputError("fund_id", move.fund_id, f"is not {fund_id}, which was asked", "post it to its own fund")
    if not move.move_id or not move.move_id.isprintable() or len(move.move_id) > 64:
        raise InputError("id", move.move_id, "is no name for a movement of money", "use up to 64 printable characters")
    if move.kind is CashKind.CONVERSION or move.currency != BASE_CURRENCY:
        problem = f"the book keeps {BASE_CURRENCY} only"
        raise InputError("currency", move.currency, problem, f"post what it came to in {BASE_CURRENCY}")
    if not isinstance(move.amount, Decimal) or not move.amount.is_finite() or move.amount == 0:
        raise InputError("amount", str(move.amount), "is no amount of money", "give a number other than 0")
    sign = SIGNS.get(move.kind)
    if sign is not None and move.amount * sign < 0:
        side = "above" if sign > 0 else "below"
        raise InputError("amount", str(move.amount), f"a {move.kind.value} is {side} 0", "give the other sign")
    return move


def is_posted(move: CashMoved, known: CashMoved | None) -> bool:
    """Whether this very move is in the journal. InputError when another one is, under its id."""
    if known is None:
        return False
    same = ("fund_id", "kind", "currency", "amount", "symbol")
    if any(getattr(move, name) != getattr(known, name) for name in same):
        told = f"names a {known.kind.value} of {known.amount} {known.currency} already"
        raise InputError("id", move.move_id, told, "give this one another id")
    return True

"""What a fund could hold at worst, kept up to date name by name.

Of a name's working orders any subset may fill: at best for the bulls all buys and no sell, at worst all sells and no
buy. A limit must hold at both ends. Totals are kept as running sums, exact in Decimal, so that one check costs the
same with 10 names as with 10,000.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

ZERO = Decimal(0)
ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Name:
    """One name: signed shares held, unsigned shares in open buys and sells, the last price per share (None: no price).

    `bounded` is the money that open buys with a limit price may cost, `unbounded` what the others cost at the price
    they were sized with; both, and `price`, in the name's own currency. `rate`: the fund's currency for one of it
    (None: unknown). `margin_rate`: equity needed for a unit of exposure.
    """

    held: Decimal = ZERO
    buys: Decimal = ZERO
    sells: Decimal = ZERO
    price: Decimal | None = None
    rate: Decimal | None = ONE
    bounded: Decimal = ZERO
    unbounded: Decimal = ZERO
    margin_rate: Decimal = ONE

    @property
    def mark(self) -> Decimal | None:
        """The price in the fund's currency; None without a price or a rate."""
        if self.price is None or self.rate is None:
            return None
        return self.price if self.rate == ONE else self.price * self.rate

    @property
    def highest(self) -> Decimal:
        """Signed shares if all buys and no sell fill."""
        return self.held + self.buys

    @property
    def lowest(self) -> Decimal:
        """Signed shares if all sells and no buy fill."""
        return self.held - self.sells

    @property
    def widest(self) -> Decimal:
        """Unsigned shares at the worse end."""
        return max(abs(self.highest), abs(self.lowest))

    @property
    def is_idle(self) -> bool:
        """No shares and no orders."""
        return not (self.held or self.buys or self.sells)


EMPTY = Name()


@dataclass(frozen=True, slots=True)
class Totals:
    """Money over all names, in the fund's currency: worst gross, highest and lowest net, worth of the shares held,
    margin at the worst ends, and what open buys may cost."""

    gross: Decimal = ZERO
    highest: Decimal = ZERO
    lowest: Decimal = ZERO
    held: Decimal = ZERO
    margin: Decimal = ZERO
    bounded: Decimal = ZERO
    unbounded: Decimal = ZERO

    @property
    def net(self) -> Decimal:
        """Worst net exposure, unsigned."""
        return max(abs(self.highest), abs(self.lowest))

    def exchange(self, old: Name, new: Name) -> Totals:
        """The totals after one name changed from `old` to `new`. A name without a mark counts nothing."""
        was, now = old.mark or ZERO, new.mark or ZERO
        old_rate, new_rate = old.rate or ZERO, new.rate or ZERO
        old_gross, new_gross = old.widest * was, new.widest * now
        return Totals(
            self.gross + new_gross - old_gross,
            self.highest + new.highest * now - old.highest * was,
            self.lowest + new.lowest * now - old.lowest * was,
            self.held + new.held * now - old.held * was,
            self.margin + new_gross * new.margin_rate - old_gross * old.margin_rate,
            self.bounded + new.bounded * new_rate - old.bounded * old_rate,
            self.unbounded + new.unbounded * new_rate - old.unbounded * old_rate,
        )

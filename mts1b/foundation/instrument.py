"""What is known of a thing that can be traded, apart from its prices."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from decimal import Decimal

from mts1b.foundation.ids import Symbol

BASE_CURRENCY = "USD"
"""A fund's own currency when nobody says otherwise."""

FOREVER_NS = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Instrument:
    """One name: prices come in multiples of `tick`, quantities of `lot`, both in `currency` and units of the name.

    `session` names its trading hours, `sector` is "" when unknown. `margin_rate`: equity that a unit of exposure
    needs, as a fraction; 1 is a cash account.
    """

    symbol: Symbol
    tick: Decimal
    lot: Decimal
    currency: str = BASE_CURRENCY
    session: str = "always"
    sector: str = ""
    tradable: bool = True
    margin_rate: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class Session:
    """Trading hours: (open, close) in UTC nanoseconds, in order and apart; open at its open, closed at its close."""

    name: str
    windows: tuple[tuple[int, int], ...]

    def is_open(self, now_ns: int) -> bool:
        at = bisect_right(self.windows, (now_ns, FOREVER_NS)) - 1
        return at >= 0 and now_ns < self.windows[at][1]

    def opens_after(self, now_ns: int) -> int | None:
        """The next opening after `now_ns`; None when none is known."""
        at = bisect_right(self.windows, (now_ns, FOREVER_NS))
        return self.windows[at][0] if at < len(self.windows) else None


ALWAYS = Session("always", ((0, FOREVER_NS),))
"""Hours of what never closes."""

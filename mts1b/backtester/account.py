"""How a single run trades: its capital, what an order costs and when it is filled. Options of the event engine."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from mts1b.backtester.execution import CAPITALS, Execution
from mts1b.foundation.errors import InputError, unknown_name

FILLS = ("next_open", "close", "vwap")
"""Prices at which a decision taken on the close of bar t is filled.

next_open   the open of bar t + 1
close       the close of bar t itself: assumes that one can still trade on the price that decided
vwap        the volume-weighted average price of bar t + 1; its typical price (high + low + close) / 3 where the bars
            carry none
"""

DIRECTIONS = ("both", "long")

_RANGES: dict[str, tuple[float, float, str]] = {
    "capital": (math.ulp(0.0), 1e15, "give the cash to begin with, above 0"),
    "band": (0.0, math.inf, "give the distance from the target that is left alone, 0 or more"),
    "leverage_max": (math.ulp(0.0), math.inf, "give gross exposure as a multiple of NAV: 1 is unlevered"),
    "commission_bps": (0.0, 10_000.0, "give a cost, not a rebate"),
    "commission_per_share": (0.0, 1e6, "give a cost, not a rebate"),
    "commission_min": (0.0, 1e9, "give a cost, not a rebate"),
    "half_spread_bps": (0.0, 10_000.0, "give a cost, not a rebate"),
    "impact": (0.0, 1e3, "0 is none, about 1 is usual"),
    "impact_bars": (2, 10_000, "give the bars of the average, 20 is a month of sessions"),
    "volume_share_max": (math.ulp(0.0), math.inf, "give a share of the bar's volume, 0.1 is a tenth"),
    "borrow_rate": (0.0, 100.0, "give a fraction a year, 0.03 is 3 %"),
    "cash_rate": (-1.0, 100.0, "give a fraction a year, 0.03 is 3 %"),
    "delist_after_bars": (1, 10_000_000, "give a number of bars, at least 1"),
}


@dataclass(frozen=True, slots=True)
class Account:
    """Options of one run in the event engine. Money is in the currency of the prices.

    capital               cash at the start
    fill                  one of FILLS
    whole_shares          round positions toward zero to whole shares; else any fraction
    direction             "both", or "long": targets below 0 count as 0
    capital_by            "portfolio": a name's target is a fraction of NAV / names, cash is shared; "sleeve": each name
                          has capital / names of its own and its target is a fraction of what became of that
    band                  a name is traded when its target changes, or when its weight has drifted further than this
                          from its target, both as fractions of its equal share; 0 restores it at each fill, inf never
    leverage_max          orders that open are cut, all in proportion, to keep gross exposure within this many NAVs
    commission_bps        of the traded value, plus
    commission_per_share  in money, together at least
    commission_min        in money for each order
    half_spread_bps       of the traded value: half of the bid-ask spread
    impact                Y of the square-root law: a fill moves by Y * volatility * sqrt(quantity / volume), the
                          volatility a bar and the mean volume of the last `impact_bars` bars up to the decision
    volume_share_max      most of a bar's volume that one order may take; the rest is tried again at the next fill
    borrow_rate           paid on the value of shorts, a year of 365 days
    cash_rate             earned on cash, paid on a debit balance, a year of 365 days
    delist_after_bars     a name without a bar for so many in a row is closed at its last price, at no cost
    close_at_end          close all at the fill price of the last bar, as far as its volume allows

    InputError names the option that is out of its range.
    """

    capital: float = 1_000_000.0
    fill: str = "next_open"
    whole_shares: bool = True
    direction: str = "both"
    capital_by: str = "portfolio"
    band: float = 0.0
    leverage_max: float = 1.0
    commission_bps: float = 1.0
    commission_per_share: float = 0.0
    commission_min: float = 0.0
    half_spread_bps: float = 2.0
    impact: float = 0.0
    impact_bars: int = 20
    volume_share_max: float = math.inf
    borrow_rate: float = 0.0
    cash_rate: float = 0.0
    delist_after_bars: int = 20
    close_at_end: bool = True

    def __post_init__(self) -> None:
        for name, known in (("fill", FILLS), ("direction", DIRECTIONS), ("capital_by", CAPITALS)):
            if getattr(self, name) not in known:
                raise unknown_name(name, str(getattr(self, name)), known)
        for name, (low, high, remedy) in _RANGES.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise InputError(name, value, f"must be a number from {low:g} to {high:g}", remedy)
        for name in ("impact_bars", "delist_after_bars"):
            if getattr(self, name) != int(getattr(self, name)):
                raise InputError(name, getattr(self, name), "must be a whole number", _RANGES[name][2])

    @classmethod
    def matching(cls, execution: Execution) -> Account:
        """The account that a sweep with these options describes: fractions of shares, nothing closed at the end.

        For a plain execution the sweep is its first order: every return of a bar differs by products of two moves of
        that bar and the one before it; trades are equal. With any other option the sweep keeps the same books. A sleeve
        is unlevered (a sweep's spends what it has, but lets a target beyond 1 stand); a portfolio has no limit.
        """
        same = ("commission_bps", "half_spread_bps", "commission_per_share", "commission_min", "capital", "capital_by")
        more = ("band", "impact", "impact_bars", "volume_share_max", "borrow_rate", "cash_rate")
        return cls(
            **{name: getattr(execution, name) for name in (*same, *more)},
            fill="next_open" if execution.fill == "open" else execution.fill,
            whole_shares=False,
            direction="long" if execution.long_only else "both",
            leverage_max=1.0 if execution.capital_by == "sleeve" else math.inf,
            delist_after_bars=int(min(execution.delist_after_bars, _RANGES["delist_after_bars"][1])),
            close_at_end=False,
        )

    def to_dict(self) -> dict[str, object]:
        """JSON-ready: an unlimited option is None."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: None if value == math.inf else value for name, value in values.items()}

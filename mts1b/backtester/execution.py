"""The execution model: when a decision trades, at what price, what it costs.

Plain (the two costs in basis points and nothing else). Decided on the close of bar t, traded at the open of bar t+1.
With w[t] the target in force from the open of bar t (decided on the close of the bar before) and S names of equal
capital:

    r[t] = sum over names of ( w[t-1] * overnight[t] + w[t] * intraday[t] - cost * |w[t] - w[t-1] * drift[t]| ) / S

    overnight[t] = open[t] / last close - 1
    intraday[t] = close[t] / open[t] - 1
    drift[t] = open[t] / last traded open

So weights drift with the price between opens, are restored to their targets at each open, and every restoring trade
pays. A bar without an open or a close cannot be traded: what is held stays held, and its return is booked, whole, at
the next bar that has a price. Nor is anything decided on a bar without a close: the name is left alone at the next
open, as the order path leaves it. A name whose bars end keeps its last value.

With any other option the books are exact (`mts1b.backtester.holdings`): cash and fractions of shares, for every
combination, as the event engine keeps them for one.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from mts1b.foundation.errors import DataError, InputError, unknown_name
from mts1b.foundation.ids import digest
from mts1b.strategy.panel import Panel
from mts1b.strategy.turned import name_major

Floats = NDArray[np.float64]

BASIS_POINT = 1e-4

LADDER_FILLS = ("open", "close", "vwap")
"""Prices at which a decision taken on the close of bar t is filled.

open    the open of bar t + 1
close   the close of bar t itself: assumes that one can still trade on the price that decided
vwap    the volume-weighted average price of bar t + 1, as the data deliver it
"""

CAPITALS = ("portfolio", "sleeve")

_BPS = "must be between 0 and 10000 basis points"
_COST = "give a cost, not a rebate"
_RANGES: dict[str, tuple[float, float, str, str]] = {
    "commission_bps": (0.0, 10_000.0, _BPS, _COST),
    "half_spread_bps": (0.0, 10_000.0, _BPS, _COST),
    "capital": (math.ulp(0.0), 1e15, "must be above 0 and at most 1e15", "give the money to begin with"),
    "band": (0.0, math.inf, "must be at least 0", "give the distance from the target that is left alone, or inf"),
    "commission_per_share": (0.0, 1e6, "must be from 0 to 1e6", _COST),
    "commission_min": (0.0, 1e9, "must be from 0 to 1e9", _COST),
    "impact": (0.0, 1e3, "must be from 0 to 1000", "0 is none, about 1 is usual"),
    "impact_bars": (2, 10_000, "must be from 2 to 10000", "20 is a month of sessions"),
    "volume_share_max": (math.ulp(0.0), math.inf, "must be above 0", "0.1 is a tenth of a bar's volume, inf no cap"),
    "borrow_rate": (0.0, 100.0, "must be from 0 to 100", "give a fraction a year, 0.03 is 3 %"),
    "cash_rate": (-1.0, 100.0, "must be from -1 to 100", "give a fraction a year, 0.03 is 3 %"),
    "delist_after_bars": (1, math.inf, "must be at least 1", "give a number of bars, or inf for never"),
}

_WITHOUT_EFFECT = ("commission_bps", "half_spread_bps", "capital", "impact_bars")
"""Options that do not by themselves ask for exact books."""


@dataclass(frozen=True, slots=True)
class Execution:
    """How every combination of a sweep trades. Money is in the currency of the prices.

    commission_bps        of the traded value, plus
    commission_per_share  in money, together at least
    commission_min        in money for each order
    half_spread_bps       of the traded value: half of the bid-ask spread
    fill                  one of LADDER_FILLS
    capital               money at the start: what commissions in money, impact and volumes are measured against
    capital_by            "portfolio": a name's target is a fraction of NAV / names, cash is shared; "sleeve": each name
                          has capital / names of its own, never moved to another, and its target is a fraction of that
    long_only             targets below 0 count as 0
    band                  a name is traded when its target changes, or when its weight has drifted further than this
                          from its target, both as fractions of its equal share; 0 restores it at each fill, inf never
    impact                Y of the square-root law: a fill moves by Y * volatility * sqrt(quantity / volume), the
                          volatility a bar and the mean volume of the last `impact_bars` bars up to the decision
                          (Torre 1997; Grinold and Kahn 2000, chapter 16; as `mts1b.backtester.costs`)
    volume_share_max      most of a bar's volume that one order may take; the rest is tried again at the next fill
    borrow_rate           paid on the value of shorts, a year of 365 days
    cash_rate             earned on cash, paid on a debit balance, a year of 365 days
    delist_after_bars     a name without a bar for so many in a row is closed at its last price, at no cost

    In a sleeve an order may not spend more than there is: it is cut until it and its costs are paid for (with the whole
    sleeve X and a cost of fraction f it buys X / (1 + f)). A portfolio pays costs from the cash it shares.
    InputError names the option that is out of its range.
    """

    commission_bps: float = 1.0
    half_spread_bps: float = 2.0
    fill: str = "open"
    capital: float = 1_000_000.0
    capital_by: str = "portfolio"
    long_only: bool = False
    band: float = 0.0
    commission_per_share: float = 0.0
    commission_min: float = 0.0
    impact: float = 0.0
    impact_bars: int = 20
    volume_share_max: float = math.inf
    borrow_rate: float = 0.0
    cash_rate: float = 0.0
    delist_after_bars: float = math.inf

    def __post_init__(self) -> None:
        for name, known in (("fill", LADDER_FILLS), ("capital_by", CAPITALS)):
            if getattr(self, name) not in known:
                raise unknown_name(name, str(getattr(self, name)), known)
        if not isinstance(self.long_only, bool):
            raise InputError("long_only", self.long_only, "must be true or false", "give one of them")
        for name, (low, high, rule, remedy) in _RANGES.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise InputError(name, value, rule, remedy)
        for name in ("impact_bars", "delist_after_bars"):
            value = getattr(self, name)
            if math.isfinite(value) and value != int(value):
                raise InputError(name, value, "must be a whole number", _RANGES[name][3])

    @property
    def cost(self) -> float:
        """Cost of a trade as a fraction of its notional, as far as it is one."""
        return (self.commission_bps + self.half_spread_bps) * BASIS_POINT

    @property
    def beyond_plain(self) -> tuple[str, ...]:
        """Options that make it more than costs in basis points, as they are given."""
        others = (f for f in fields(self) if f.name not in _WITHOUT_EFFECT)
        return tuple(f"{f.name}={getattr(self, f.name)!r}" for f in others if getattr(self, f.name) != f.default)

    @property
    def is_plain(self) -> bool:
        """The costs in basis points and nothing else: first order, one multiply-add in the kernel."""
        return not self.beyond_plain

    @property
    def is_proportional(self) -> bool:
        """A share traded at a price costs the same whatever the order: neither a minimum nor impact."""
        return self.commission_min == 0.0 and self.impact == 0.0

    @property
    def key(self) -> str:
        """Digest for result keys."""
        return digest("execution", *(f"{name}={value!r}" for name, value in self.to_dict().items()))

    @property
    def text(self) -> str:
        """For a reader: the two costs, then every other option that is not at its default."""
        named = (f for f in fields(self)[2:] if getattr(self, f.name) != f.default)
        more = [f"{f.name}={getattr(self, f.name)}" for f in named]
        return ", ".join([f"{self.commission_bps:g} bps commission, {self.half_spread_bps:g} bps half-spread", *more])

    def to_dict(self) -> dict[str, object]:
        """JSON-ready: an unlimited option is None."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: None if value == math.inf else value for name, value in values.items()}

    def check_panel(self, panel: Panel) -> None:
        """InputError when these bars lack what the fill needs."""
        if self.fill == "vwap" and panel.vwap is None:
            raise InputError("fill", self.fill, "the bars have no vwap", "fill at the open or close, or use other bars")


@dataclass(frozen=True, slots=True)
class Moves:
    """What prices did to a holding, name-major [S, T].

    `tradable` is False where a bar lacks its open or close, or where the bar before lacked the close to decide on.
    """

    overnight: Floats
    intraday: Floats
    drift: Floats
    tradable: NDArray[np.bool_]


def moves(panel: Panel) -> Moves:
    """Returns between and inside sessions. DataError names the first price that is not above 0."""
    check_prices(panel)
    open_, close = name_major(panel.open), name_major(panel.close)
    priced = np.isfinite(open_) & np.isfinite(close)
    tradable = priced.copy()
    tradable[:, 1:] &= np.isfinite(close[:, :-1])
    opens = _before(np.where(tradable, open_, np.nan))
    closes = _before(np.where(priced, close, np.nan))
    return Moves(
        overnight=_or(open_ / closes - 1.0, priced, 0.0),
        intraday=_or(close / open_ - 1.0, priced, 0.0),
        drift=_or(open_ / opens, tradable, 1.0),
        tradable=tradable,
    )


def check_prices(panel: Panel, fields: Collection[str] = ()) -> bool:
    """Whether no bar is missing from these fields, all when none is named.

    DataError unless every price is above 0 and finite, and every volume at least 0, or NaN for a missing bar.
    """
    whole = True
    for name in fields or panel.fields:
        values = panel.field(name)
        least = 0.0 if name == "volume" else np.nextafter(0.0, 1.0)
        if values.size and values.min() >= least and values.max() < np.inf:
            continue  # no bar is missing either: a NaN is not at least anything
        whole = False
        with np.errstate(invalid="ignore"):
            low = values < 0.0 if name == "volume" else values <= 0.0
        if bool(low.any()) or bool((values == np.inf).any()):
            wrong = low | np.isinf(values)
            t, s = (int(i) for i in np.argwhere(wrong)[0])
            where = f"{name} of {panel.symbols[s]} at bar {t} (ts_ns {int(panel.ts_ns[t])})"
            rule = "must be a finite number " + ("of at least 0" if name == "volume" else "above 0")
            raise DataError(where, float(values[t, s]), rule, "correct the row, or leave the bar out (NaN)")
    return whole


def _before(values: Floats) -> Floats:
    """The last known value before each bar, along the last axis; NaN before the first."""
    last = np.where(np.isnan(values), 0, np.arange(values.shape[1]))
    known = np.take_along_axis(values, np.maximum.accumulate(last, axis=1), axis=1)
    return np.concatenate([np.full((values.shape[0], 1), np.nan), known[:, :-1]], axis=1)


def _or(values: Floats, known: NDArray[np.bool_], otherwise: float) -> Floats:
    return np.ascontiguousarray(np.where(known & np.isfinite(values), values, otherwise))

"""The execution model: when a decision trades, at what price, what it costs.

Decided on the close of bar t, traded at the open of bar t+1. With w[t] the target in force from the open of bar t
(decided on the close of the bar before) and S names of equal capital:

    r[t] = sum over names of ( w[t-1] * overnight[t] + w[t] * intraday[t] - cost * |w[t] - w[t-1] * drift[t]| ) / S

    overnight[t] = open[t] / last close - 1
    intraday[t] = close[t] / open[t] - 1
    drift[t] = open[t] / last traded open

So weights drift with the price between opens, are restored to their targets at each open, and every restoring trade
pays. A bar without an open or a close cannot be traded: what is held stays held, and its return is booked, whole, at
the next bar that has a price. Nor is anything decided on a bar without a close: the name is left alone at the next
open, as the order path leaves it. A name whose bars end keeps its last value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mts1b.foundation.errors import DataError, InputError
from mts1b.foundation.ids import digest
from mts1b.strategy.panel import Panel

Floats = NDArray[np.float64]

BASIS_POINT = 1e-4


@dataclass(frozen=True, slots=True)
class Execution:
    """Costs of a trade, in basis points of its notional: commission and half of the bid-ask spread."""

    commission_bps: float = 1.0
    half_spread_bps: float = 2.0

    def __post_init__(self) -> None:
        for name in ("commission_bps", "half_spread_bps"):
            value = getattr(self, name)
            if not 0.0 <= value <= 10_000.0:
                raise InputError(name, value, "must be between 0 and 10000 basis points", "give a cost, not a rebate")

    @property
    def cost(self) -> float:
        """Cost of a trade as a fraction of its notional."""
        return (self.commission_bps + self.half_spread_bps) * BASIS_POINT

    @property
    def key(self) -> str:
        """Digest for result keys."""
        return digest("execution", "next-open", repr(self.commission_bps), repr(self.half_spread_bps))


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
    open_, close = panel.open.T, panel.close.T
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


def check_prices(panel: Panel) -> None:
    """DataError unless every price is above 0 and finite, and every volume at least 0, or NaN for a missing bar."""
    for name in panel.fields:
        values = panel.field(name)
        with np.errstate(invalid="ignore"):
            wrong = (values < 0.0) | np.isinf(values) if name == "volume" else (values <= 0.0) | np.isinf(values)
        if bool(wrong.any()):
            t, s = (int(i) for i in np.argwhere(wrong)[0])
            where = f"{name} of {panel.symbols[s]} at bar {t} (ts_ns {int(panel.ts_ns[t])})"
            rule = "must be a finite number " + ("of at least 0" if name == "volume" else "above 0")
            raise DataError(where, float(values[t, s]), rule, "correct the row, or leave the bar out (NaN)")


def _before(values: Floats) -> Floats:
    """The last known value before each bar, along the last axis; NaN before the first."""
    last = np.where(np.isnan(values), 0, np.arange(values.shape[1]))
    known = np.take_along_axis(values, np.maximum.accumulate(last, axis=1), axis=1)
    return np.concatenate([np.full((values.shape[0], 1), np.nan), known[:, :-1]], axis=1)


def _or(values: Floats, known: NDArray[np.bool_], otherwise: float) -> Floats:
    return np.ascontiguousarray(np.where(known & np.isfinite(values), values, otherwise))

"""What each bar offers to exact books: prices to fill and to mark at, how much may be traded, what trading moves.

Time-major [T, S], as the panel is: the books go through all names of a bar before the next one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mts1b.backtester.costs import liquidity
from mts1b.backtester.execution import Execution
from mts1b.backtester.ledger import YEAR_NS
from mts1b.strategy.panel import Panel

Floats = NDArray[np.float64]
Truths = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Offered:
    """Tables [T, S] of one panel for one execution, and `years` [T] from the bar before to each.

    price               of a fill in the bar, 1.0 where it cannot be traded
    tradable            it has a fill price and a close, and what is filled was decided on a close
    before, last        last close known before the bar, and with it; 0.0 before the first
    gone                without a bar for so long that a holding is closed
    most                most shares of one order
    volume, volatility  known at the decision (`mts1b.backtester.costs.Liquidity`), NaN where nothing is
    lag                 bars from a decision to its fill: 1, or 0 when it is filled at its own close
    """

    price: Floats
    tradable: Truths
    before: Floats
    last: Floats
    gone: Truths
    most: Floats
    volume: Floats
    volatility: Floats
    years: Floats
    lag: int

    @property
    def depth(self) -> Floats:
        """Volatility over the root of the volume [T, S], 0 where one is not known: impact is Y * depth * sqrt(shares).

        As `mts1b.backtester.costs.slippage`.
        """
        known = np.isfinite(self.volume) & (self.volume > 0.0) & np.isfinite(self.volatility)
        root = np.sqrt(np.where(known, self.volume, 1.0))
        return np.where(known, np.where(known, self.volatility, 0.0) / root, 0.0)


def offered(panel: Panel, execution: Execution) -> Offered:
    """The tables of a checked panel. InputError when it lacks the vwap to fill at. Row t uses nothing after t."""
    execution.check_panel(panel)
    close = panel.close
    price = panel.field({"open": "open", "close": "close", "vwap": "vwap"}[execution.fill])
    lag = 0 if execution.fill == "close" else 1
    tradable = np.isfinite(price) & np.isfinite(close)
    if lag:
        tradable[1:] &= np.isfinite(close[:-1])
        tradable[0] = False
    last = _last_known(close)
    none = np.full((1, close.shape[1]), np.nan)
    volume, volatility = np.full(close.shape, np.nan), np.full(close.shape, np.nan)
    if execution.impact > 0.0:
        known = liquidity(panel, int(execution.impact_bars))
        volume, volatility = (
            np.concatenate([none, table])[: len(close)] if lag else table for table in (known.volume, known.volatility)
        )
    return Offered(
        price=np.where(tradable, price, 1.0),
        tradable=tradable,
        before=np.concatenate([np.zeros_like(none), last[:-1]]),
        last=last,
        gone=_missing(close) >= execution.delist_after_bars,
        most=_most(panel.volume, execution.volume_share_max),
        volume=volume,
        volatility=volatility,
        years=np.diff(panel.ts_ns, prepend=panel.ts_ns[:1]) / YEAR_NS,
        lag=lag,
    )


def _last_known(close: Floats) -> Floats:
    """The last close up to each bar, 0.0 before the first."""
    known = np.where(np.isfinite(close), np.arange(len(close))[:, None], 0)
    return np.nan_to_num(np.take_along_axis(close, np.maximum.accumulate(known, axis=0), axis=0), nan=0.0)


def _missing(close: Floats) -> Floats:
    """Bars without a close in a row, up to each bar."""
    places = np.arange(1, len(close) + 1)[:, None]
    seen = np.maximum.accumulate(np.where(np.isfinite(close), places, 0), axis=0)
    return (places - seen).astype(np.float64)


def _most(volume: Floats, share: float) -> Floats:
    return np.full(volume.shape, np.inf) if share == np.inf else share * np.nan_to_num(volume, nan=0.0)

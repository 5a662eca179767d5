"""What drift of features is measured on: what a strategy sees of a name at a bar, in units that do not grow. Pure."""

from __future__ import annotations

import numpy as np

from mts1b.watchdog.drift import Floats

HIGH, LOW, CLOSE, VOLUME = 1, 2, 3, 4
"""Rows of a bar's table."""


def bar_features(before: Floats, bar: Floats, targets: Floats) -> dict[str, Floats]:
    """Features by name, [S] each, of one bar: `before` and `bar` [5 or 6, S] as a session has them, `targets` [S].

    `return`: log of the close over the one before; `range`: high less low, over the close; `volume`: log of the volume
    over the one before; `target`: what the strategy decided. NaN where a name has no bar, or had none before.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "return": np.log(bar[CLOSE] / before[CLOSE]),
            "range": (bar[HIGH] - bar[LOW]) / bar[CLOSE],
            "volume": np.log(bar[VOLUME] / before[VOLUME]),
            "target": np.asarray(targets, dtype=np.float64),
        }


def first_order_returns(close: Floats, targets: Floats) -> Floats:
    """Returns [T - 1] of holding `targets` [T, S] of each name's equal part from one close to the next.

    First-order: no costs, filled at the close that decided; a name without two closes earns nothing. Enough to compare
    the shape of a fund's returns with, not a backtest's result.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        moves = close[1:] / close[:-1] - 1.0
    held = np.where(np.isfinite(moves), targets[:-1] * moves, 0.0)
    return np.asarray(held.mean(axis=1), dtype=np.float64)

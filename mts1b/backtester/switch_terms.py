"""What a bar adds for a strategy that switches, by whether a name was held before its open and is held from it on.

With `was` and `now` 0 or 1, everything is of the form `was * a + now * (b + was * c)`: no lane computes a, b and c.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mts1b.backtester.execution import Moves

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]


@dataclass(frozen=True)
class Terms:
    """For a weight in force [S, T] each, float32.

    earned   was * leave + now * (enter + was * stay)
    traded   now * (bought + was * resized), the part of `was` alone counted at the bar before: see `sold`
    gross    now * gross
    changed  now * (begun + was * kept), again with the part of `was` alone at the bar before
    sold, ended   that part, of the bar itself: needed where sums begin and end
    """

    leave: Singles
    enter: Singles
    stay: Singles
    bought: Singles
    resized: Singles
    gross: Singles
    begun: Singles
    kept: Singles
    sold: Singles
    ended: Singles


TERM_NAMES = ("leave", "enter", "stay", "bought", "resized", "gross", "begun", "kept", "sold", "ended")


def in_force(weight: Floats, tradable: NDArray[np.bool_]) -> Floats:
    """The weight in force from the open of each bar, [S, T], for a name that is held: decided on the bar before.

    It stays as it was over bars that cannot be traded. The first bar has none.
    """
    decided = np.concatenate([np.zeros((weight.shape[0], 1)), weight[:, :-1]], axis=1)
    last = np.where(tradable, np.arange(weight.shape[1]), 0)
    return np.take_along_axis(decided, np.maximum.accumulate(last, axis=1), axis=1)


def terms(weight: Floats, moved: Moves, cost: float) -> Terms:
    """The terms for a weight [S, T] decided on the close of each bar; NaN is no target. Computed in float64."""
    held = in_force(np.where(np.isnan(weight), 0.0, weight), moved.tradable)
    before = np.concatenate([np.zeros((held.shape[0], 1)), held[:, :-1]], axis=1)
    drifted = np.where(moved.tradable, before * moved.drift, held)
    sold, bought = np.abs(drifted), np.abs(held)
    leave = before * moved.overnight - cost * sold
    enter = held * moved.intraday - cost * bought
    both = before * moved.overnight + held * moved.intraday - cost * np.abs(held - drifted)
    ended, begun = (before != 0.0) * 1.0, (held != 0.0) * 1.0
    tables = (
        *(leave, enter, both - leave - enter),
        *(bought + _next(sold), np.abs(held - drifted) - sold - bought, bought),
        *(begun + _next(ended), (held != before) - ended - begun, sold, ended),
    )
    return Terms(*(np.ascontiguousarray(table, dtype=np.float32) for table in tables))


def _next(table: Floats) -> Floats:
    """Each bar's value of the bar after it; 0 for the last."""
    return np.concatenate([table[:, 1:], np.zeros((table.shape[0], 1))], axis=1)

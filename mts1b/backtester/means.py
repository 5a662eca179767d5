"""The compiled twin of `sma` for many windows at once: what most sweeps fill most of their tables with.

The values that leave the windows are read from the name's own history, so nothing has to be kept for each column but
its sum. Each column does the arithmetic of `mts1b.strategy.indicators.rolling_sum` in the same order: equal to the bit.
"""

from __future__ import annotations

from functools import lru_cache
from inspect import getsource
from typing import Any

import numpy as np

from mts1b.strategy.codegen import ENTRY, HEADER
from mts1b.strategy.jit import load


def fill_means(values: Any, windows: Any, out: Any) -> None:
    """Fill `out` [S, T * W] with the means of the last `windows` [W] (ascending, int64) known values [S, T]."""
    width = windows.shape[0]
    bars = values.shape[1]
    side = 1  # the first windows follow each other: what leaves them lies side by side
    while side < width and windows[side] == windows[0] + side:
        side += 1
    past = np.empty(bars)  # the last value first: from `newest` on
    leaving = np.empty(width)
    total = np.empty(width)
    lost = np.empty(width)
    for s in range(values.shape[0]):
        total[:] = 0.0
        lost[:] = 0.0
        count = 0
        full = 0  # windows that drop a value at this bar: the first ones
        for t in range(bars):
            row = out[s, t * width : (t + 1) * width]
            x = values[s, t]
            if x != x:
                row[:] = np.nan
                continue
            while full < width and windows[full] <= count:
                full += 1
            newest = bars - count
            for l in range(min(full, side)):
                leaving[l] = past[newest - 1 + windows[0] + l]
            for l in range(side, full):
                leaving[l] = past[newest - 1 + windows[l]]
            for l in range(full):
                change = -leaving[l] - lost[l]
                moved = total[l] + change
                left = (moved - total[l]) - change
                change = x - left
                total[l] = moved + change
                lost[l] = (total[l] - moved) - change
                row[l] = total[l] / windows[l]
            past[newest - 1] = x
            count += 1
            for l in range(full, width):
                change = x - lost[l]
                moved = total[l] + change
                lost[l] = (moved - total[l]) - change
                total[l] = moved
                row[l] = moved / windows[l] if count >= windows[l] else np.nan


@lru_cache(maxsize=1)
def mean_filler() -> Any:
    """`fill_means`, compiled."""
    return load(HEADER + ENTRY + getsource(fill_means)).fill_means

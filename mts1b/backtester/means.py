"""The compiled twin of `sma` for many windows at once: what most sweeps fill most of their tables with.

The values that leave the windows are read from the name's own history, so nothing has to be kept for each column but
its sum. Each column does the arithmetic of `mts1b.strategy.indicators.rolling_sum` in the same order: equal to the bit.
"""

from __future__ import annotations

from functools import lru_cache
from inspect import getsource
from pathlib import Path
from typing import Any

import numpy as np

from mts1b.backtester import block_step, mean_step
from mts1b.backtester.keys import INNER
from mts1b.backtester.mean_step import means_of
from mts1b.foundation.ids import digest
from mts1b.strategy.codegen import ENTRY, HEADER
from mts1b.strategy.jit import load

VECTOR = 16
"""Windows whose sums fit into the registers of a processor."""


def step_for(windows: int) -> int:
    """How many of so many windows go together: an even number, so that few functions are compiled."""
    return min(windows - windows % 2, VECTOR) if windows > 1 else 1


STEP, means, means_of_two = VECTOR, means_of(VECTOR), means_of(VECTOR, 2)


def fill_means(values: Any, windows: Any, out: Any) -> None:
    """Fill `out` [S, T * W] with the means of the last `windows` [W] (ascending, int64) known values [S, T]."""
    width = windows.shape[0]
    names, bars = values.shape
    side = 1  # the first windows follow each other: what leaves them lies side by side
    while side < width and windows[side] == windows[0] + side:
        side += 1
    past = np.empty((2, bars))  # the last value first
    sums = np.empty((2, 3, width))  # total, what rounding lost of it, what leaves
    sizes = windows.astype(np.float64)
    steady, count = np.empty(2, dtype=np.int64), np.empty(2, dtype=np.int64)
    for first in range(0, names, 2):
        last = min(first + 2, names)
        for s in range(first, last):
            k = s - first
            steady[k] = bars  # from here on every bar is known and every window full, and vectors go on alone
            if side == width:
                while steady[k] > 0 and values[s, steady[k] - 1] == values[s, steady[k] - 1]:
                    steady[k] -= 1
                steady[k] = min(steady[k] + windows[width - 1], bars)
            count[k] = bar_by_bar(values[s], windows, side, steady[k], past[k], sums[k], out[s])
            for t in range(steady[k], bars):
                past[k, bars - 1 - count[k] - (t - steady[k])] = values[s, t]
        leaving = bars - 1 - count + windows[0]
        if last - first == 2 and steady[0] == steady[1] and count[0] == count[1] and steady[0] < bars:
            begin = steady[0]
            two = (values[first, begin:], past[0, leaving[0] :], sums[0], out[first, begin * width :])
            go_on_two(
                *two, values[first + 1, begin:], past[1, leaving[1] :], sums[1], out[last - 1, begin * width :], sizes
            )
            continue
        for s in range(first, last):
            k = s - first
            if steady[k] < bars:
                begin = steady[k]
                go_on(values[s, begin:], past[k, leaving[k] :], sums[k], out[s, begin * width :], sizes)


def bar_by_bar(values: Any, windows: Any, side: int, stop: int, past: Any, sums: Any, out: Any) -> int:
    """The means of the bars before `stop` of one name; returns how many of them were known."""
    width = windows.shape[0]
    total, lost, leaving = sums[0], sums[1], sums[2]
    total[:] = 0.0
    lost[:] = 0.0
    count = 0
    full = 0  # windows that drop a value at this bar: the first ones
    for t in range(stop):
        row = out[t * width : (t + 1) * width]
        x = values[t]
        if x != x:
            row[:] = np.nan
            continue
        while full < width and windows[full] <= count:
            full += 1
        newest = values.shape[0] - count
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
    return count


def go_on(values: Any, past: Any, sums: Any, out: Any, sizes: Any) -> None:
    """The same over bars [T] that are all known, all windows full, a vector of them at a time: see `mean_step`."""
    width, bars = sizes.shape[0], values.shape[0]
    for start in range(0, width, STEP):
        l = 8 * min(start, width - STEP)  # bytes; the last vector overlaps the one before, if need be
        means((*places(values, past, sums, out, l), np.uintp(sizes.ctypes.data + l)), bars, width)


def go_on_two(v: Any, p: Any, s: Any, o: Any, values: Any, past: Any, sums: Any, out: Any, sizes: Any) -> None:
    """`go_on` of two names: neither has to wait while the sums of the other are on their way."""
    width, bars = sizes.shape[0], values.shape[0]
    for start in range(0, width, STEP):
        l = 8 * min(start, width - STEP)
        both = (*places(v, p, s, o, l), *places(values, past, sums, out, l), np.uintp(sizes.ctypes.data + l))
        means_of_two(both, bars, width)


def places(values: Any, past: Any, sums: Any, out: Any, l: int) -> Any:
    """Where `mean_step` finds the series of one name, from byte `l` of its rows on."""
    begin = (np.uintp(values.ctypes.data), np.uintp(past.ctypes.data + l))
    total, lost = np.uintp(sums[0].ctypes.data + l), np.uintp(sums[1].ctypes.data + l)
    return (*begin, total, lost, np.uintp(out.ctypes.data + l))


@lru_cache(maxsize=VECTOR)
def mean_filler(step: int) -> Any:
    """`fill_means`, compiled for `step` windows at a time: VECTOR, or as many as there are."""
    text = digest("step", Path(mean_step.__file__).read_text(), Path(block_step.__file__).read_text())
    made = f"STEP, means, means_of_two = {step}, means_of({step}), means_of({step}, 2)  # {text}"
    head = f"from mts1b.backtester.mean_step import means_of\n\n{made}\n\n\n"
    inner = "\n\n".join(INNER + getsource(function) for function in (bar_by_bar, places, go_on, go_on_two))
    return load(f"{HEADER}{head}{inner}\n\n{ENTRY}{getsource(fill_means)}").fill_means

"""Comparisons of float64 taken with 16-bit numbers, and exactly.

A sweep compares the same few hundred values of one bar and name again and again: each column of one side with each
number of the other. So the values are put in order once. Each gets a key of 16 bits and each number asked a threshold,
such that `key < threshold` exactly where `value < number` in float64. Keys take a quarter of the memory, and four
times as many are compared at once.

The range of the values is cut into even bins (a monotone function, rounding included), and those that share a bin are
told apart by counting. Where too many share one, all are counted.
"""

from __future__ import annotations

from functools import lru_cache
from inspect import getsource
from typing import Any

import numpy as np

from mts1b.strategy.codegen import ENTRY, HEADER
from mts1b.strategy.jit import load

BINS = 8_000
SPLIT = 8
LOWEST = -32_768
HIGHEST = 32_767
"""BINS * SPLIT keys from LOWEST on; HIGHEST is that of a value that is not known, which no threshold is above."""

INNER = '@njit(error_model="numpy")\n'

CROWDED = 256
"""Mark on the head of a bin that holds more than one value; no block has more columns."""


def fill_keys(values: Any, asked: Any, used: int, or_equal: bool, keys: Any, thresholds: Any) -> None:
    """Fill `keys` [T, W] and `thresholds` [T, A], int16, for `values` [T, W] and numbers `asked` [T, A]; W <= 256.

    key < threshold where the value is below the number asked (or equal, when `or_equal`); never where one is NaN.
    Columns from `used` on pad the block: they are never below.
    """
    width = values.shape[1]
    heads = np.full(BINS, -1, dtype=np.int16)
    after = np.empty(width, dtype=np.int16)
    bins = np.empty(width, dtype=np.int32)
    for t in range(values.shape[0]):
        row = values[t, :used]
        keys[t, used:] = HIGHEST
        if not key_by_bins(row, asked[t], or_equal, keys[t], thresholds[t], heads, after, bins):
            key_by_counting(row, asked[t], or_equal, keys[t], thresholds[t])


def key_by_bins(
    values: Any, asked: Any, or_equal: bool, keys: Any, thresholds: Any, heads: Any, after: Any, bins: Any
) -> bool:
    """One bar of `fill_keys`; False where more than SPLIT values share a bin. `heads` is -1 before and after.

    The head of a bin is the last of its values, plus CROWDED where there are more, which `after` chains.
    """
    low, scale = spread_of(values)
    if not scale < np.inf:
        return False
    for l in range(values.shape[0]):
        bins[l] = bin_of(values[l], low, scale)
        keys[l] = LOWEST + bins[l] * SPLIT if values[l] == values[l] else HIGHEST
    fits = True
    for l in range(values.shape[0]):
        if values[l] == values[l]:
            head = heads[bins[l]]
            heads[bins[l]] = l if head < 0 else l | CROWDED
            after[l] = head & (CROWDED - 1) if head >= 0 else -1
            if head >= 0 and fits:
                fits = tell_apart(values, keys, l, after)
    if fits:
        ask(values, asked, or_equal, thresholds, heads, after, low, scale)
    for l in range(values.shape[0]):
        heads[bins[l]] = -1
    return fits


def ask(
    values: Any, asked: Any, or_equal: bool, thresholds: Any, heads: Any, after: Any, low: float, scale: float
) -> None:
    """The thresholds of one bar: the keys below that of a bin, and how many of its values are below the number."""
    for f in range(asked.shape[0]):
        number = asked[f]
        place = bin_of(number, low, scale)
        head: Any = np.int64(heads[place])
        below = 0
        if head >= CROWDED:
            below = count_below(values, number, or_equal, head & (CROWDED - 1), after)
        elif head >= 0:
            below = values[head] < number or (or_equal and values[head] == number)
        thresholds[f] = LOWEST + place * SPLIT + below if number == number else LOWEST


def spread_of(values: Any) -> Any:
    """Where bins begin and how many to the unit, from every fourth value: what is outside goes to the last bins."""
    low, high = np.inf, -np.inf
    for l in range(0, values.shape[0], 4):
        low = values[l] if values[l] < low else low
        high = values[l] if values[l] > high else high
    margin = (high - low) * 0.02
    return low - margin, (BINS - 1) / (high - low + 2.0 * margin) if high > low else 0.0


def bin_of(value: float, low: float, scale: float) -> Any:
    """Number of a value's bin; 0 for NaN."""
    place = (value - low) * scale
    return np.int32(min(place, BINS - 1.0)) if place > 0.0 else np.int32(0)


def tell_apart(values: Any, keys: Any, last: int, after: Any) -> bool:
    """Keys of the values chained from `last` on, which share a bin, by how many are below each; False for too many."""
    here, shared = last, 0
    while here >= 0:
        shared += 1
        if shared > SPLIT:
            return False
        below = count_below(values, values[here], False, last, after)
        keys[here] += below - (keys[here] - LOWEST) % SPLIT
        here = after[here]
    return True


def count_below(values: Any, number: float, or_equal: bool, last: int, after: Any) -> int:
    """How many of the values chained from `last` on are below the number (or equal)."""
    below = 0
    here = last
    while here >= 0:
        below += values[here] < number or (or_equal and values[here] == number)
        here = after[here]
    return below


def key_by_counting(values: Any, asked: Any, or_equal: bool, keys: Any, thresholds: Any) -> None:
    """One bar of `fill_keys`: a value's key is the number of values below it."""
    for l in range(values.shape[0]):
        keys[l] = count_all(values, values[l], False) if values[l] == values[l] else HIGHEST
    for f in range(asked.shape[0]):
        thresholds[f] = count_all(values, asked[f], or_equal)


def count_all(values: Any, number: float, or_equal: bool) -> int:
    """How many of the values are below the number (or equal)."""
    below = 0
    for l in range(values.shape[0]):
        below += values[l] < number or (or_equal and values[l] == number)
    return below


@lru_cache(maxsize=1)
def key_filler() -> Any:
    """`fill_keys`, compiled."""
    constants = f"BINS = {BINS}\nSPLIT = {SPLIT}\nLOWEST = {LOWEST}\nHIGHEST = {HIGHEST}\nCROWDED = {CROWDED}\n\n"
    inner = (spread_of, bin_of, count_below, count_all, tell_apart, ask, key_by_bins, key_by_counting)
    parts = [*(INNER + getsource(function) for function in inner), ENTRY + getsource(fill_keys)]
    return load(HEADER + constants + "\n\n".join(parts)).fill_keys

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


def fill_keys(values: Any, asked: Any, or_equal: bool, keys: Any, thresholds: Any) -> None:
    """Fill `keys` [T * W] and `thresholds` [T * A], int16, for `values` [T * W] and numbers `asked` [T * A] by bar.

    key < threshold where the value is below the number asked (or equal, when `or_equal`); never where one is NaN.
    """
    bars = thresholds.shape[0]
    width = values.shape[1]
    heads = np.full(BINS, -1, dtype=np.int16)
    after = np.empty(width, dtype=np.int16)
    bins = np.empty(width, dtype=np.int64)
    for t in range(bars):
        if not key_by_bins(values[t], asked[t], or_equal, keys[t], thresholds[t], heads, after, bins):
            key_by_counting(values[t], asked[t], or_equal, keys[t], thresholds[t])


def key_by_bins(
    values: Any, asked: Any, or_equal: bool, keys: Any, thresholds: Any, heads: Any, after: Any, bins: Any
) -> bool:
    """One bar of `fill_keys`; False where more than SPLIT values share a bin. `heads` is -1 before and after."""
    low, high = np.inf, -np.inf
    for l in range(values.shape[0]):
        low = min(low, values[l]) if values[l] == values[l] else low
        high = max(high, values[l]) if values[l] == values[l] else high
    scale = (BINS - 1) / (high - low) if high > low else 0.0
    if not scale < np.inf or not high - low < np.inf:
        return False
    for l in range(values.shape[0]):
        place = (values[l] - low) * scale
        bins[l] = np.int64(place) if place == place else -1
    for l in range(values.shape[0]):
        if bins[l] >= 0:
            after[l] = heads[bins[l]]
            heads[bins[l]] = l
    fits = True
    for l in range(values.shape[0]):
        keys[l] = HIGHEST
        if bins[l] >= 0:
            below, there = 0, heads[bins[l]]
            while there >= 0:
                below += values[there] < values[l]
                there = after[there]
            fits = fits and below < SPLIT
            keys[l] = LOWEST + bins[l] * SPLIT + below
    for f in range(asked.shape[0]):
        number = asked[f]
        if not number >= low:
            thresholds[f] = LOWEST
        elif number > high:
            thresholds[f] = HIGHEST
        else:
            place = np.int64((number - low) * scale)
            below, there = 0, heads[place]
            while there >= 0:
                below += values[there] < number or (or_equal and values[there] == number)
                there = after[there]
            fits = fits and below <= SPLIT
            thresholds[f] = LOWEST + place * SPLIT + below
    for l in range(values.shape[0]):
        if bins[l] >= 0:
            heads[bins[l]] = -1
    return fits


def key_by_counting(values: Any, asked: Any, or_equal: bool, keys: Any, thresholds: Any) -> None:
    """One bar of `fill_keys`: a value's key is the number of values below it."""
    for l in range(values.shape[0]):
        keys[l] = (values < values[l]).sum() if values[l] == values[l] else HIGHEST
    for f in range(asked.shape[0]):
        equal = (values == asked[f]).sum() if or_equal else 0
        thresholds[f] = (values < asked[f]).sum() + equal


@lru_cache(maxsize=1)
def key_filler() -> Any:
    """`fill_keys`, compiled."""
    constants = f"BINS = {BINS}\nSPLIT = {SPLIT}\nLOWEST = {LOWEST}\nHIGHEST = {HIGHEST}\n\n"
    parts = [ENTRY + getsource(function) for function in (key_by_bins, key_by_counting, fill_keys)]
    return load(HEADER + constants + "\n\n".join(parts)).fill_keys

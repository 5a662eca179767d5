"""Bars the other way round: a panel has all names of a bar side by side, a kernel wants all bars of a name."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from inspect import getsource
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mts1b.strategy.codegen import ENTRY, HEADER
from mts1b.strategy.jit import load

Floats = NDArray[np.float64]


def turn(values: Any, first: int, out: Any) -> None:
    """Fill `out` [N, T] with `values` [T, S] from name `first` on, eight by eight: as many as a cache line holds."""
    names, bars = out.shape
    whole = names // 8 * 8
    for begin in range(0, whole, 8):
        part, taken = out[begin : begin + 8], values[:, first + begin : first + begin + 8]
        for t in range(bars):
            for s in range(8):  # a number the compiler knows: eight moves, no loop
                part[s, t] = taken[t, s]
    for s in range(whole, names):
        for t in range(bars):
            out[s, t] = values[t, first + s]


@lru_cache(maxsize=1)
def _compiled() -> Any:
    return load(HEADER + ENTRY + getsource(turn)).turn


def name_major(
    values: Floats, group: slice = slice(None), take: Callable[[tuple[int, int]], Floats] = np.empty
) -> Floats:
    """The names `group` (without a step) of a table [T, S] as [N, T], C-contiguous.

    In memory that `take` gives for a shape, unless it is laid out so already.
    """
    if values.T.flags.c_contiguous:
        return values.T[group]
    if not values.flags.c_contiguous or values.dtype != np.float64:
        return np.ascontiguousarray(values.T[group], dtype=np.float64)
    first, last, _ = group.indices(values.shape[1])
    out = take((max(last - first, 0), values.shape[0]))
    _compiled()(values, first, out)
    return out

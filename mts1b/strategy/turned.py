"""Bars the other way round: a panel has all names of a bar side by side, a kernel wants all bars of a name."""

from __future__ import annotations

from functools import lru_cache
from inspect import getsource
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mts1b.strategy.codegen import ENTRY, HEADER
from mts1b.strategy.jit import load

Floats = NDArray[np.float64]


def turn(values: Any, out: Any) -> None:
    """Fill `out` [S, T] with `values` [T, S], eight by eight: what one line of a cache holds."""
    bars, names = values.shape
    for first in range(0, names, 8):
        for start in range(0, bars, 8):
            for t in range(start, min(start + 8, bars)):
                for s in range(first, min(first + 8, names)):
                    out[s, t] = values[t, s]


@lru_cache(maxsize=1)
def _compiled() -> Any:
    return load(HEADER + ENTRY + getsource(turn)).turn


def name_major(values: Floats) -> Floats:
    """A table [T, S] as [S, T], C-contiguous: a new one, unless it is laid out so already."""
    if values.T.flags.c_contiguous:
        return values.T
    if not values.flags.c_contiguous or values.dtype != np.float64:
        return np.ascontiguousarray(values.T, dtype=np.float64)
    out = np.empty(values.shape[::-1])
    _compiled()(values, out)
    return out

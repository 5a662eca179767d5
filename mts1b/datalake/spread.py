"""Rows spread out: numbers of names at times as tables [time, name]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NS_PER_US = 1_000


@dataclass(frozen=True, slots=True)
class Arrays:
    """`fields`: each column as float64 [T, S], NaN where a name has no row at a time; `ts_ns` [T], `symbols` S."""

    ts_ns: NDArray[np.int64]
    symbols: tuple[str, ...]
    fields: Mapping[str, Floats]


def spread(
    frames: Sequence[pl.DataFrame],
    numbers: Mapping[str, int],
    names: Sequence[str] | None,
    fields: Sequence[str],
    cluster: str,
    time: str,
) -> Arrays:
    """Frames of one table, in which names are `numbers`, as arrays of `names` (None: of all, in order)."""
    chosen = tuple(sorted(numbers)) if names is None else tuple(names)
    column_of = np.zeros(max(numbers.values(), default=-1) + 1, dtype=np.int64)
    for column, name in enumerate(chosen):
        if name in numbers:
            column_of[numbers[name]] = column
    stamps = [frame[time].to_physical() for frame in frames]
    times = np.unique(np.concatenate([one.unique().to_numpy() for one in stamps] or [np.zeros(0, dtype=np.int64)]))
    tables = {name: np.full((len(times), len(chosen)), np.nan) for name in fields}
    for frame, stamp in zip(frames, stamps, strict=True):
        place = np.searchsorted(times, stamp.to_numpy()) * len(chosen) + column_of[frame[cluster].to_numpy()]
        for name, table in tables.items():
            table.ravel()[place] = frame[name].to_numpy()
    return Arrays(times * NS_PER_US, chosen, tables)

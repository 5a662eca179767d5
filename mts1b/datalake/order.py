"""Order of rows: told in one pass over them, made only where it is not there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray


def sorted_by(rows: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """The rows in order of their key."""
    return rows if rises(rows, key, strictly=False) else rows.sort(key)


def rises(rows: pl.DataFrame, key: Sequence[str], strictly: bool = True) -> bool:
    """Whether each row's key is above that of the row before (or equal to it, unless `strictly`). Nulls come first."""
    if rows.height < 2:
        return True
    above = np.zeros(rows.height - 1, dtype=bool)
    equal = np.ones(rows.height - 1, dtype=bool)
    for name in key:
        values = numbers(rows[name])
        if isinstance(values, np.ndarray):
            above |= equal & (values[1:] > values[:-1])
            equal &= values[1:] == values[:-1]
        else:
            after, before = values[1:], values[:-1]
            above |= equal & (after > before).fill_null(False).to_numpy()
            above |= equal & (after.is_not_null() & before.is_null()).to_numpy()
            equal &= after.eq_missing(before).to_numpy()
    return bool((above if strictly else above | equal).all())


def repeats(rows: pl.DataFrame, key: Sequence[str]) -> NDArray[np.bool_]:
    """Which rows have the key of the row before them."""
    same = np.zeros(rows.height, dtype=bool)
    if rows.height > 1:
        same[1:] = True
        for name in key:
            values = numbers(rows[name])
            if isinstance(values, np.ndarray):
                same[1:] &= values[1:] == values[:-1]
            else:
                same[1:] &= values[1:].eq_missing(values[:-1]).to_numpy()
    return same


def numbers(values: pl.Series) -> NDArray[Any] | pl.Series:
    """A column as numbers in the same order, where that is cheap; texts by their runs, where those are few."""
    if values.null_count():
        return values
    if values.dtype == pl.String():
        runs = values.rle().struct.unnest()
        if runs.height > values.len() // 4:
            return values
        names = runs["value"].unique().sort()
        place = dict(zip(names.to_list(), range(names.len()), strict=True))
        codes = np.array([place[name] for name in runs["value"].to_list()], dtype=np.int32)
        return np.repeat(codes, runs["len"].to_numpy())
    return values.to_physical().to_numpy() if values.dtype.is_numeric() or values.dtype.is_temporal() else values

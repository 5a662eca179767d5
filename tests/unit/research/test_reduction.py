"""The reduction: the same result to the bit whatever order chunks finish in, equal to sorting everything."""

from __future__ import annotations

import math
import random

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mts1b.research.plan import Chunk
from mts1b.research.reduction import Moments, Reduction, best_places

SHARPES = st.lists(st.sampled_from([-1.0, 0.0, 0.5, 0.5, 1.25, math.nan]) | st.floats(-3, 3), min_size=1, max_size=60)


def cut(sharpes: list[float], size: int) -> list[tuple[Chunk, pl.DataFrame]]:
    parts = []
    for index, start in enumerate(range(0, len(sharpes), size)):
        values = sharpes[start : start + size]
        numbers = list(range(start, start + len(values)))
        rows = pl.DataFrame(
            {
                "combination": numbers,
                "sharpe": np.array(values),
                "fold0_train_sharpe": np.array(values) * 2,
                "fold0_test_sharpe": np.array(values),
            }
        )
        parts.append((Chunk(index, start, start + len(values), len(values), str(index)), rows))
    return parts


@given(SHARPES, st.integers(1, 7), st.integers(1, 5), st.randoms())
def test_order_does_not_matter(sharpes, size, top_k, shuffler: random.Random) -> None:
    parts = cut(sharpes, size)
    forward, shuffled = Reduction(top_k, 1), Reduction(top_k, 1)
    for chunk, rows in parts:
        forward.add(chunk, rows)
    shuffler.shuffle(parts)
    for chunk, rows in parts:
        shuffled.add(chunk, rows)
    assert forward.sharpe_moments() == shuffled.sharpe_moments()
    assert [row["combination"] for row in forward.top()] == [row["combination"] for row in shuffled.top()]
    assert [row["combination"] for row in forward.choices()] == [row["combination"] for row in shuffled.choices()]
    known = [(-value, number) for number, value in enumerate(sharpes) if not math.isnan(value)]
    assert [row["combination"] for row in forward.top()] == [number for _, number in sorted(known)[:top_k]]
    if known:
        assert forward.choices()[0]["combination"] == min(known)[1]


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=50), st.integers(1, 9))
def test_moments_add_up(values, size) -> None:
    total = Moments()
    for start in range(0, len(values), size):
        total = total.plus(Moments.of(np.array(values[start : start + size])))
    assert total.count == len(values)
    assert total.mean == pytest.approx(float(np.mean(values)), abs=1e-12)
    assert total.variance == pytest.approx(float(np.var(values, ddof=1)), abs=1e-9)


def test_nothing_has_no_moments() -> None:
    assert Moments().plus(Moments.of(np.array([math.nan]))) == Moments()
    assert Moments().variance == 0.0


def test_best_places_leave_nan_out() -> None:
    assert best_places(np.array([math.nan, 1.0, 2.0, 2.0]), 3) == [2, 3, 1]
    assert best_places(np.array([math.nan]), 3) == []

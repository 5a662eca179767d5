"""Blocks merged are the metrics of their bars joined, whatever the blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mts1b.quantkit import metrics
from mts1b.quantkit.blocks import MERGED, block_rows, merge, moments

RETURNS = hnp.arrays(np.float64, st.integers(8, 80), elements=st.floats(-0.3, 0.3).map(lambda x: round(x, 6)))


def joined(returns, edges, chosen):
    return np.concatenate([returns[..., edges[k] : edges[k + 1]] for k in chosen], axis=-1)


@given(RETURNS, st.lists(st.integers(1, 79), min_size=1, max_size=6, unique=True), st.data())
def test_merged_blocks_are_the_bars_joined(returns, inner, data) -> None:
    edges = [0, *sorted(edge for edge in inner if edge < len(returns)), len(returns)]
    chosen = sorted(data.draw(st.sets(st.integers(0, len(edges) - 2), min_size=1)))
    found = merge(block_rows(returns, edges), np.diff(edges), chosen)
    whole = joined(returns, edges, chosen)
    for name in MERGED:
        expected = float(getattr(metrics, name)(whole))
        assert float(found[name]) == pytest.approx(expected, rel=1e-9, abs=1e-9), name


def test_many_series_at_once() -> None:
    returns = np.random.default_rng(1).normal(0.0, 0.01, (5, 100))
    rows = block_rows(returns, [0, 30, 70, 100])
    assert rows.shape == (7, 3, 5)
    found = merge(rows, np.array([30, 40, 30]), [0, 2])
    np.testing.assert_allclose(found["sharpe"], metrics.sharpe(joined(returns, [0, 30, 70, 100], [0, 2])))


def test_rounding_is_no_loss_over_blocks() -> None:
    returns = np.array([1e-3, -1.1e-16, 2e-3, 1e-3])
    found = merge(block_rows(returns, [0, 2, 4]), np.array([2, 2]), [0, 1])
    assert [float(found[name]) for name in ("sortino", "calmar", "max_drawdown")] == [0.0] * 3


def test_ruin_stays_ruin_over_blocks() -> None:
    returns = np.array([0.5, -1.5, 0.1, 0.2, 3.0, -0.1])
    found = merge(block_rows(returns, [0, 2, 4, 6]), np.array([2, 2, 2]), [0, 1, 2])
    assert float(found["max_drawdown"]) == -1.0 == float(metrics.max_drawdown(returns))


def test_moments_of_chosen_blocks() -> None:
    returns = np.arange(12.0) / 100
    count, total, squares = moments(block_rows(returns, [0, 4, 8, 12]), np.array([4, 4, 4]), [0, 2])
    kept = np.concatenate([returns[:4], returns[8:]])
    assert count == 8 and float(total) == pytest.approx(kept.sum())
    assert float(squares) == pytest.approx(((kept - kept.mean()) ** 2).sum())

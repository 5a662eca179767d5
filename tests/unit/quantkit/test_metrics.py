"""Return metrics against published numbers (empyrical-reloaded's own tests), and their edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mts1b.quantkit import metrics

MIXED = np.array([math.nan, 1, 10, -4, 2, 3, 2, 1, -10]) / 100
NEGATIVE = np.array([0.0, -6, -7, -1, -9, -2, -6, -8, -5]) / 100
RETURNS = hnp.arrays(np.float64, st.integers(1, 60), elements=st.floats(-0.5, 0.5))


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (metrics.total_return, 1.01 * 1.1 * 0.96 * 1.02 * 1.03 * 1.02 * 1.01 * 0.9 - 1.0),
        (metrics.max_drawdown, -0.1),
        (metrics.cagr, 1.9135925373194231),
        (metrics.volatility, 0.9136465399704637),
        (metrics.calmar, 19.135925373194233),
        (metrics.sharpe, 1.7238613961706866),
        (metrics.sortino, 2.605531251673693),
        (metrics.downside_risk, 0.60448325038829653),
        (metrics.stability, 0.1529973665111273),
        (metrics.tail_ratio, 0.9473684210526313),
    ],
)
def test_mixed_returns(metric, expected) -> None:
    assert float(metric(MIXED)) == pytest.approx(expected, rel=1e-12)


def test_the_published_final_return() -> None:
    assert float(metrics.total_return(MIXED)) == pytest.approx(0.03893, abs=5e-6)


def test_omega_with_a_threshold() -> None:
    assert float(metrics.omega(MIXED, 0.01)) == pytest.approx(0.8125)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (metrics.max_drawdown, -0.36590730),
        (metrics.sharpe, -24.406808633910085),
        (metrics.sortino, -13.532743075043401),
    ],
)
def test_negative_returns(metric, expected) -> None:
    assert float(metric(NEGATIVE)) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("returns", [np.zeros(10), np.full(10, 0.01), np.array([0.02]), np.full(3, np.nan)])
def test_a_series_without_spread_has_ratio_0(returns) -> None:
    for metric in (metrics.sharpe, metrics.skewness, metrics.kurtosis, metrics.volatility):
        assert float(metric(returns)) == 0.0


def test_rounding_is_no_loss() -> None:
    """A loss of one unit in the last place would make a Sortino or Calmar ratio of anything."""
    returns = np.array([0.0, 1e-3, -1.1e-16, 1e-3])
    none = (metrics.downside_risk, metrics.sortino, metrics.max_drawdown, metrics.max_drawdown_bars, metrics.calmar)
    assert [float(metric(returns)) for metric in none] == [0.0] * 5
    assert float(metrics.sortino(np.array([0.0, 1e-3, -1e-9, 1e-3]))) > 1e6


def test_ruin_is_minus_one() -> None:
    assert float(metrics.cagr(np.array([-1.5, 0.1]))) == -1.0 == float(metrics.max_drawdown(np.array([-1.5, 0.1])))


@pytest.mark.parametrize(
    ("returns", "bars"),
    [
        ([0.1, -0.1, -0.1, 0.5, -0.1], 2),
        ([-0.1, 0.2, -0.1, 0.05, 0.01], 3),
        ([0.1, 0.0, 0.1], 0),
        ([0.0, -0.5, 0.1, 0.1], 3),
        ([math.nan, -0.1, 0.2], 1),
    ],
)
def test_the_longest_time_under_water(returns, bars) -> None:
    assert float(metrics.max_drawdown_bars(np.array(returns))) == bars


def test_moments_of_a_known_series() -> None:
    values = np.array([1.0, 2.0, 3.0, 10.0])  # mean 4, m2 12.5, m3 45, m4 348.5
    assert float(metrics.skewness(values)) == pytest.approx(45 / 12.5**1.5)
    assert float(metrics.kurtosis(values)) == pytest.approx(348.5 / 12.5**2)


def test_many_series_at_once_equal_one_by_one() -> None:
    table = np.random.default_rng(3).normal(0, 0.01, (4, 5, 100))
    for metric in (metrics.total_return, metrics.cagr, metrics.sharpe, metrics.max_drawdown, metrics.kurtosis):
        whole = metric(table)
        assert whole.shape == (4, 5)
        assert whole[2, 3] == pytest.approx(float(metric(table[2, 3])), rel=1e-12)


@given(RETURNS)
def test_bounds(returns) -> None:
    assert -1.0 <= float(metrics.max_drawdown(returns)) <= 0.0
    assert float(metrics.volatility(returns)) >= 0.0
    assert float(metrics.cagr(returns)) >= -1.0
    kurtosis, skewness = float(metrics.kurtosis(returns)), float(metrics.skewness(returns))
    assert kurtosis == 0.0 or kurtosis >= skewness**2 + 1 - 1e-6  # Pearson's inequality


@given(RETURNS)
def test_total_return_is_the_end_of_equity(returns) -> None:
    assert float(metrics.total_return(returns)) == pytest.approx(float(metrics.equity(returns)[-1]) - 1.0, abs=1e-12)

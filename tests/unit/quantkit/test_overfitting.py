"""Overfitting statistics against the numbers of the papers and of pypbo's tests."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mts1b.quantkit.overfitting import (
    deflated_sharpe,
    effective_rank,
    expected_maximum,
    expected_maximum_sharpe,
    independent_trials,
    minimum_backtest_years,
    minimum_track_record,
    probabilistic_sharpe,
)

DAILY = 2.5 / math.sqrt(250)


def test_expected_maximum_of_100_normals() -> None:
    assert expected_maximum(100) == pytest.approx(2.5306028932016846, rel=1e-12)
    assert expected_maximum(1) == 0.0


def test_a_number_of_trials_need_not_be_whole() -> None:
    values = [expected_maximum(trials) for trials in (1.0, 1.5, 1.999, 2.0, 2.5, 3.0)]
    assert values == sorted(values) and values[2] == pytest.approx(values[3], rel=1e-2)


def test_effective_rank_counts_uncorrelated_series() -> None:
    rng = np.random.default_rng(4)
    apart = np.linalg.qr(rng.normal(size=(200, 6)) - 0.0)[0].T  # six orthogonal series
    apart -= apart.mean(axis=1, keepdims=True)
    assert effective_rank(apart) == pytest.approx(6.0, rel=0.02)
    assert effective_rank(np.repeat(apart[:1], 9, axis=0)) == pytest.approx(1.0)
    assert effective_rank(np.repeat(apart[:3], 5, axis=0) * -2.0) == pytest.approx(3.0, rel=0.02)
    assert effective_rank(np.vstack([apart[:2], np.full((3, 200), 0.01)])) == pytest.approx(2.0, rel=0.02)
    assert effective_rank(np.zeros((4, 50))) == 0.0


def test_independent_trials_err_on_the_careful_side() -> None:
    noise = np.random.default_rng(5).normal(size=(40, 2_000))
    alike = noise[:1] + 0.1 * noise
    assert independent_trials(noise, 10_000) == 10_000.0  # the sample does not bound them
    assert 30.0 < independent_trials(noise, 40) <= 40.0  # the sample is all of them
    assert 1.0 < independent_trials(alike, 10_000) < 5.0
    assert independent_trials(np.zeros((3, 20)), 9) == 1.0


def test_expected_maximum_is_near_a_simulation() -> None:
    draws = np.random.default_rng(0).standard_normal((4_000, 500)).max(axis=1)
    assert expected_maximum(500) == pytest.approx(float(draws.mean()), abs=0.03)


def test_probabilistic_sharpe_of_the_paper() -> None:
    seen = probabilistic_sharpe(1.585 / math.sqrt(12), 0.0, 24, -2.448, 10.164)
    assert seen == pytest.approx(0.91323430688486, rel=1e-12)


@pytest.mark.parametrize(
    ("trials", "skewness", "kurtosis", "expected", "rel"),
    [
        (100, -3.0, 10.0, 0.90039683444939, 1e-12),
        (46, -3.0, 10.0, 0.950502, 1e-6),
        (88, 0.0, 3.0, 0.950491, 1e-6),
    ],
)
def test_deflated_sharpe_of_the_paper(trials, skewness, kurtosis, expected, rel) -> None:
    assert deflated_sharpe(DAILY, trials, 0.5 / 250, 1250, skewness, kurtosis) == pytest.approx(expected, rel=rel)


@pytest.mark.parametrize(
    ("bars_per_year", "sharpe", "benchmark", "skewness", "kurtosis", "years"),
    [
        (250, 2.0, 1.0, 0.0, 3.0, 2.7311878),
        (52, 2.0, 1.0, 0.0, 3.0, 2.8288336),
        (12, 3.0, 2.5, -0.72, 5.78, 27.3529202),
    ],
)
def test_minimum_track_record(bars_per_year, sharpe, benchmark, skewness, kurtosis, years) -> None:
    root = math.sqrt(bars_per_year)
    bars = minimum_track_record(sharpe / root, benchmark / root, skewness, kurtosis)
    assert bars / bars_per_year == pytest.approx(years, rel=1e-7)


def test_minimum_track_record_of_a_worse_strategy_is_endless() -> None:
    assert minimum_track_record(0.1, 0.1) == math.inf


def test_minimum_backtest_length() -> None:
    assert minimum_backtest_years(45, 1.0) == pytest.approx(4.9980871, rel=1e-7)


@pytest.mark.parametrize(("observations", "skewness"), [(1, 0.0), (100, 30.0)])
def test_nothing_known_is_nan(observations, skewness) -> None:
    assert math.isnan(probabilistic_sharpe(0.1, 0.0, observations, skewness))


@given(st.floats(-0.3, 0.3), st.integers(2, 10**6), st.floats(0.0, 0.01), st.integers(30, 5_000))
def test_more_trials_never_help(sharpe, trials, variance, observations) -> None:
    few = deflated_sharpe(sharpe, trials, variance, observations)
    many = deflated_sharpe(sharpe, trials * 10, variance, observations)
    assert 0.0 <= many <= few <= 1.0
    assert expected_maximum_sharpe(trials, variance) >= 0.0

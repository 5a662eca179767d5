"""Sizing: the formulas, their bounds, and that numba compiles exactly them."""

from __future__ import annotations

import math

import numba
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mts1b.quantkit.sizing import kelly_bet, kelly_fraction, vol_target_weight

ANY = st.floats(allow_nan=True, allow_infinity=True)


@pytest.mark.parametrize(
    ("vol", "target", "cap", "expected"),
    [
        (0.30, 0.15, 2.0, 0.5),
        (0.10, 0.15, 2.0, 1.5),
        (0.05, 0.15, 2.0, 2.0),
        (0.0, 0.15, 2.0, 0.0),
        (math.nan, 0.15, 2.0, 0.0),
        (math.inf, 0.15, 2.0, 0.0),
        (0.30, 0.0, 2.0, 0.0),
        (0.30, 0.15, 0.0, 0.0),
        (-0.30, 0.15, 2.0, 0.0),
    ],
)
def test_vol_target(vol: float, target: float, cap: float, expected: float) -> None:
    assert vol_target_weight(vol, target, cap) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("mean", "variance", "fraction", "cap", "expected"),
    [
        (0.01, 0.04, 1.0, 1.0, 0.25),
        (0.01, 0.04, 0.5, 1.0, 0.125),
        (0.10, 0.04, 1.0, 1.0, 1.0),
        (-0.10, 0.04, 1.0, 1.0, -1.0),
        (0.10, 0.0, 1.0, 1.0, 0.0),
        (math.nan, 0.04, 1.0, 1.0, 0.0),
        (0.10, math.nan, 1.0, 1.0, 0.0),
    ],
)
def test_kelly(mean: float, variance: float, fraction: float, cap: float, expected: float) -> None:
    assert kelly_fraction(mean, variance, fraction, cap) == pytest.approx(expected)


def test_kelly_bet() -> None:
    assert kelly_bet(0.6, 1.0) == pytest.approx(0.2)
    assert kelly_bet(0.5, 1.0) == 0.0
    assert kelly_bet(0.4, 1.0) == pytest.approx(-0.2)
    assert kelly_bet(0.6, 0.0) == 0.0 == kelly_bet(math.nan, 1.0)


@given(ANY, ANY, st.floats(0.0, 100.0))
def test_weights_stay_within_the_cap(a: float, b: float, cap: float) -> None:
    assert 0.0 <= vol_target_weight(a, b, cap) <= cap
    assert -cap <= kelly_fraction(a, b, 0.5, cap) <= cap


def test_numba_compiles_the_same_functions() -> None:
    for function, arguments in ((vol_target_weight, (0.3, 0.15, 2.0)), (kelly_fraction, (0.01, 0.04, 0.5, 1.0))):
        assert numba.njit(function)(*arguments) == function(*arguments)

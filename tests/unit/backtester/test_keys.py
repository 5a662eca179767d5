"""16-bit keys answer every comparison as float64 does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mts1b.backtester.keys import key_filler


def answers(values, asked, or_equal, used=None):
    keys = np.empty(values.shape, dtype=np.int16)
    thresholds = np.empty(asked.shape, dtype=np.int16)
    key_filler()(values, asked, values.shape[1] if used is None else used, or_equal, keys, thresholds)
    return keys[:, :, None] < thresholds[:, None, :]


def wanted(values, asked, or_equal):
    below = np.less_equal if or_equal else np.less
    with np.errstate(invalid="ignore"):
        return below(values[:, :, None], asked[:, None, :])


NUMBERS = st.one_of(
    st.floats(allow_nan=True, allow_infinity=False, width=64),
    st.sampled_from([0.0, -0.0, 1.0, 1.0 + 2**-52, 1.0 - 2**-53, 100.0, 1e300, -1e300, 5e-324]),
)


@settings(deadline=None)
@given(arrays(np.float64, (3, 20), elements=NUMBERS), arrays(np.float64, (3, 9), elements=NUMBERS), st.booleans())
def test_any_numbers(values, asked, or_equal):
    np.testing.assert_array_equal(answers(values, asked, or_equal), wanted(values, asked, or_equal))


@pytest.mark.parametrize("or_equal", [False, True])
@pytest.mark.parametrize("spread", [1e-15, 1e-9, 1e-3, 1.0])
def test_values_close_together_and_asked_again(spread, or_equal):
    generator = np.random.default_rng(3)
    values = 100.0 + spread * generator.standard_normal((50, 200)).cumsum(axis=1)
    asked = np.concatenate([values[:, ::3], 100.0 + spread * generator.standard_normal((50, 40))], axis=1)
    np.testing.assert_array_equal(answers(values, asked, or_equal), wanted(values, asked, or_equal))


@pytest.mark.parametrize("columns", [1, 8, 9, 256])
def test_a_price_that_does_not_move(columns):
    values, asked = np.full((4, columns), 7.0), np.tile([6.0, 7.0, 8.0, np.nan], (4, 1))
    for or_equal in (False, True):
        np.testing.assert_array_equal(answers(values, asked, or_equal), wanted(values, asked, or_equal))


def test_nothing_is_known():
    values, asked = np.full((2, 16), np.nan), np.array([[1.0, np.nan], [-np.inf, np.inf]])
    assert not answers(values, asked, True).any()


def test_padding_is_never_below():
    values, asked = np.arange(16.0)[None], np.array([[100.0]])
    assert answers(values, asked, False, used=10)[0, :, 0].tolist() == [True] * 10 + [False] * 6

"""Means of many windows at once are those of the operation, to the bit."""

from __future__ import annotations

import numpy as np
import pytest

from mts1b.backtester.means import mean_filler, step_for
from mts1b.strategy.indicators import sma


@pytest.mark.parametrize(
    "windows",
    [
        *([5], [3, 4, 5, 6, 7], [1, 4, 9, 250, 299, 300, 400], [2, 2, 3, 3], [2, 2, 4], [5, 6, 7, 7, 7]),
        *(list(range(1, 11)), list(range(20, 37)), list(range(60, 101)), list(range(290, 310))),  # by vectors
    ],
)
@pytest.mark.parametrize("gaps", [False, True])
def test_every_window_is_that_of_the_operation(windows, gaps):
    generator = np.random.default_rng(0)
    prices = np.round(100.0 * np.exp(generator.normal(0.0, 0.015, (2, 300)).cumsum(axis=1)), 4)
    if gaps:
        prices[0, [0, 50, 51, 299]] = np.nan
        prices[1, 10:200] = np.nan
    out = np.empty((2, 300 * len(windows)))
    mean_filler(step_for(len(windows)))(prices, np.array(windows), out)
    for s, row in enumerate(prices):
        for l, window in enumerate(windows):
            state = np.zeros(4 + window)
            wanted = [sma(state, x, float(window)) if x == x else np.nan for x in row]
            np.testing.assert_array_equal(out[s].reshape(300, -1)[:, l], wanted)


@pytest.mark.parametrize("lanes", [1, 10, 16])
def test_whatever_the_digits(lanes):
    """Large and tiny values, of either sign, and one that is infinite."""
    generator = np.random.default_rng(1)
    prices = generator.choice([-1.0, 1.0], (2, 4_000)) * np.exp(generator.normal(0.0, 40.0, (2, 4_000)))
    prices[1, 3_000] = np.inf
    windows = np.arange(990, 990 + lanes)
    out = np.empty((2, 4_000 * lanes))
    with np.errstate(invalid="ignore"):
        mean_filler(step_for(lanes))(prices, windows, out)
        for s, row in enumerate(prices):
            for l, window in enumerate(windows):
                state = np.zeros(4 + window)
                np.testing.assert_array_equal(
                    out[s].reshape(4_000, -1)[:, l], [sma(state, x, float(window)) for x in row]
                )

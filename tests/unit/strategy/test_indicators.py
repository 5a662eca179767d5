"""Each indicator against its textbook formula, written out over the last bars."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mts1b.strategy import cross_section, directional, indicators, regression

SERIES = st.lists(st.floats(1.0, 1000.0), min_size=1, max_size=60)


def follow(function, size, series, *scalars):
    state = np.zeros(size)
    return np.array([function(state, float(x), *scalars) for x in series])


def windows(series, n, formula):
    return np.array([formula(series[t - n + 1 : t + 1]) if t >= n - 1 else math.nan for t in range(len(series))])


def ema_formula(series, n):
    out = np.full(len(series), math.nan)
    for t in range(n - 1, len(series)):
        out[t] = np.mean(series[:n]) if t == n - 1 else out[t - 1] + 2.0 / (n + 1) * (series[t] - out[t - 1])
    return out


def wilder(changes, n):
    """Wilder's smoothing of a series that starts at bar 1: a mean of n, then (n-1)/n of the old plus 1/n of the new."""
    out = np.full(len(changes) + 1, math.nan)
    for t in range(n, len(changes) + 1):
        out[t] = np.mean(changes[:n]) if t == n else (out[t - 1] * (n - 1) + changes[t - 1]) / n
    return out


def rsi_formula(series, n):
    change = np.diff(series)
    gain, loss = wilder(np.maximum(change, 0), n), wilder(np.maximum(-change, 0), n)
    moved = gain + loss
    return np.where(moved > 0, 100 * gain / np.where(moved > 0, moved, 1), np.where(np.isnan(moved), math.nan, 50.0))


def line_formula(w):
    return np.polyfit(np.arange(len(w)), w, 1)[0]


def zscore_formula(w):
    return (w[-1] - np.mean(w)) / np.std(w) if np.ptp(w) > 0 else 0.0


def cci_formula(w):
    return (w[-1] - np.mean(w)) / (0.015 * np.mean(np.abs(w - np.mean(w)))) if np.ptp(w) > 0 else 0.0


TEXTBOOK = {
    "rolling_sum": (indicators.rolling_sum, (), lambda x, n: windows(x, n, np.sum)),
    "sma": (indicators.sma, (), lambda x, n: windows(x, n, np.mean)),
    "wma": (indicators.wma, (), lambda x, n: windows(x, n, lambda w: np.average(w, weights=np.arange(1, n + 1)))),
    "highest": (indicators.highest, (), lambda x, n: windows(x, n, np.max)),
    "lowest": (indicators.lowest, (), lambda x, n: windows(x, n, np.min)),
    "var": (indicators.rolling_var, (0.0,), lambda x, n: windows(x, n, np.var)),
    "std": (indicators.rolling_std, (1.0,), lambda x, n: windows(x, n, lambda w: np.std(w, ddof=1))),
    "zscore": (indicators.rolling_zscore, (), lambda x, n: windows(x, n, zscore_formula)),
    "cci": (indicators.cci, (), lambda x, n: windows(x, n, cci_formula)),
    "slope": (regression.slope, (), lambda x, n: windows(x, n, line_formula)),
    "lag": (indicators.lag, (), lambda x, n: windows(x, n + 1, lambda w: w[0])),
    "ema": (indicators.ema, (), ema_formula),
    "rsi": (indicators.rsi, (), rsi_formula),
}


@pytest.mark.parametrize("name", TEXTBOOK)
@settings(max_examples=60, deadline=None)
@given(series=SERIES, window=st.integers(2, 12))
def test_an_indicator_equals_its_formula(name, series, window):
    function, scalars, formula = TEXTBOOK[name]
    got = follow(function, window + 8, series, float(window), *scalars)
    np.testing.assert_allclose(got, formula(np.array(series), window), rtol=1e-9, atol=1e-6)


def test_average_true_range():
    rng = np.random.default_rng(5)
    close = 50 + np.cumsum(rng.normal(size=40))
    high, low = close + rng.random(40), close - rng.random(40)
    state = np.zeros(3)
    got = [indicators.atr(state, *bar, 7.0) for bar in zip(high, low, close, strict=True)]
    spans = [max(h - l, abs(h - last), abs(l - last)) for h, l, last in zip(high[1:], low[1:], close[:-1], strict=True)]
    np.testing.assert_allclose(got, wilder(np.array(spans), 7), rtol=1e-12)


@settings(max_examples=100, deadline=None)
@given(
    pairs=st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), min_size=1, max_size=80),
    window=st.integers(2, 12),
    far=st.sampled_from([0.0, 1e4]),
)
def test_correlation_and_beta_equal_their_formulas(pairs, window, far):
    """Also far from 0, and with stretches in which a series does not move."""
    x, y = (np.array(column, dtype=float) + far for column in zip(*pairs, strict=True))
    got, slopes = (
        [function(state, *pair, float(window)) for pair in zip(x, y, strict=True)]
        for function in (regression.correlation, regression.beta)
        for state in [np.zeros(11 + 2 * window)]
    )
    for t in range(len(pairs)):
        a, b = x[max(t - window + 1, 0) : t + 1], y[max(t - window + 1, 0) : t + 1]
        if t < window - 1:
            assert math.isnan(got[t])
        else:
            moves = np.ptp(a) > 0 and np.ptp(b) > 0
            assert got[t] == pytest.approx(np.corrcoef(a, b)[0, 1] if moves else 0.0, abs=1e-7)
            assert slopes[t] == pytest.approx(np.cov(a, b, ddof=0)[0, 1] / np.var(b) if moves else 0.0, abs=1e-6)


def test_directional_movement_of_one_way_streets():
    """A market that only rises has no downward movement, a trend of full strength; one that stands still has none."""
    for step, sides in ((1.0, (True, False, 100.0)), (-1.0, (False, True, 100.0)), (0.0, (False, False, 0.0))):
        bars = [(50.5 + step * t, 49.5 + step * t, 50.0 + step * t) for t in range(30)]
        functions = (directional.plus_di, directional.minus_di, directional.adx)
        plus, minus, index = (
            [function(state, *bar, 5.0) for bar in bars][-1] for function in functions for state in [np.zeros(8)]
        )
        assert (plus > 0.0, minus > 0.0, pytest.approx(index)) == sides


def test_windows_that_stand_still_score_0():
    for function in (indicators.rolling_zscore, indicators.cci, regression.slope):
        assert follow(function, 16, [5.0, 7.0, *[0.1] * 9], 5.0)[-1] == 0.0


def test_rounding_does_not_stay_after_a_jump():
    series = [10.0] * 50 + [5000.0] * 7 + [10.0] * 50
    assert follow(indicators.sma, 16, series, 5.0)[-1] == 10.0
    assert follow(indicators.rolling_std, 16, series, 5.0, 0.0)[-1] == 0.0


@pytest.mark.parametrize("window", [2, 9, 60])
@pytest.mark.parametrize("jump", [0.0, 1e4, 1e8])
def test_lines_carried_on_are_those_of_the_window(window, jump):
    """Over many turns of the ring, through jumps and back, and while nothing moves."""
    rng = np.random.default_rng(window)
    series = 50.0 * np.exp(np.cumsum(rng.normal(0.0, 0.02, 600))) + jump * (np.arange(600) // 70 % 3 == 1)
    series[300:380] = series[300]
    weights = np.arange(1, window + 1, dtype=np.longdouble)
    turns = np.lib.stride_tricks.sliding_window_view(series, window).astype(np.longdouble)
    averages = (turns * weights).sum(axis=1) / weights.sum()
    weights -= weights.mean()
    slopes = (turns * weights).sum(axis=1) / (weights**2).sum()
    got = follow(indicators.wma, window + 8, series, float(window))[window - 1 :]
    np.testing.assert_allclose(got, averages.astype(float), rtol=1e-12)
    got = follow(regression.slope, window + 8, series, float(window))[window - 1 :]
    scale = np.ptp(turns, axis=1).astype(float)
    np.testing.assert_array_less(np.abs(got - slopes.astype(float)), 1e-13 * scale + 1e-11 * np.abs(got) + 5e-324)


@settings(max_examples=100, deadline=None)
@given(row=st.lists(st.one_of(st.integers(-5, 5).map(float), st.just(math.nan)), min_size=1, max_size=12))
def test_places_and_ranks_over_names(row):
    """Ties by the order of the names for places, counted half for ranks; names without a value take no part."""
    values, place, rank = np.array(row), np.empty(len(row)), np.empty(len(row))
    cross_section.xs_place(values, place)
    cross_section.xs_rank(values, rank)
    for s, x in enumerate(row):
        others = [y for j, y in enumerate(row) if j != s and not math.isnan(y)]
        before = sum(y > x for y in others) + sum(row[j] == x for j in range(s))
        share = sum(1.0 if y < x else 0.5 if y == x else 0.0 for y in others) / len(others) if others else 0.5
        assert place[s] == before or (math.isnan(x) and math.isnan(place[s]))
        assert rank[s] == pytest.approx(share) or (math.isnan(x) and math.isnan(rank[s]))


@settings(max_examples=40, deadline=None)
@given(names=st.integers(1, 150), seed=st.integers(0, 2**16), digits=st.integers(0, 3))
def test_names_are_sorted_as_by_numpy(names, seed, digits):
    """Ties and unknown values included: numpy's stable sort puts NaN last too."""
    rng = np.random.default_rng(seed)
    row = np.round(np.sort(rng.normal(size=names)) + rng.normal(size=names) * rng.choice([0.0, 1.0]), digits)
    row[rng.random(names) < 0.1] = math.nan
    order = np.empty(names, dtype=np.int64)
    assert cross_section.ascending(row, order) == np.isfinite(row).sum()
    np.testing.assert_array_equal(order, np.argsort(row, kind="stable"))


@pytest.mark.parametrize("name", ["xs_place", "xs_rank", "xs_mean", "xs_demean", "xs_zscore"])
@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(
        st.tuples(st.sampled_from([1.0, 2.0, 3.5, math.nan]), st.sampled_from([0.0, 1.0, 7.0, math.nan])),
        min_size=1,
        max_size=12,
    )
)
def test_a_group_is_compared_as_if_alone(name, names):
    row, groups = (np.array(column) for column in zip(*names, strict=True))
    got, wanted = np.empty(len(row)), np.full(len(row), math.nan)
    getattr(cross_section, f"{name}_by")(row, groups, got)
    for group in set(groups[~np.isnan(groups)]):
        inside = groups == group
        alone = np.empty(int(inside.sum()))
        getattr(cross_section, name)(row[inside], alone)
        wanted[inside] = alone
    np.testing.assert_array_equal(got, wanted)


def test_scores_over_names():
    row, out = np.array([1.0, math.nan, 2.0, 6.0]), np.empty(4)
    cross_section.xs_demean(row, out)
    np.testing.assert_allclose(out, [-2.0, math.nan, -1.0, 3.0])
    cross_section.xs_zscore(row, out)
    np.testing.assert_allclose(out, np.array([-2.0, math.nan, -1.0, 3.0]) / np.std([1.0, 2.0, 6.0]))
    cross_section.xs_zscore(np.array([3.0, 3.0]), out[:2])
    assert out[:2].tolist() == [0.0, 0.0]


@given(
    arrays(np.float64, (4, 23), elements=st.one_of(st.floats(-3, 3), st.sampled_from([1.0, math.nan]))),
    arrays(np.float64, 23, elements=st.floats(allow_nan=True, allow_infinity=True)),
)
def test_places_do_not_depend_on_those_of_the_bar_before(rows, before):
    for row in rows:
        fresh = np.zeros(23)
        cross_section.xs_place(row, fresh)
        cross_section.xs_place(row, before)
        np.testing.assert_array_equal(before, fresh)
        known = [s for s in range(23) if row[s] == row[s]]
        order = sorted(known, key=lambda s: (-row[s], s))
        assert [fresh[s] for s in order] == list(range(len(order)))
        assert np.isnan(fresh[np.isnan(row)]).all()

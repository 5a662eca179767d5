"""What may be written, what is refused and how, and that a definition is plain data."""

from __future__ import annotations

import pickle
import re
from dataclasses import replace

import numpy as np
import pytest

from mts1b.foundation.errors import InputError, MtsError, UnknownNameError
from mts1b.strategy import (
    adx,
    bars_since,
    close,
    correlation,
    fill,
    get_strategy,
    highest,
    lag,
    latch,
    macd_signal,
    open,
    param,
    plus_di,
    rank,
    rsi,
    sma,
    std,
    stochastic,
    stop_loss,
    strategy,
    top_n,
    trailing_stop,
    where,
)
from mts1b.strategy.library import names
from tests.unit.strategy.panels import made_panel


def no_bars():
    @strategy
    def constant(weight=param(0.0, 1.0)):
        return weight * 2.0


def unused():
    @strategy
    def lazy(fast=param(2, 9), slow=param(2, 9)):
        return sma(close, fast)


def not_a_param():
    @strategy
    def plain(window=20):
        return sma(close, window)


def zero_window():
    @strategy
    def zero(window=param(0, 20)):
        return sma(close, window)


def fractional_window():
    @strategy
    def half(window=param(2.0, 20.0)):
        return sma(close, window)


def halved_window():
    @strategy
    def halved(window=param(3, 20)):
        return sma(close, window / 2)


def impossible_window():
    @strategy
    def inverted(fast=param(2, 5), slow=param(6, 9)):
        return sma(close, fast - slow)


def wrong_default():
    @strategy
    def crossed(fast=param(2, 9, 9), slow=param(5, 20)):
        return sma(close, slow - fast)


def no_stop():
    @strategy
    def loose(fraction=param(0.0, 0.2)):
        return stop_loss(where(close > 1.0, 1.0, 0.0), close, fraction)


REFUSED = {
    "no bars": (no_bars, "does not look at any bar"),
    "unused parameter": (unused, "lazy.slow"),
    "argument without bounds": (not_a_param, "plain.window=20"),
    "window of 0": (zero_window, "sma(close, window)='0'"),
    "window not whole": (fractional_window, "needs a whole-numbered parameter"),
    "window halved": (halved_window, "a window of whole bars"),
    "no window can be right": (impossible_window, "sma(close, (fast - slow))='-4'"),
    "wrong at the defaults": (wrong_default, "at least 1; leave out fast=9, slow=5"),
    "stop of 0": (no_stop, "must be above 0"),
    "correlation of one bar": (lambda: strategy_of(correlation(close, open, 1)), "correlation(close, open, 1)='1'"),
    "sector as a number": (lambda: rank(2.0, 3.0), "xs_rank_by(2, 3)"),
    "negative lag": (lambda: strategy_of(lag(close, -1)), "lag(close, -1)"),
    "series as window": (lambda: sma(close, close), "must be known before the first bar"),
    "scalar as series": (lambda: sma(3.0, 5), "needs at least one series"),
    "number as condition": (lambda: where(sma(close, 5), 1.0, 0.0), "where(sma(close, 5), 1, 0)='sma(close, 5)'"),
    "numbers joined": (lambda: (close > 1.0) & open, "((close > 1) & open)='open': is not a condition"),
    "number denied": (lambda: ~close, "negate(close)='close': is not a condition; compare it"),
    "number as entry": (lambda: latch(close > 1.0, 2.0), "is not a condition"),
    "number counted": (lambda: bars_since(rsi(close, 5)), "is not a condition"),
    "text as value": (lambda: close + "a", "is neither an expression nor a number"),
    "constant that is not finite": (lambda: close * float("inf"), "is not a finite number"),
    "bool as value": (lambda: where(True, close, 0.0), "is neither an expression nor a number"),
    "python and": (lambda: (close > 1) and (close < 2), "has no truth value"),
    "bounds upside down": (lambda: param(9, 2), "low <= default <= high"),
    "ddof": (lambda: std(close, 5, ddof=2), "ddof=2"),
}


def strategy_of(root):
    @strategy
    def made():
        return root

    return made


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_definition_is_refused_where_it_is_written(case):
    call, words = REFUSED[case]
    with pytest.raises(InputError) as caught:
        call()
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("sma_cross", {"fast": 1}, "fast=1.0: out of range 5 to 255"),
        ("sma_cross", {"fast": 5.5}, "must be a whole number"),
        ("sma_cross", {"fats": 5}, "did you mean: fast"),
        ("sma_cross", {"slow": float("nan")}, "out of range"),
        ("vol_target_trend", {"target": 2.0}, "out of range 0.02 to 0.6"),
    ],
)
def test_wrong_values_are_refused(name, values, words):
    with pytest.raises(MtsError) as caught:
        get_strategy(name).resolve(values)
    assert words in str(caught.value)


@strategy
def spread(fast=param(2, 9), slow=param(5, 20)):
    """A window that is right for some combinations only."""
    return sma(close, slow - fast)


@strategy
def halved(window=param(4, 20)):
    return sma(close, window / 2)


@pytest.mark.parametrize(
    ("subject", "values", "words"),
    [
        (spread, {"fast": 9, "slow": 5}, "sma(close, (slow - fast))='-4'"),
        (
            halved,
            {"window": 5},
            "='2.5': a window of whole bars, at least 1; leave out window=5",
        ),
    ],
)
def test_windows_are_checked_for_every_combination(subject, values, words):
    right = {name: 8 for name in values} | ({"slow": 20} if "slow" in values else {})
    for call in (
        lambda: subject.resolve(values),
        lambda: subject.check_combos({name: [right[name], value] for name, value in values.items()}),
    ):
        with pytest.raises(InputError) as caught:
            call()
        assert words in str(caught.value)
    assert subject.resolve(right)
    assert subject.check_combos({name: [value, value] for name, value in right.items()})


def test_an_unknown_strategy_suggests_its_neighbours():
    with pytest.raises(UnknownNameError, match="did you mean: sma_cross"):
        get_strategy("sma_crss")


def test_the_library_holds_known_strategies_and_says_whose_they_are():
    assert {"sma_cross", "rsi_reversion", "breakout", "xs_momentum", "vol_target_trend"} <= set(names())
    assert len(names()) >= 16
    for name in names():
        assert re.search(r"\(.*\b(19|20)\d\d\)\.$", get_strategy(name).summary), name


def test_a_panel_says_what_it_lacks_and_what_does_not_fit():
    panel = made_panel(3, 2)
    assert replace(panel, vwap=panel.close).rows(1, 3).vwap.shape == (2, 2)
    np.testing.assert_array_equal(replace(panel, sectors=("A", "")).field("sector")[0], [0.0, np.nan])
    for wrong in ({"vwap": panel.close[:2]}, {"sectors": ("A",)}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            replace(panel, **wrong)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("ts_ns", [2, 1, 3], "times must strictly increase"),
        ("ts_ns", [1, 1, 2], "times must strictly increase"),
        ("symbols", ("A", "A"), "each name may appear once"),
    ],
)
def test_a_panel_s_times_increase_and_its_names_differ(field, value, says):
    with pytest.raises(InputError, match=says):
        replace(made_panel(3, 2), **{field: np.array(value) if field == "ts_ns" else value})


@pytest.mark.parametrize("name", names())
def test_a_strategy_is_plain_data(name):
    found = get_strategy(name)
    copy = pickle.loads(pickle.dumps(found))
    assert copy == found
    assert copy.hash == found.hash
    assert found.name in found.describe()


def test_the_hash_follows_the_meaning():
    def made(low, high, root):
        @strategy
        def one(n=param(low, high)):
            return root(n)

        return one

    base = made(2, 9, lambda n: sma(close, n))
    assert base.hash == made(2, 9, lambda n: sma(close, n)).hash
    assert base.hash != made(2, 8, lambda n: sma(close, n)).hash
    assert base.hash != made(2, 9, lambda n: std(close, n)).hash


def test_the_hash_is_the_same_in_every_process():
    """Stored results are found by it: a change here orphans every one of them."""
    assert get_strategy("sma_cross").hash == "e8b3fd959f4fac915da0feb0120687fe"


LOOKBACKS = [
    (close, 0),
    (sma(close, 20), 19),
    (lag(close, 7), 7),
    (sma(lag(close, 7), 20), 26),
    (rsi(close, 14), 14),
    (where(sma(close, 5) > sma(close, 9), lag(close, 3), 0.0), 8),
    (rank(sma(close, 4)), 3),
    (top_n(close, 2), 0),
    (adx(14), 27),
    (plus_di(14), 14),
    (stochastic(14, 3), 15),
    (macd_signal(close, 3, 8, 5), 11),
    (correlation(close, lag(close, 2), 10), 11),
    (trailing_stop(bars_since(close > sma(close, 4)), close, 0.1), 3),
    (latch(close > sma(close, 6), close < sma(close, 3)), 5),
]


@pytest.mark.parametrize(("root", "bars"), LOOKBACKS, ids=[str(root) for root, _ in LOOKBACKS])
def test_lookback_is_the_bars_before_the_first_value(root, bars):
    assert strategy_of(root).lookback({}) == bars


def test_lookback_of_many_combinations_at_once():
    found = get_strategy("sma_cross").lookback({"fast": np.array([5.0, 50.0]), "slow": np.array([20.0, 30.0])})
    assert found.tolist() == [19, 49]


def test_what_is_made_of_conditions_is_one():
    up = close > open
    for made in (~up, up & lag(up, 2), where(up, 1.0, 0.0), latch(up, ~up), highest(up, 3), fill(up, 0.0)):
        assert made.is_condition
        assert (up | made).is_condition
    for made in (sma(up, 3), up + 1.0, close, where(up, 2.0, 0.0)):
        assert not made.is_condition


def test_numbers_of_numpy_are_constants():
    assert close * np.int64(2) == close * 2 == close * np.float32(2.0)


def test_expressions_are_immutable_and_equal_by_structure():
    assert sma(close, 5) == sma(close, 5)
    assert sma(close, 5) != sma(close, 6)
    assert len({sma(close, 5), sma(close, 5), close}) == 2
    with pytest.raises(AttributeError):
        close.op = "open"

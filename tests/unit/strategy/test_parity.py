"""One definition: the table and the live step agree to the bit, and neither sees the future."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mts1b.backtester import targets
from mts1b.foundation.errors import InputError
from mts1b.strategy import (
    atr,
    clip,
    close,
    demean,
    ema,
    exp,
    fill,
    get_strategy,
    high,
    highest,
    kelly,
    lag,
    larger,
    latch,
    log,
    low,
    lowest,
    macd,
    momentum,
    open,
    rank,
    returns,
    roc,
    rolling_sum,
    rsi,
    sma,
    smaller,
    sqrt,
    std,
    strategy,
    top_n,
    universe_size,
    var,
    vol_target,
    volatility,
    volume,
    where,
    wma,
    xs_zscore,
    zscore,
)
from mts1b.strategy.library import names
from mts1b.strategy.program import program_of
from tests.unit.strategy.panels import changed_after, made_panel, small_values

NODES = [
    open + high - low * close / 2.0,
    -volume,
    abs(returns(close)),
    where((close > open) & ~(close >= high) | (low <= open), 1.0, -1.0),
    where(close < sma(close, 5), fill(lag(close, 3), 1.0), smaller(open, larger(high, low))),
    clip(zscore(close, 6), -2.0, 2.0),
    sqrt(volume) + log(close) + exp(returns(close)),
    rolling_sum(close, 4) + wma(close, 5) + ema(close, 6) + macd(close, 3, 8),
    std(close, 5) + var(close, 5, ddof=1) + volatility(close, 6),
    highest(high, 5) - lowest(low, 7) + atr(5),
    rsi(close, 5) + roc(close, 4) + momentum(close, 6, 2),
    rank(close) + xs_zscore(close) + demean(close) + top_n(close, 2) * universe_size(),
    vol_target(close, 0.2, 5) + kelly(close, 8),
    latch(latch(close > sma(close, 4), close < sma(close, 9)) > 0.5, close > highest(close, 12)),
    sma(latch(close > open, close < open), 5) + sma(rank(close), 3),
]


def as_strategy(root):
    @strategy
    def node():
        return root

    return node


SUBJECTS = [*(get_strategy(name) for name in names()), *(as_strategy(root) for root in NODES)]
IDS = [str(subject.root) if subject.name == "node" else subject.name for subject in SUBJECTS]


def follow(subject, values, panel):
    stepper = subject.stepper(values, panel.symbols)
    rows = zip(panel.open, panel.high, panel.low, panel.close, panel.volume, strict=True)
    return np.array([stepper.step(*row) for row in rows])


@pytest.mark.parametrize("subject", SUBJECTS, ids=IDS)
@settings(max_examples=5, deadline=None)
@given(bars=st.integers(41, 90), size=st.integers(1, 4), gaps=st.sampled_from([0.0, 0.3]), seed=st.integers(0, 99))
def test_steps_equal_the_table_and_the_past_does_not_change(subject, bars, size, gaps, seed):
    values = small_values(subject)
    panel = made_panel(bars, size, gaps, seed)
    table = targets(subject, values, panel)
    np.testing.assert_array_equal(follow(subject, values, panel), table)
    for bar in (0, bars // 2, bars - 2):
        after = targets(subject, values, changed_after(panel, bar))
        np.testing.assert_array_equal(after[: bar + 1], table[: bar + 1])


@pytest.mark.parametrize("name", names())
def test_a_warmed_stepper_goes_on_where_the_table_ends(name):
    subject, panel = get_strategy(name), made_panel(80, 3, gaps=0.1)
    values = small_values(subject)
    stepper = subject.stepper(values, panel.symbols)
    whole = targets(subject, values, panel)
    np.testing.assert_array_equal(stepper.warm(panel.rows(0, 60)), whole[:60])
    for t in range(60, 80):
        row = stepper.step(panel.open[t], panel.high[t], panel.low[t], panel.close[t], panel.volume[t])
        np.testing.assert_array_equal(row, whole[t])


def test_a_stepper_refuses_other_names():
    with pytest.raises(InputError, match="other names"):
        get_strategy("buy_and_hold").stepper({}, ("A", "B")).warm(made_panel(5, 2))


def test_one_bar_of_one_name():
    panel = made_panel(1, 1)
    assert targets(get_strategy("buy_and_hold"), {}, panel).tolist() == [[1.0]]


def test_what_is_not_known_holds_nothing():
    panel = made_panel(40, 2, gaps=0.3)
    held = targets(get_strategy("buy_and_hold"), {}, panel)
    np.testing.assert_array_equal(held, np.where(np.isnan(panel.close), 0.0, 1.0))


def test_where_is_unknown_until_its_condition_is_known():
    """An unwarmed comparison is neither true nor false: the else branch is not taken by default."""
    panel = made_panel(12, 1)
    decided = targets(as_strategy(where(close > sma(close, 10), 1.0, -1.0)), {}, panel)
    assert (decided[:9] == 0.0).all()
    assert (decided[9:] != 0.0).all()


def test_a_program_is_compiled_once():
    root = get_strategy("sma_cross").root
    assert program_of(root) is program_of(root)


def test_generated_decisions_ask_machine_comparisons():
    """The cross is one comparison over all lanes, not a number that is compared with 0 again."""
    assert "(1.0 if (a0[s, t] > a1[s, t]) else 0.0)" in program_of(get_strategy("sma_cross").root).source

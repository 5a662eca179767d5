"""Rules bar by bar, as a reader would follow them on paper."""

from __future__ import annotations

from math import nan

import numpy as np
import pytest

from mts1b.strategy import bars_since, close, fixed, hold, open, rules, stop_loss, take_profit, trailing_stop, where
from mts1b.strategy.program import program_of
from tests.unit.strategy.panels import made_panel


def follow(rule, memory, *inputs):
    kept, out = (0.0,) * memory, []
    for row in zip(*inputs, strict=True):
        value, *kept = rule(*kept, *row)
        out.append(value)
    return out


STOPS = {
    "a long is stopped, and stays out until a new one begins": (
        rules.stop_loss, [0, 1, 1, 1, 1, 0, 1, 1], [9, 10, 9.5, 9, 12, 9, 9, 9.5], [0, 1, 1, 0, 0, 0, 1, 1],
    ),
    "a short is stopped by a rise": (rules.stop_loss, [-1, -1, -1, -1], [10, 10.9, 11, 5], [-1, -1, 0, 0]),
    "a reversal is a new position": (rules.stop_loss, [1, 1, -1, -1, -1], [10, 9, 9, 9.5, 9.9], [1, 0, -1, -1, 0]),
    "a resized position is the same one": (rules.stop_loss, [0.5, 1, 2, 2], [10, 20, 9.1, 9], [0.5, 1, 2, 0]),
    "a profit is taken": (rules.take_profit, [1, 1, 1, 0, 1], [10, 10.9, 11, 11, 11], [1, 1, 0, 0, 1]),
    "a short's profit is taken": (rules.take_profit, [-2, -2, -2], [10, 9.1, 9], [-2, -2, 0]),
    "the stop trails the best": (rules.trailing_stop, [1, 1, 1, 1, 1], [10, 20, 18.1, 18, 30], [1, 1, 1, 0, 0]),
    "the stop trails a short's best": (rules.trailing_stop, [-1, -1, -1], [10, 5, 5.5], [-1, -1, 0]),
    "an unknown wish changes nothing": (rules.stop_loss, [1, nan, 1, 1], [10, nan, 9.5, 9], [1, nan, 1, 0]),
    "an unknown price stops nothing": (rules.stop_loss, [1, 1, 1, 1], [nan, 10, nan, 9], [1, 1, 1, 0]),
}  # fmt: skip


@pytest.mark.parametrize("case", STOPS)
def test_a_stop_of_a_tenth(case):
    rule, wanted, prices, held = STOPS[case]
    numbers = [[float(x) for x in column] for column in (wanted, prices)]
    np.testing.assert_array_equal(follow(rule, 2, *numbers, [0.1] * len(wanted)), np.array(held, dtype=float))


def test_an_unknown_fraction_stops_nothing():
    assert follow(rules.trailing_stop, 2, [1.0, 1.0, 1.0], [10.0, 5.0, 4.0], [nan, nan, 0.1]) == [1.0, 1.0, 0.0]


def test_bars_since_counts_the_bars_that_are_known():
    conditions = [0.0, nan, 1.0, 0.0, nan, 0.0, 1.0]
    np.testing.assert_array_equal(follow(rules.bars_since, 1, conditions), [nan, nan, 0, 1, 1, 2, 0])


def test_latch_keeps_its_state_over_what_is_unknown():
    assert follow(rules.latch, 1, [True, False, False, True], [False, False, True, True]) == [1.0, 1.0, 0.0, 0.0]


def table(root, closes):
    panel = made_panel(len(closes), 1)
    panel.close[:, 0] = closes
    panel.open[:, 0] = 10.0
    return program_of(root).targets({}, panel)[:, 0].tolist()


def test_hold_counts_anew_from_every_entry():
    assert table(hold(close > open, 3), [9, 11, 9, 9, 9, 11, 11, 9, 9, 9]) == [0, 1, 1, 1, 0, 1, 1, 1, 1, 0]


def test_rules_compose():
    """Entered at 11, a profit of a fifth at 13.5; entered at 20, a loss of a tenth at 18."""
    position = where(close > open, 1.0, 0.0)
    root = take_profit(stop_loss(position, close, 0.1), close, 0.2)
    assert table(root, [9, 11, 13, 13.5, 9, 20, 19, 18, 17]) == [0, 1, 1, 0, 0, 1, 1, 0, 0]
    assert table(trailing_stop(position, close, 0.5), [11, 30, 16, 15]) == [1, 1, 1, 0]


def test_fixed_sizes_by_the_sign():
    assert table(fixed(close - open, 0.25), [9, 11, 10]) == [-0.25, 0.25, 0.0]


def test_bars_since_is_unknown_before_the_first_time():
    assert table(bars_since(close > open), [9, 11, 9]) == [0.0, 0.0, 1.0]

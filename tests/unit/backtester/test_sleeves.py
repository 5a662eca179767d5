"""Columns at once: every name's sleeve has the metrics that exact books give it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mts1b.backtester import NAME_METRICS, Execution, by_column, evaluate
from mts1b.backtester import sleeves as room
from mts1b.backtester.sleeve_kernel import CHUNK
from mts1b.backtester.sleeves import ALL_IN
from mts1b.foundation.errors import DataError, InputError
from mts1b.strategy import close, get_strategy, lag, param, sma, strategy, where
from mts1b.strategy.language import latch, momentum, rsi, top_n
from tests.unit.strategy.panels import made_panel


@strategy
def crossed(a=param(1, 60), b=param(1, 60)):
    """Equal values count, and the other side may have the lanes."""
    return where(sma(close, a) >= sma(close, b), 1.0, 0.0)


@strategy
def above(level=param(-0.5, 0.5), b=param(1, 30)):
    """A number on one side."""
    return where(momentum(close, b) > level, 1.0, 0.0)


@strategy
def latched(window=param(2, 20), entry=param(5.0, 50.0), leave=param(40.0, 95.0)):
    """A latch between two numbers."""
    strength = rsi(close, window)
    return latch(strength < entry, strength >= leave)


@strategy
def several(a=param(2, 30), b=param(2, 30)):
    """Several conditions, one of them the same for all lanes."""
    return where((sma(close, a) > sma(close, b)) & (close > lag(close, 1)), 1.0, 0.0)


@strategy
def best(window=param(2, 20), top=param(1, 3)):
    """Names that are compared with each other."""
    return where(top_n(momentum(close, window), top) > 0.0, 1.0, 0.0)


GRIDS = {
    crossed: ({"a": range(3, 16), "b": range(2, 40, 3)}),
    above: {"level": (-0.1, 0.0, 0.05), "b": range(2, 13)},
    latched: {"window": (2, 5, 14), "entry": (20.0, 35.0), "leave": (50.0, 60.0, 80.0)},
    several: {"a": range(2, 9), "b": range(10, 20)},
    best: {"window": (2, 5), "top": (1, 2)},
}
BY_BITS = (crossed, above, latched, several)
COSTS = replace(ALL_IN, commission_bps=3.0, half_spread_bps=4.0)


def grid(subject):
    values = [np.array(list(axis), dtype=float) for axis in GRIDS[subject].values()]
    tables = np.meshgrid(*values, indexing="ij")
    return {name: table.ravel() for name, table in zip(subject.params, tables, strict=True)}


def assert_equal_to_books(subject, combos, panel, execution, threads):
    found = by_column(subject, combos, panel, execution, threads)
    wanted = evaluate(subject, combos, panel, execution, by_name=True).by_name
    for name, table in zip(NAME_METRICS, wanted, strict=True):
        bound = {"trades": 0.0, "entries": 0.0, "sharpe": 1e-8}.get(name, 1e-9)  # a spread is a difference of squares
        np.testing.assert_allclose(found[name], table, rtol=bound, atol=bound, err_msg=name)


@pytest.mark.parametrize("subject", GRIDS, ids=lambda subject: subject.name)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000), names=st.integers(1, 19), bars=st.integers(45, 130), threads=st.integers(1, 3))
def test_columns_are_those_of_exact_books(subject, seed, names, bars, threads):
    panel = made_panel(bars, names, seed=seed)
    assert_equal_to_books(subject, grid(subject), panel, COSTS, threads)


def test_more_lanes_than_bits():
    assert_equal_to_books(crossed, grid(crossed) | {}, made_panel(90, 3), COSTS, 1)
    wide = np.arange(1.0, 61.0)
    combos = {"a": np.repeat(wide[::7], 60), "b": np.tile(wide, 9)}
    assert_equal_to_books(crossed, combos, made_panel(90, 3), COSTS, 2)


def test_which_way_each_goes(monkeypatch):
    panel, gaps = made_panel(60, 4), made_panel(60, 4, gaps=0.1)
    books = []
    inner = room.evaluate
    monkeypatch.setattr(room, "evaluate", lambda *given, **more: books.append(1) or inner(*given, **more))
    for subject in BY_BITS:
        by_column(subject, grid(subject), panel, COSTS)
    assert not books
    by_column(crossed, grid(crossed), gaps, COSTS)  # a bar is missing
    by_column(get_strategy("vol_target_trend"), {}, made_panel(300, 2), COSTS)  # a weight that moves
    by_column(crossed, grid(crossed), panel, replace(COSTS, fill="close"))
    assert len(books) == 3
    assert_equal_to_books(crossed, grid(crossed), gaps, COSTS, 2)


def test_what_cannot_be():
    panel = made_panel(60, 2)
    with pytest.raises(InputError, match="columns are sleeves"):
        by_column(crossed, {}, panel, Execution())
    with pytest.raises(InputError, match="window longer than history"):
        by_column(crossed, {"a": 60, "b": 3}, made_panel(50, 2))
    with pytest.raises(DataError, match="above 0"):
        by_column(crossed, {}, replace(panel, close=-panel.close))
    with pytest.raises(InputError, match="threads"):
        by_column(crossed, {}, panel, threads=0)


def test_of_the_panel_what_is_read_is_checked():
    panel = made_panel(300, 2)
    unread = replace(panel, volume=-panel.volume)
    for name, table in by_column(crossed, grid(crossed), panel, COSTS).items():
        assert np.array_equal(table, by_column(crossed, grid(crossed), unread, COSTS)[name])


def test_orders_of_more_than_one_chunk_of_bars():
    panel = made_panel(2 * CHUNK + 7, 1)
    combos = {"a": np.array([1.0, 2.0]), "b": np.array([3.0, 3.0])}
    assert by_column(crossed, combos, panel, COSTS)["trades"].min() > CHUNK / 4
    assert_equal_to_books(crossed, combos, panel, COSTS, 1)

"""Samples of grids: right, without repeats, the same from the same seed, and no larger than what was asked for."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mts1b.backtester import Execution
from mts1b.foundation.errors import InputError, UnknownNameError
from mts1b.research.axes import Axis
from mts1b.research.grid import Condition, Grid, Sample
from mts1b.research.plan import SweepSpec, plan_sweep
from mts1b.research.sampling import METHODS
from mts1b.strategy import Param, close, param, sma, strategy, where
from tests.unit.research.made_panels import random_panel

WIDE = {name: Param(0.0, 1_000.0, 1.0, "int") for name in "abcd"}
HUGE = dict.fromkeys("abcd", "0:1000:1")
"""10^12 combinations."""

VALUES = st.lists(st.integers(0, 30).map(float), min_size=1, max_size=6, unique=True).map(sorted).map(tuple)


@given(VALUES, VALUES, VALUES, st.sampled_from(["<", "<=", ">", ">=", None]), st.integers(0, 9), st.data())
@settings(deadline=None)
def test_a_random_sample_is_a_part_of_the_grid(first, second, third, comparison, seed, data) -> None:
    grid = Grid(
        (Axis("a", first), Axis("b", second), Axis("c", third)),
        None if comparison is None else Condition("c", comparison, "a"),
    )
    if not grid.size():
        return
    wanted = data.draw(st.integers(1, grid.size()))
    drawn = grid.sampled(Sample(wanted, "random", seed))
    numbers = drawn.numbers(0, drawn.places)
    assert drawn.size() == drawn.places == wanted == len(set(numbers.tolist()))
    assert set(numbers.tolist()) <= set(grid.numbers(0, grid.full_size).tolist())
    assert (np.diff(numbers) > 0).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("where_", [None, "a < b", "d >= b"])
def test_a_sample_out_of_a_million_million_needs_memory_for_itself_alone(method, where_) -> None:
    Grid.parse({"a": "1,2"}, WIDE, None, Sample(1, method))  # whatever is imported on first use
    tracemalloc.start()
    began = time.perf_counter()
    grid = Grid.parse(HUGE, WIDE, where_, Sample(2_000, method, seed=5))
    took, peak = time.perf_counter() - began, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert grid.full_size == 10**12 and grid.size() == 2_000
    assert peak < 8 << 20 and took < 5.0  # a listing would take hours and terabytes
    values = grid.combinations(grid.numbers(0, grid.places))
    if where_ is not None:
        assert grid.condition is not None and grid.condition.holds(values).all()
    for name, column in values.items():
        assert len(np.unique(column)) > 500, name  # spread over the whole axis
    same, other = (Grid.parse(HUGE, WIDE, where_, Sample(2_000, method, seed)) for seed in (5, 6))
    np.testing.assert_array_equal(same.drawn, grid.drawn)
    assert same == grid and same.text == grid.text and not np.array_equal(other.drawn, grid.drawn)


def test_a_grid_of_a_million_million_is_refused_at_once() -> None:
    began = time.perf_counter()
    with pytest.raises(InputError, match=r"1,000,000,000,000 combinations, over 100,000,000; .*--sample"):
        Grid.parse(HUGE, WIDE)
    assert time.perf_counter() - began < 1.0


def test_sobol_fills_the_grid_more_evenly_than_chance() -> None:
    """The deviation of the number in each of 16 equal boxes from its expectation."""
    spread = {}
    for method in METHODS:
        grid = Grid.parse({"a": "0:1000:1", "b": "0:1000:1"}, WIDE, None, Sample(1_024, method, seed=1))
        values = grid.combinations(grid.numbers(0, grid.places))
        boxes = np.histogram2d(values["a"], values["b"], bins=4, range=[[0, 1_000]] * 2)[0]
        spread[method] = np.abs(boxes - 64.0).max()
    assert spread["sobol"] <= 1.0 < spread["random"]


def test_random_samples_take_every_combination_equally_often() -> None:
    counts = np.zeros(30)
    for seed in range(600):
        grid = Grid.parse({"a": "0:6:1", "b": "0:5:1"}, WIDE, None, Sample(10, "random", seed))
        counts[grid.drawn] += 1
    assert np.abs(counts / 600 - 1 / 3).max() < 0.1  # five standard deviations


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Sample(0), "sample=0"),
        (lambda: Sample(2_000_000), "ask for 1 to 1,000,000"),
        (lambda: Sample(5, "quasi"), "known: random, sobol"),
        (lambda: Sample(5, "random", -1), "seed=-1"),
        (lambda: Grid.parse({"a": "0:5:1"}, WIDE, None, Sample(6)), "the grid holds 5"),
        (lambda: Grid.parse({"a": "5", "b": "4"}, WIDE, "a < b", Sample(1)), "no combination is left"),
        (lambda: Grid.parse(dict.fromkeys("abcdefg", "0:1000:1"), dict.fromkeys("abcdefg", WIDE["a"]), None, Sample(9)),
         "more combinations than can be numbered"),
    ],
)  # fmt: skip
def test_wrong_samples_are_refused(make, words) -> None:
    with pytest.raises((InputError, UnknownNameError)) as caught:
        make()
    assert words in str(caught.value)


@pytest.mark.parametrize("method", METHODS)
def test_a_sample_may_be_the_whole_grid(method) -> None:
    grid = Grid.parse({"a": "0:50:1", "b": "0:21:1"}, WIDE, "a > b")
    np.testing.assert_array_equal(grid.sampled(Sample(grid.size(), method)).drawn, grid.numbers(0, grid.full_size))


def test_no_parameters_is_a_sample_of_one() -> None:
    assert Grid.parse({}, {}, None, Sample(1)).numbers(0, 1).tolist() == [0]


@strategy
def banded(a=param(1, 1_000), b=param(1, 1_000), c=param(1, 1_000), d=param(1, 1_000)):
    return where(sma(close, a) > sma(close, b), sma(close, c) / close, sma(close, d) / close)


def test_a_plan_of_a_sample_cuts_it_without_loss() -> None:
    ranges = dict.fromkeys("abcd", "1:1001:1")
    grid = Grid.parse(ranges, banded.params, "a < b", Sample(3_000, "sobol", seed=3))
    plan = plan_sweep(SweepSpec(banded, grid, Execution()), random_panel())
    numbers = np.concatenate([grid.numbers(chunk.start, chunk.stop) for chunk in plan.chunks])
    np.testing.assert_array_equal(numbers, grid.drawn)
    assert plan.combinations == 3_000 and plan.manifest["seed"] == 3
    assert plan.manifest["grid"].endswith("where a < b sampled 3000 sobol seed 3")
    other = grid.sampled(Sample(3_000, "sobol", seed=4))
    assert plan_sweep(SweepSpec(banded, other, Execution()), random_panel()).key != plan.key


def test_a_million_combinations_are_planned_in_the_memory_of_a_few() -> None:
    """Ten times the combinations: at most a chunk's record more for each chunk, and never a list of combinations."""
    panel = random_panel()
    peaks = []
    for stop in (101, 1_001):
        grid = Grid.parse({"a": f"1:{stop}:1", "b": "1:1001:1"}, banded.params)
        tracemalloc.start()
        plan = plan_sweep(SweepSpec(banded, grid, Execution()), panel)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert plan.combinations == grid.size()
    assert peaks[1] < peaks[0] + (1 << 20) and peaks[1] < 4 << 20

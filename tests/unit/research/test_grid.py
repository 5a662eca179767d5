"""Grids: reading them, counting them without listing them, cutting them, and saying what is wrong with them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mts1b.foundation.errors import InputError, UnknownNameError
from mts1b.research.grid import Axis, Condition, Grid
from mts1b.strategy import Param

PARAMS = {
    "fast": Param(5.0, 255.0, 5.0, "int"),
    "slow": Param(20.0, 420.0, 20.0, "int"),
    "target": Param(0.02, 0.6, 0.15, "float"),
}
VALUES = st.lists(st.integers(0, 30).map(float), min_size=1, max_size=6, unique=True).map(sorted).map(tuple)


def test_ranges_leave_out_the_stop() -> None:
    grid = Grid.parse({"fast": "5:105:1", "slow": "20:420:4"}, PARAMS)
    assert grid.shape == (100, 100, 1) and grid.size() == 10_000
    assert grid.inner == 100  # the last axis that is swept
    assert grid.axes[1].values[:2] == (20.0, 24.0) and grid.axes[1].values[-1] == 416.0
    assert grid.axes[2] == Axis("target", (0.15,))  # not swept: its default


def test_decimal_steps_are_exact() -> None:
    grid = Grid.parse({"target": "0.05:0.3:0.05"}, PARAMS)
    assert grid.axes[2].values == (0.05, 0.1, 0.15, 0.2, 0.25)


def test_logarithmic_ranges_hold_both_ends_at_equal_ratios() -> None:
    found = Grid.parse({"fast": "5:250:log12", "target": "0.02:0.32:log5"}, PARAMS)
    assert found.axes[2].values == (0.02, 0.04, 0.08, 0.16, 0.32)
    assert found.axes[0].values[0] == 5.0 and found.axes[0].values[-1] == 250.0 and found.shape[0] == 12
    assert all(value == int(value) for value in found.axes[0].values)
    assert Grid.parse({"fast": "5:8:log50"}, PARAMS).axes[0].values == (5.0, 6.0, 7.0, 8.0)  # rounded, once each
    assert Grid.parse({"target": found.axes[2].text}, PARAMS).axes[2] == found.axes[2]


@pytest.mark.parametrize("order", [("fast", "slow"), ("slow", "fast")])
def test_axes_keep_the_order_of_the_strategy(order) -> None:
    grid = Grid.parse({name: "20,30" for name in order}, PARAMS)
    assert [axis.name for axis in grid.axes] == ["fast", "slow", "target"]


def test_the_bounds_of_a_parameter_are_within_it() -> None:
    assert Grid.parse({"target": "0.02,0.6"}, PARAMS).axes[2].values == (0.02, 0.6)


def test_lists_are_sorted() -> None:
    assert Grid.parse({"fast": "50, 10,20"}, PARAMS).axes[0].values == (10.0, 20.0, 50.0)


@pytest.mark.parametrize(
    ("given_ranges", "where", "field", "part"),
    [
        ({"fast": "1:20:1"}, None, "grid.fast", "out of range"),
        ({"fast": "5:300:1"}, None, "grid.fast", "from 5 to 255"),
        ({"fast": "5.5"}, None, "grid.fast", "whole number"),
        ({"fast": "ten"}, None, "grid.fast", "not a number"),
        ({"fast": "nan"}, None, "grid.fast", "not a finite number"),
        ({"fast": "20:10:1"}, None, "grid.fast", "holds no value"),
        ({"fast": "10:20:0"}, None, "grid.fast", "step must be positive"),
        ({"fast": "10:20:1:1"}, None, "grid.fast", "too many parts"),
        ({"fast": "10,10"}, None, "grid.fast", "twice"),
        ({"fast": "5:6:0.000000001"}, None, "grid.fast", "values"),
        ({"fast": "5:255:1", "slow": "20:420:1", "target": "0.1:0.2:0.00001"}, None, "grid", "--sample"),
        ({"target": "0.1:0.2:log1"}, None, "grid.target", "ask for 2 values or more"),
        ({"target": "0.0:0.2:log9"}, None, "grid.target", "begins above 0"),
        ({"target": "0.3:0.2:log9"}, None, "grid.target", "below its stop"),
        ({"target": "0.1:0.2:log"}, None, "grid.target", "no logarithmic range"),
        ({"target": "0.1:log9"}, None, "grid.target", "no logarithmic range"),
        ({"target": "0.1:0.2:log200000"}, None, "grid.target", "over 100,000"),
        ({"quick": "5"}, None, "grid", "unknown name"),
        ({"fast": "100", "slow": "50"}, "fast < slow", "grid", "no combination is left"),
        ({}, "fast less slow", "where", "not a comparison"),
        ({}, "fast < fats", "where", "did you mean: fast"),
        ({}, "fast < fast", "where", "with itself"),
    ],
)
def test_bad_grids_name_field_and_remedy(given_ranges, where, field, part) -> None:
    with pytest.raises(InputError) as caught:
        Grid.parse(given_ranges, PARAMS, where)
    assert caught.value.field == field and part in str(caught.value) and caught.value.remedy


def test_unknown_parameters_are_unknown_names() -> None:
    with pytest.raises(UnknownNameError, match="did you mean: slow"):
        Grid.parse({"slwo": "20"}, PARAMS)


@given(VALUES, VALUES, VALUES, st.sampled_from(["<", "<=", ">", ">="]))
def test_size_counts_what_numbers_list(first, second, third, comparison) -> None:
    axes = (Axis("a", first), Axis("b", second), Axis("c", third))
    grid = Grid(axes, Condition("a", comparison, "c"))
    numbers = grid.numbers(0, grid.full_size)
    assert grid.size() == len(numbers)
    found = list(zip(*(values.tolist() for values in grid.combinations(numbers).values()), strict=True))
    operators = {"<": float.__lt__, "<=": float.__le__, ">": float.__gt__, ">=": float.__ge__}
    listed = [row for row in itertools.product(first, second, third) if operators[comparison](row[0], row[2])]
    assert found == listed  # row-major, the last axis fastest


@given(VALUES)
def test_an_axis_reads_back_its_own_text(values) -> None:
    bounds = {"a": Param(0.0, 1_000.0, 0.0, "float")}
    assert Grid.parse({"a": Axis("a", values).text}, bounds).axes[0].values == values


def test_a_strategy_without_parameters_has_one_combination() -> None:
    grid = Grid.parse({}, {})
    assert grid.size() == grid.inner == 1 and grid.combinations(np.arange(1)) == {}

"""The combinations of a sweep, as ranges: counted and cut without ever being listed as a whole.

A combination's number is its place in the full grid, in row-major order (the last axis runs fastest), whether or not a
condition leaves it out. So numbers, and all that is keyed by them, do not depend on how the grid was cut.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mts1b.foundation.errors import InputError, unknown_name
from mts1b.foundation.limits import COMBINATIONS_MAX
from mts1b.strategy import Param

Numbers = NDArray[np.float64]

RANGE_FORM = "write start:stop:step (stop left out) or values a,b,c"
COMPARISON = re.compile(r"\s*(\w+)\s*(<=|>=|<|>)\s*(\w+)\s*")
COMPARE: dict[str, Any] = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}


@dataclass(frozen=True, slots=True)
class Axis:
    """The values one parameter takes, strictly increasing."""

    name: str
    values: tuple[float, ...]

    @property
    def text(self) -> str:
        """The values as a range when they are evenly spaced, else as a list: what `Grid.parse` reads back."""
        numbers = [Decimal(repr(value)) for value in self.values]
        steps = {later - earlier for earlier, later in zip(numbers, numbers[1:], strict=False)}
        if len(steps) == 1 and len(numbers) > 2:
            step = steps.pop()
            return f"{_plain(numbers[0])}:{_plain(numbers[-1] + step)}:{_plain(step)}"
        return ",".join(_plain(number) for number in numbers)


@dataclass(frozen=True, slots=True)
class Condition:
    """Keeps the combinations in which the comparison between two parameters holds."""

    left: str
    comparison: str
    right: str

    @classmethod
    def parse(cls, text: str, names: Sequence[str]) -> Condition:
        """Read `fast < slow`. InputError for another form, UnknownNameError for a parameter that is not there."""
        match = COMPARISON.fullmatch(text)
        if match is None:
            raise InputError("where", text, "not a comparison of two parameters", "write it like `fast < slow`")
        left, comparison, right = match.groups()
        for name in (left, right):
            if name not in names:
                raise unknown_name("where", name, names)
        if left == right:
            raise InputError("where", text, "compares a parameter with itself", "name two parameters")
        return cls(left, comparison, right)

    def __str__(self) -> str:
        return f"{self.left} {self.comparison} {self.right}"

    def holds(self, values: Mapping[str, Numbers]) -> NDArray[np.bool_]:
        """Whether it holds, element by element."""
        kept: NDArray[np.bool_] = COMPARE[self.comparison](values[self.left], values[self.right])
        return kept


@dataclass(frozen=True, slots=True)
class Grid:
    """Every combination of the axes' values for which the condition holds.

    One axis for each parameter of the strategy, in the strategy's order; a parameter that is not swept has one value.
    """

    axes: tuple[Axis, ...]
    condition: Condition | None = None

    @classmethod
    def parse(cls, given: Mapping[str, str], params: Mapping[str, Param], where: str | None = None) -> Grid:
        """Read ranges by parameter name, `{"fast": "5:105:1", "slow": "20,50,200"}`, for a strategy's parameters.

        InputError for a range that cannot be read, is empty, leaves the parameter's bounds or makes the grid too
        large or empty; UnknownNameError for a parameter the strategy does not have.
        """
        for name in given:
            if name not in params:
                raise unknown_name("grid", name, params)
        axes = tuple(
            Axis(name, _read_axis(name, given[name], param)) if name in given else Axis(name, (float(param.default),))
            for name, param in params.items()
        )
        grid = cls(axes, None if where is None else Condition.parse(where, list(params)))
        if grid.full_size > COMBINATIONS_MAX:
            raise InputError("grid", grid.full_size, f"more than {COMBINATIONS_MAX:,} combinations", "use wider steps")
        if grid.size() == 0:
            raise InputError("grid", grid.text, "no combination is left", "widen a range or drop the condition")
        return grid

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(axis.values) for axis in self.axes)

    @property
    def inner(self) -> int:
        """Values of the axis that runs fastest: the last with more than one; 1 when there is none."""
        return next((count for count in reversed(self.shape) if count > 1), 1)

    @property
    def full_size(self) -> int:
        """Combinations before the condition."""
        return math.prod(self.shape)

    @property
    def text(self) -> str:
        """The grid in one line."""
        ranges = " ".join(f"{axis.name}={axis.text}" for axis in self.axes)
        return ranges if self.condition is None else f"{ranges} where {self.condition}"

    def size(self) -> int:
        """Combinations that the condition keeps, counted from the two axes it names alone."""
        if self.condition is None:
            return self.full_size
        by_name = {axis.name: np.array(axis.values) for axis in self.axes}
        left, right = by_name[self.condition.left], by_name[self.condition.right]
        # for each value on the left, how many on the right are smaller (or smaller or equal)
        side: Literal["left", "right"] = "right" if self.condition.comparison in ("<", ">=") else "left"
        below = int(np.searchsorted(right, left, side=side).sum())
        pairs = below if self.condition.comparison.startswith(">") else left.size * right.size - below
        return pairs * (self.full_size // (left.size * right.size))

    def numbers(self, start: int, stop: int) -> NDArray[np.int64]:
        """The numbers in [start, stop) that the condition keeps, ascending."""
        numbers = np.arange(start, stop, dtype=np.int64)
        return numbers if self.condition is None else numbers[self.condition.holds(self.combinations(numbers))]

    def combinations(self, numbers: NDArray[np.int64]) -> dict[str, Numbers]:
        """Parameter name -> values [C] of the combinations with these numbers."""
        if not self.axes:
            return {}
        places = np.unravel_index(numbers, self.shape)
        return {axis.name: np.array(axis.values)[place] for axis, place in zip(self.axes, places, strict=True)}


def _read_axis(name: str, text: str, param: Param) -> tuple[float, ...]:
    field = f"grid.{name}"
    numbers = _read_range(field, text) if ":" in text else [_number(field, text, part) for part in text.split(",")]
    if len(set(numbers)) != len(numbers):
        raise InputError(field, text, "holds a value twice", "name each value once")
    for number in numbers:
        if not param.low <= number <= param.high:
            raise InputError(
                field, text, f"{number} is out of range", f"use values from {param.low:g} to {param.high:g}"
            )
        if param.kind == "int" and number != number.to_integral_value():
            raise InputError(field, text, f"{number} is not a whole number", "use whole numbers")
    return tuple(sorted(float(number) for number in numbers))


def _read_range(field: str, text: str) -> list[Decimal]:
    parts = [_number(field, text, part) for part in text.split(":")]
    if len(parts) > 3:
        raise InputError(field, text, "too many parts", RANGE_FORM)
    start, stop, step = (*parts, Decimal(1)) if len(parts) == 2 else parts
    if step <= 0:
        raise InputError(field, text, "the step must be positive", RANGE_FORM)
    count = math.ceil((stop - start) / step)
    if count < 1:
        raise InputError(field, text, "holds no value: start is not below stop", RANGE_FORM)
    if count > COMBINATIONS_MAX:
        raise InputError(field, text, f"holds {count:,} values", f"at most {COMBINATIONS_MAX:,} in all: widen the step")
    return [start + place * step for place in range(count)]


def _number(field: str, text: str, part: str) -> Decimal:
    try:
        number = Decimal(part.strip())
    except InvalidOperation:
        raise InputError(field, text, f"{part.strip()!r} is not a number", RANGE_FORM) from None
    if not number.is_finite():
        raise InputError(field, text, f"{part.strip()!r} is not a finite number", RANGE_FORM)
    return number


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"

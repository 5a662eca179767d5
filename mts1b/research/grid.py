"""The combinations of a sweep, as ranges: counted and cut without ever being listed as a whole.

A combination's number is its place in the full grid, in row-major order (the last axis runs fastest), whether or not a
condition or a sample leaves it out. So numbers, and all that is keyed by them, do not depend on how the grid was cut.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mts1b.foundation.errors import InputError, unknown_name
from mts1b.foundation.limits import COMBINATIONS_MAX
from mts1b.research.axes import RANGE_FORM, Axis, read_axis
from mts1b.research.sampling import Pairs, Sample, draw
from mts1b.strategy import Param

__all__ = ["RANGE_FORM", "Axis", "Condition", "Grid", "Sample"]

Numbers = NDArray[np.float64]

COMPARISON = re.compile(r"\s*(\w+)\s*(<=|>=|<|>)\s*(\w+)\s*")
COMPARE: dict[str, Any] = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}


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
    """Every combination of the axes' values for which the condition holds, or a sample of them.

    One axis for each parameter of the strategy, in the strategy's order; a parameter that is not swept has one value.
    `drawn`: the numbers of the sample, ascending, made by `sampled`.
    """

    axes: tuple[Axis, ...]
    condition: Condition | None = None
    sample: Sample | None = None
    drawn: NDArray[np.int64] | None = field(default=None, repr=False, compare=False)

    @classmethod
    def parse(
        cls,
        given: Mapping[str, str],
        params: Mapping[str, Param],
        where: str | None = None,
        sample: Sample | None = None,
    ) -> Grid:
        """Read ranges by parameter name, `{"fast": "5:105:1", "slow": "20,50,200"}`, for a strategy's parameters.

        InputError for a range that cannot be read, is empty, leaves the parameter's bounds or makes the grid too
        large or empty; UnknownNameError for a parameter the strategy does not have. A grid that is sampled from may be
        of any size.
        """
        for name in given:
            if name not in params:
                raise unknown_name("grid", name, params)
        axes = tuple(
            read_axis(name, given[name], param) if name in given else Axis(name, (float(param.default),))
            for name, param in params.items()
        )
        grid = cls(axes, None if where is None else Condition.parse(where, list(params)))
        if sample is None and grid.full_size > COMBINATIONS_MAX:
            problem = f"{grid.full_size:,} combinations, over {COMBINATIONS_MAX:,}"
            raise InputError("grid", grid.text, problem, "use wider steps, or draw some: --sample 100000")
        if grid.size() == 0:
            raise InputError("grid", grid.text, "no combination is left", "widen a range or drop the condition")
        return grid if sample is None else grid.sampled(sample)

    def sampled(self, sample: Sample) -> Grid:
        """A sample of this grid's combinations. InputError when it has fewer."""
        return replace(self, sample=sample, drawn=draw(sample, self.shape, self._pairs()))

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(axis.values) for axis in self.axes)

    @property
    def inner(self) -> int:
        """Values of the axis that runs fastest: the last with more than one; 1 when there is none, or of a sample."""
        if self.drawn is not None:
            return 1
        return next((count for count in reversed(self.shape) if count > 1), 1)

    @property
    def full_size(self) -> int:
        """Combinations before the condition and the sample."""
        return math.prod(self.shape)

    @property
    def places(self) -> int:
        """What `numbers` counts its bounds in: places of the sample, or of the full grid."""
        return self.full_size if self.drawn is None else len(self.drawn)

    @property
    def text(self) -> str:
        """The grid in one line."""
        ranges = " ".join(f"{axis.name}={axis.text}" for axis in self.axes)
        kept = "" if self.condition is None else f" where {self.condition}"
        return f"{ranges}{kept}" + ("" if self.sample is None else f" {self.sample}")

    @property
    def swept(self) -> tuple[str, ...]:
        """The parameters with more than one value."""
        return tuple(axis.name for axis in self.axes if len(axis.values) > 1)

    def size(self) -> int:
        """Combinations that are swept, counted from the two axes of the condition alone."""
        if self.drawn is not None:
            return len(self.drawn)
        pairs = self._pairs()
        if pairs is None:
            return self.full_size
        return pairs.size * (self.full_size // (self.shape[pairs.left] * self.shape[pairs.right]))

    def numbers(self, start: int, stop: int) -> NDArray[np.int64]:
        """The numbers of the combinations in places [start, stop), ascending."""
        if self.drawn is not None:
            return self.drawn[start:stop]
        numbers = np.arange(start, stop, dtype=np.int64)
        return numbers if self.condition is None else numbers[self.condition.holds(self.combinations(numbers))]

    def combinations(self, numbers: NDArray[np.int64]) -> dict[str, Numbers]:
        """Parameter name -> values [C] of the combinations with these numbers."""
        if not self.axes:
            return {}
        places = np.unravel_index(numbers, self.shape)
        return {axis.name: np.array(axis.values)[place] for axis, place in zip(self.axes, places, strict=True)}

    def _pairs(self) -> Pairs | None:
        """The values of the condition's two axes that go together."""
        if self.condition is None:
            return None
        at = {axis.name: place for place, axis in enumerate(self.axes)}
        left, right = at[self.condition.left], at[self.condition.right]
        values, others = (np.array(self.axes[place].values) for place in (left, right))
        # for each value on the left, how many on the right are smaller (or smaller or equal)
        side: Literal["left", "right"] = "right" if self.condition.comparison in ("<", ">=") else "left"
        below = np.searchsorted(others, values, side=side)
        if self.condition.comparison.startswith(">"):
            return Pairs(left, right, np.zeros_like(below), below)
        return Pairs(left, right, below, len(others) - below)

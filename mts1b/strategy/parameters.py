"""Parameters: the numbers of a strategy that are chosen for each run, with their bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mts1b.foundation.errors import InputError
from mts1b.strategy.expr import Number


@dataclass(frozen=True, slots=True)
class Param:
    """Bounds (both included) and default of a parameter. `kind` is "int" (whole numbers, may be windows) or "float"."""

    low: float
    high: float
    default: float
    kind: str

    def check(self, name: str, values: Any) -> NDArray[np.float64]:
        """The values as float64. InputError names the first that is out of bounds or not whole."""
        array = np.asarray(values, dtype=np.float64)
        wrong = ~((array >= self.low) & (array <= self.high))
        if bool(wrong.any()):
            bounds = f"{self.low:g} to {self.high:g}"
            raise InputError(
                name, float(array[wrong].flat[0]), f"out of range {bounds}", "choose values inside the range"
            )
        if self.kind == "int" and bool((array != np.rint(array)).any()):
            odd = array[array != np.rint(array)].flat[0]
            raise InputError(name, float(odd), "must be a whole number", "use an integer step")
        return array


def param(low: Number, high: Number, default: Number | None = None) -> Any:
    """A parameter between `low` and `high`, both included; whole-numbered when both bounds are ints.

    `default` (or `low`) is used where a single run names no value. Returns a Param; typed Any so that it can stand as
    the default of a strategy's argument.
    """
    kind = "int" if isinstance(low, int) and isinstance(high, int) else "float"
    chosen = low if default is None else default
    if not low <= chosen <= high:
        raise InputError("param", (low, high, default), "needs low <= default <= high", "order the bounds")
    return Param(float(low), float(high), float(chosen), kind)

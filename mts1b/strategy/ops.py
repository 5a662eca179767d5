"""The table of operations. Each is one plain scalar function, compiled as it stands for every use.

A number is a float64; a truth value is 1.0 or 0.0; NaN means "not known" (not warmed up, no bar) and passes through
every operation, so that a decision is never taken on half of the facts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from math import nan
from typing import Any

import numpy as np

from mts1b.quantkit.sizing import kelly_fraction, vol_target_weight


class Kind(StrEnum):
    """How an operation is evaluated."""

    CONST = "const"
    PARAM = "param"
    NAMES = "names"
    FIELD = "field"
    ELEMENT = "element"  # value of this bar and name from values of this bar and name
    SERIES = "series"  # has a memory of the name's own earlier bars; worth sharing between combinations
    PATH = "path"  # has a memory of a few numbers that follows from its own decisions
    CROSS = "cross"  # value of this bar and name from the values of all names at this bar

    @staticmethod
    def series_kinds() -> frozenset[Kind]:
        return frozenset((Kind.FIELD, Kind.SERIES, Kind.PATH, Kind.CROSS))


def no_bars(*_scalars: Any) -> int:
    return 0


@dataclass(frozen=True, slots=True)
class Op:
    """One operation. The first `inputs` arguments may be series; the `scalars` after them are fixed for a run.

    ELEMENT: function(*inputs) -> value.
    SERIES:  function(state, *inputs, *scalars) -> value; `state` is float64 [size(*scalars)], zero at the start.
    PATH:    function(*memory, *inputs, *scalars) -> (value, *memory); `memory` is `size()` floats, zero at the start.
    CROSS:   function(row, out, *scalars): both float64 [names]; NaN in `row` is a name that takes no part.
    `warm(*scalars)`: bars seen before the first value, beyond what the inputs need; accepts arrays.
    `truths`: the inputs are conditions, handed over as bools: true when known and not 0.
    `window`: the number of the scalar that is a window (a whole number of bars, at least `window_min`), or -1.
    """

    name: str
    kind: Kind
    function: Callable[..., Any] | None = None
    inputs: int = 0
    scalars: int = 0
    size: Callable[..., Any] = no_bars
    warm: Callable[..., Any] = no_bars
    window: int = -1
    window_min: int = 1
    symbol: str = ""
    helpers: tuple[Callable[..., Any], ...] = ()
    truths: bool = False


OPS: dict[str, Op] = {
    "const": Op("const", Kind.CONST),
    "param": Op("param", Kind.PARAM),
    "names": Op("names", Kind.NAMES),
    "field": Op("field", Kind.FIELD),
}


def register(op: Op) -> None:
    """Add an operation to the table. Its name must be new."""
    assert op.name not in OPS, op.name
    OPS[op.name] = op


def add(a: float, b: float) -> float:
    return a + b


def sub(a: float, b: float) -> float:
    return a - b


def mul(a: float, b: float) -> float:
    return a * b


def div(a: float, b: float) -> float:
    return a / b


def neg(a: float) -> float:
    return -a


def absolute(a: float) -> float:
    return abs(a)


def gt(a: float, b: float) -> float:
    return nan if a != a or b != b else (1.0 if a > b else 0.0)


def ge(a: float, b: float) -> float:
    return nan if a != a or b != b else (1.0 if a >= b else 0.0)


def lt(a: float, b: float) -> float:
    return nan if a != a or b != b else (1.0 if a < b else 0.0)


def le(a: float, b: float) -> float:
    return nan if a != a or b != b else (1.0 if a <= b else 0.0)


def both(a: float, b: float) -> float:
    return nan if a != a or b != b else (1.0 if a != 0.0 and b != 0.0 else 0.0)


def either(a: float, b: float) -> float:
    return nan if a != a or b != b else (1.0 if a != 0.0 or b != 0.0 else 0.0)


def negate(a: float) -> float:
    return nan if a != a else (1.0 if a == 0.0 else 0.0)


def where(condition: float, a: float, b: float) -> float:
    return nan if condition != condition else (a if condition != 0.0 else b)


def smaller(a: float, b: float) -> float:
    return nan if a != a or b != b else (a if a < b else b)


def larger(a: float, b: float) -> float:
    return nan if a != a or b != b else (a if a > b else b)


def clip(a: float, low: float, high: float) -> float:
    return nan if a != a else (low if a < low else (high if a > high else a))


def fill(a: float, b: float) -> float:
    """`a`, or `b` where `a` is not known."""
    return b if a != a else a


def sqrt(a: float) -> float:
    return math.sqrt(a) if a >= 0.0 else nan


def log(a: float) -> float:
    return math.log(a) if a > 0.0 else nan


def exp(a: float) -> float:
    return math.exp(a)


def is_true(a: float) -> bool:
    """Known and not 0."""
    return a == a and a != 0.0


def is_false(a: float) -> bool:
    """Known and 0."""
    return a == 0.0


def latch(on: float, entry: bool, exit: bool) -> tuple[float, float]:
    """1 from the bar on which `entry` holds until the bar on which `exit` does; exit wins when both hold.

    An unknown entry or exit is not one: the latch keeps its state.
    """
    if exit:
        on = 0.0
    elif entry:
        on = 1.0
    return on, on


def xs_place(row: Any, out: Any) -> None:
    """How many names have a larger value; equal values in the order of the names."""
    order = np.argsort(-row, kind="mergesort")
    for i in range(row.shape[0]):
        s = order[i]
        out[s] = float(i) if row[s] == row[s] else nan


def xs_rank(row: Any, out: Any) -> None:
    """Share of the other names with a smaller value, ties counted half: 0 the smallest, 1 the largest, 0.5 if alone."""
    order = np.argsort(row, kind="mergesort")
    count = 0
    while count < row.shape[0] and row[order[count]] == row[order[count]]:
        count += 1
    start = 0
    while start < count:
        stop = start + 1
        while stop < count and row[order[stop]] == row[order[start]]:
            stop += 1
        for i in range(start, stop):
            out[order[i]] = 0.5 * (start + stop - 1) / (count - 1) if count > 1 else 0.5
        start = stop
    for i in range(count, row.shape[0]):
        out[order[i]] = nan


def xs_demean(row: Any, out: Any) -> None:
    """The value less the mean over the names that have one."""
    total = 0.0
    count = 0.0
    for s in range(row.shape[0]):
        if row[s] == row[s]:
            total += row[s]
            count += 1.0
    for s in range(row.shape[0]):
        out[s] = row[s] - total / count if row[s] == row[s] else nan


def xs_zscore(row: Any, out: Any) -> None:
    """Distance from the mean over the names, in population standard deviations; 0 when all are equal."""
    total = 0.0
    count = 0.0
    for s in range(row.shape[0]):
        if row[s] == row[s]:
            total += row[s]
            count += 1.0
    mean = total / count if count > 0.0 else nan
    squares = 0.0
    for s in range(row.shape[0]):
        if row[s] == row[s]:
            squares += (row[s] - mean) * (row[s] - mean)
    deviation = math.sqrt(squares / count) if count > 0.0 else nan
    for s in range(row.shape[0]):
        if row[s] != row[s]:
            out[s] = nan
        else:
            out[s] = (row[s] - mean) / deviation if deviation > 0.0 else 0.0


for _function, _inputs, _symbol in (
    (add, 2, "+"),
    (sub, 2, "-"),
    (mul, 2, "*"),
    (div, 2, "/"),
    (neg, 1, ""),
    (absolute, 1, ""),
    (gt, 2, ">"),
    (ge, 2, ">="),
    (lt, 2, "<"),
    (le, 2, "<="),
    (both, 2, "&"),
    (either, 2, "|"),
    (negate, 1, ""),
    (where, 3, ""),
    (smaller, 2, ""),
    (larger, 2, ""),
    (clip, 3, ""),
    (fill, 2, ""),
    (sqrt, 1, ""),
    (log, 1, ""),
    (exp, 1, ""),
    (vol_target_weight, 3, ""),
    (kelly_fraction, 4, ""),
):
    register(Op(_function.__name__, Kind.ELEMENT, _function, inputs=_inputs, symbol=_symbol))

register(Op("latch", Kind.PATH, latch, inputs=2, size=lambda: 1, truths=True))
register(Op("xs_place", Kind.CROSS, xs_place, inputs=1))
register(Op("xs_rank", Kind.CROSS, xs_rank, inputs=1))
register(Op("xs_demean", Kind.CROSS, xs_demean, inputs=1))
register(Op("xs_zscore", Kind.CROSS, xs_zscore, inputs=1))

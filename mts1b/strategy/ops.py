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

from mts1b.quantkit.sizing import fixed_weight, kelly_fraction, vol_target_weight


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
    CROSS:   function(*rows, out): each float64 [names]; NaN in a row is a name that takes no part.
    `warm(*scalars)`: bars seen before the first value, beyond what the inputs need; accepts arrays.
    `truths`: the inputs are conditions, handed over as bools: true when known and not 0.
    `window`: the number of the scalar that is a window (a whole number of bars, at least `window_min`), or -1.
    `conditions`: numbers of the inputs that must be conditions. The value is a condition itself (1, 0 or not known)
    when `answers`, or when all inputs numbered in `passes` are.
    `positive`: numbers of the arguments that, where they are scalars, must be above 0.
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
    positive: tuple[int, ...] = ()
    conditions: tuple[int, ...] = ()
    answers: bool = False
    passes: tuple[int, ...] = ()


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


_function: Callable[..., Any]
for _function, _inputs in (
    (neg, 1),
    (absolute, 1),
    (clip, 3),
    (sqrt, 1),
    (log, 1),
    (exp, 1),
    (fixed_weight, 2),
    (vol_target_weight, 3),
    (kelly_fraction, 4),
):
    register(Op(_function.__name__, Kind.ELEMENT, _function, inputs=_inputs))
for _function, _symbol in ((add, "+"), (sub, "-"), (mul, "*"), (div, "/")):
    register(Op(_function.__name__, Kind.ELEMENT, _function, inputs=2, symbol=_symbol))
for _function, _symbol in ((gt, ">"), (ge, ">="), (lt, "<"), (le, "<=")):
    register(Op(_function.__name__, Kind.ELEMENT, _function, inputs=2, symbol=_symbol, answers=True))
for _function, _symbol in ((both, "&"), (either, "|")):
    register(Op(_function.__name__, Kind.ELEMENT, _function, 2, symbol=_symbol, conditions=(0, 1), answers=True))
for _function in (smaller, larger, fill):
    register(Op(_function.__name__, Kind.ELEMENT, _function, inputs=2, passes=(0, 1)))
register(Op("negate", Kind.ELEMENT, negate, inputs=1, conditions=(0,), answers=True))
register(Op("where", Kind.ELEMENT, where, inputs=3, conditions=(0,), passes=(1, 2)))

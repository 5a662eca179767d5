"""The values that one parameter of a grid takes, read from words: ranges, logarithmic ranges and lists."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

import numpy as np

from mts1b.foundation.errors import InputError
from mts1b.foundation.limits import AXIS_VALUES_MAX
from mts1b.strategy import Param

RANGE_FORM = "write start:stop:step (stop left out), start:stop:logN (N values, both ends) or values a,b,c"

LOG = "log"
"""Before the count of a logarithmic range."""

LOG_DIGITS = 9
"""Significant digits that values of a logarithmic range are rounded to: short to write, exact to read back."""


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


def read_axis(name: str, text: str, param: Param) -> Axis:
    """The axis of one parameter. InputError for what cannot be read, is empty, or leaves the parameter's bounds.

    Values of a logarithmic range are rounded for a whole-numbered parameter, and equal ones then count once.
    """
    field = f"grid.{name}"
    numbers = _read_values(field, text, whole=param.kind == "int")
    if len(set(numbers)) != len(numbers):
        raise InputError(field, text, "holds a value twice", "name each value once")
    for number in numbers:
        if not param.low <= float(number) <= param.high:
            raise InputError(
                field, text, f"{number} is out of range", f"use values from {param.low:g} to {param.high:g}"
            )
        if param.kind == "int" and number != number.to_integral_value():
            raise InputError(field, text, f"{number} is not a whole number", "use whole numbers")
    return Axis(name, tuple(sorted(float(number) for number in numbers)))


def _read_values(field: str, text: str, whole: bool) -> list[Decimal]:
    if ":" not in text:
        return [_number(field, text, part) for part in text.split(",")]
    parts = [part.strip() for part in text.split(":")]
    if len(parts) > 3:
        raise InputError(field, text, "too many parts", RANGE_FORM)
    if parts[-1].startswith(LOG):
        return _read_log_range(field, text, parts, whole)
    return _read_range(field, text, [_number(field, text, part) for part in parts])


def _read_range(field: str, text: str, parts: list[Decimal]) -> list[Decimal]:
    start, stop, step = (*parts, Decimal(1)) if len(parts) == 2 else parts
    if step <= 0:
        raise InputError(field, text, "the step must be positive", RANGE_FORM)
    count = math.ceil((stop - start) / step)
    if count < 1:
        raise InputError(field, text, "holds no value: start is not below stop", RANGE_FORM)
    _check_count(field, text, count, "widen the step")
    return [start + place * step for place in range(count)]


def _read_log_range(field: str, text: str, parts: list[str], whole: bool) -> list[Decimal]:
    digits = parts[-1].removeprefix(LOG)
    if len(parts) != 3 or not digits.isascii() or not digits.isdigit():
        raise InputError(field, text, "is no logarithmic range", RANGE_FORM)
    start, stop = (_number(field, text, part) for part in parts[:2])
    if not 0 < start < stop:
        raise InputError(field, text, "a logarithmic range begins above 0 and below its stop", RANGE_FORM)
    if int(digits) < 2:
        raise InputError(field, text, "a logarithmic range has both its ends", "ask for 2 values or more")
    _check_count(field, text, int(digits), "ask for fewer")
    spaced = np.geomspace(float(start), float(stop), int(digits))[1:-1].tolist()
    inside = [Decimal(f"{value:.0f}" if whole else f"{value:.{LOG_DIGITS}g}") for value in spaced]
    return list(dict.fromkeys([start, *inside, stop]))


def _check_count(field: str, text: str, count: int, remedy: str) -> None:
    if count > AXIS_VALUES_MAX:
        raise InputError(field, text, f"holds {count:,} values, over {AXIS_VALUES_MAX:,}", remedy)


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

"""What an expression must satisfy before it is run: windows are whole and long enough, fractions above 0.

Checked twice: over the bounds of the parameters when a strategy is defined, and for the very values of a run, since
arithmetic on parameters (`slow - fast`) may be right for some combinations and wrong for others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice, product
from typing import Any

import numpy as np

from mts1b.foundation.errors import InputError
from mts1b.strategy.expr import Node
from mts1b.strategy.ops import Kind
from mts1b.strategy.parameters import Param
from mts1b.strategy.scalars import scalar_value

CORNERS_MAX = 256
"""Corners of the bounds that a definition is tried at: every one for up to eight parameters in one window."""


def check_definition(root: Node, bounds: Mapping[str, Param]) -> None:
    """InputError, with the node named, when a window or a fraction cannot be right within the parameters' bounds.

    One that depends on one parameter must be right at both of its bounds; on several, at one corner at least: the
    values of each run are checked again.
    """
    for node in root.walk():
        for scalar, whole_min in _wanted(node):
            names = sorted(scalar.parameters)
            fractional = [key for key in names if bounds[key].kind != "int"]
            if whole_min is not None and fractional:
                problem = "a window needs a whole-numbered parameter"
                raise InputError(str(node), fractional[0], problem, "give int bounds")
            ends = islice(product(*((bounds[key].low, bounds[key].high) for key in names)), CORNERS_MAX)
            tried = [scalar_value(scalar, dict(zip(names, end, strict=True)), 1) for end in ends]
            wrong = [value for value in tried if not _right(value, whole_min)]
            if wrong and (len(names) < 2 or len(wrong) == len(tried)):
                raise _refusal(node, wrong[0], whole_min, "raise its bounds")


def check_scalars(root: Node, values: Mapping[str, Any]) -> None:
    """InputError, with the node and the combination named, unless every window and fraction is right for `values`.

    `values`: one number for each parameter, or an array [C] for each.
    """
    for node in root.walk():
        for scalar, whole_min in _wanted(node):
            if scalar.spec.kind in (Kind.CONST, Kind.PARAM, Kind.NAMES):
                continue  # the definition has looked at it
            found = np.atleast_1d(scalar_value(scalar, values, 1))
            wrong = np.array([not _right(value, whole_min) for value in found.tolist()])
            if wrong.any():
                first = int(np.argmax(wrong))
                of = {key: float(np.atleast_1d(values[key])[first]) for key in sorted(scalar.parameters)}
                said = ", ".join(f"{key}={value:g}" for key, value in of.items())
                raise _refusal(node, float(found[first]), whole_min, f"leave out {said}")


def _wanted(node: Node) -> Iterator[tuple[Node, int | None]]:
    """The scalars of a node that are bounded: a window with its fewest bars, or with None what must be above 0."""
    spec = node.spec
    if spec.window >= 0:
        yield node.args[spec.inputs + spec.window], spec.window_min
    for number in spec.positive:
        if not node.args[number].is_series:
            yield node.args[number], None


def _right(value: float, whole_min: int | None) -> bool:
    if whole_min is None:
        return 0.0 < value < np.inf
    return whole_min <= value < np.inf and value == int(value)


def _refusal(node: Node, value: float, whole_min: int | None, remedy: str) -> InputError:
    rule = "must be above 0" if whole_min is None else f"a window of whole bars, at least {whole_min}"
    return InputError(str(node), f"{value:g}", rule, remedy)

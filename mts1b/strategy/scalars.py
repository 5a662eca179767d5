"""Scalar expressions: what is known before the first bar (constants, parameters, arithmetic on them)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mts1b.strategy.expr import Node
from mts1b.strategy.ops import Kind


def scalar_value(node: Node, values: Mapping[str, Any], names: int) -> Any:
    """The scalar for these parameter values: a float, or an array when the values are arrays. `names` is S."""
    kind = node.spec.kind
    if kind is Kind.CONST:
        return node.value
    if kind is Kind.NAMES:
        return float(names)
    if kind is Kind.PARAM:
        value = values[str(node.value)]
        return value if isinstance(value, np.ndarray) else float(value)
    args = [scalar_value(arg, values, names) for arg in node.args]
    function = node.spec.function
    assert function is not None and kind is Kind.ELEMENT, node
    with np.errstate(all="ignore"):  # float64 divides by 0 as the kernels do, Python's float does not
        table = np.broadcast_arrays(*(np.asarray(arg, dtype=np.float64) for arg in args))
        found = np.array(
            [function(*row) for row in zip(*(column.ravel() for column in table), strict=True)], dtype=np.float64
        )
    return found.reshape(table[0].shape) if table[0].ndim else float(found[0])

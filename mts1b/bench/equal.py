"""Equal results are shown before anything is timed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mts1b.foundation.errors import InvariantBroken

Floats = NDArray[np.float64]

TOLERANCE = 1e-10
"""Relative and absolute: sums in another order."""


def require_equal(
    what: str, found: Mapping[str, Floats], wanted: Mapping[str, Floats], tolerance: float = TOLERANCE
) -> None:
    """InvariantBroken, naming the metric and the first place, unless every `wanted` one is `found` within tolerance."""
    for name, values in wanted.items():
        close = np.isclose(found[name], values, rtol=tolerance, atol=tolerance, equal_nan=True)
        if not bool(np.all(close)):
            place = tuple(int(i) for i in np.argwhere(~np.atleast_1d(close))[0])
            pair = (float(np.atleast_1d(found[name])[place]), float(np.atleast_1d(values)[place]))
            raise InvariantBroken(name, pair, f"{what} at {place}")

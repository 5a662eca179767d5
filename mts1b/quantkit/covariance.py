"""Covariance of returns, as risk reads it. Readable numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def sample_covariance(closes: Floats) -> Floats:
    """Covariance [S, S] of simple bar-to-bar returns of `closes` [T, S], ddof 1, not annualised.

    A name that is missing a bar counts as unchanged over it (its return is 0), which understates its variance a
    little and keeps the matrix positive semi-definite. Fewer than three bars give zeros.
    """
    names = closes.shape[1]
    if len(closes) < 3:
        return np.zeros((names, names))
    returns = np.nan_to_num(closes[1:] / closes[:-1] - 1.0, nan=0.0, posinf=0.0, neginf=0.0)
    centred = returns - returns.mean(axis=0)
    return np.ascontiguousarray(centred.T @ centred / (len(returns) - 1))

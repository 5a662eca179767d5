"""Metrics of return series, lane by lane: the compiled twin of `mts1b.quantkit.metrics`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mts1b.quantkit.metrics import BARS_PER_YEAR, SPREAD_MIN

SUMMARY_ROWS = 7
"""Rows of a summary, in the order of `evaluation.RETURN_METRICS`."""


def summarise(returns: Any, start: int, stop: int, bars_per_year: float, spread_min: float, out: Any) -> None:
    """Fill `out` [7, lanes] with the metrics of rows start <= t < stop of `returns` [T, lanes].

    total return, CAGR, volatility, Sharpe, max drawdown, skewness, kurtosis. Two passes: mean and equity, then moments
    about the mean.
    """
    lanes = returns.shape[1]
    count = stop - start
    worth = np.ones(lanes)
    peak = np.ones(lanes)
    deepest = np.zeros(lanes)
    mean = np.zeros(lanes)
    for t in range(start, stop):
        row = returns[t]
        for l in range(lanes):
            worth[l] *= 1.0 + row[l]
            peak[l] = worth[l] if worth[l] > peak[l] else peak[l]
            fall = worth[l] / peak[l] - 1.0
            deepest[l] = fall if fall < deepest[l] else deepest[l]
            mean[l] += row[l]
    second = np.zeros(lanes)
    third = np.zeros(lanes)
    fourth = np.zeros(lanes)
    for l in range(lanes):
        mean[l] /= count
    for t in range(start, stop):
        row = returns[t]
        for l in range(lanes):
            x = row[l] - mean[l]
            square = x * x
            second[l] += square
            third[l] += square * x
            fourth[l] += square * square
    for l in range(lanes):
        spread = math.sqrt(second[l] / max(count - 1, 1))
        scale = math.sqrt(second[l] / count)
        spread = 0.0 if spread < spread_min else spread
        scale = 0.0 if scale < spread_min else scale
        out[0, l] = worth[l] - 1.0
        out[1, l] = max(worth[l], 0.0) ** (bars_per_year / count) - 1.0
        out[2, l] = spread * math.sqrt(bars_per_year)
        out[3, l] = mean[l] / spread * math.sqrt(bars_per_year) if spread > 0.0 else 0.0
        out[4, l] = deepest[l]
        out[5, l] = third[l] / count / (scale * scale * scale) if scale > 0.0 else 0.0
        out[6, l] = fourth[l] / count / (scale * scale * scale * scale) if scale > 0.0 else 0.0


__all__ = ["BARS_PER_YEAR", "SPREAD_MIN", "SUMMARY_ROWS", "summarise"]

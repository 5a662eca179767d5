"""Metrics of return series, lane by lane: the compiled twin of `mts1b.quantkit.metrics`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mts1b.quantkit.metrics import BARS_PER_YEAR, SPREAD_MIN

SUMMARY_ROWS = 10
"""Rows of a summary, in the order of `evaluation.RETURN_METRICS`."""


def summarise(returns: Any, start: int, stop: int, bars_per_year: float, spread_min: float, out: Any) -> None:
    """Fill `out` [10, lanes] with the metrics of rows start <= t < stop of `returns` [T, lanes].

    total return, CAGR, volatility, Sharpe, Sortino, Calmar, max drawdown, bars of the longest, skewness, kurtosis. Two
    passes: mean and equity, then moments about the mean.
    """
    lanes = returns.shape[1]
    count = stop - start
    worth, peak = np.ones(lanes), np.ones(lanes)
    deepest = np.zeros(lanes)
    mean = np.zeros(lanes)
    under, longest = np.zeros(lanes), np.zeros(lanes)
    for t in range(start, stop):
        row = returns[t]
        for l in range(lanes):
            worth[l] *= 1.0 + row[l]
            peak[l] = worth[l] if worth[l] > peak[l] else peak[l]
            under[l] = under[l] + 1.0 if worth[l] < peak[l] * (1.0 - spread_min) else 0.0
            longest[l] = under[l] if under[l] > longest[l] else longest[l]
            fall = worth[l] / peak[l] - 1.0
            deepest[l] = fall if fall < deepest[l] else deepest[l]
            mean[l] += row[l]
    second = np.zeros(lanes)
    third = np.zeros(lanes)
    fourth = np.zeros(lanes)
    below = np.zeros(lanes)
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
            below[l] += row[l] * row[l] if row[l] < 0.0 else 0.0
    for l in range(lanes):
        spread = math.sqrt(second[l] / max(count - 1, 1))
        scale = math.sqrt(second[l] / count)
        spread = 0.0 if spread < spread_min else spread
        scale = 0.0 if scale < spread_min else scale
        fall = 0.0 if deepest[l] > -spread_min else max(deepest[l], -1.0)
        grown = max(worth[l], 0.0) ** (bars_per_year / count) - 1.0
        downside = math.sqrt(below[l] / count)
        downside = 0.0 if downside < spread_min else downside * math.sqrt(bars_per_year)
        out[0, l] = worth[l] - 1.0
        out[1, l] = grown
        out[2, l] = spread * math.sqrt(bars_per_year)
        out[3, l] = mean[l] / spread * math.sqrt(bars_per_year) if spread > 0.0 else 0.0
        out[4, l] = mean[l] * bars_per_year / downside if downside > 0.0 else 0.0
        out[5, l] = grown / -fall if fall < 0.0 else 0.0
        out[6, l] = fall
        out[7, l] = longest[l]
        out[8, l] = third[l] / count / (scale * scale * scale) if scale > 0.0 else 0.0
        out[9, l] = fourth[l] / count / (scale * scale * scale * scale) if scale > 0.0 else 0.0


def summarise_blocks(returns: Any, edges: Any, out: Any) -> None:
    """Fill `out` [7, K, lanes] with the rows of `mts1b.quantkit.blocks` of the K blocks of `returns` [T, lanes]."""
    lanes = returns.shape[1]
    for k in range(edges.shape[0] - 1):
        out[:, k] = 0.0
        total, squares, below, worth = out[0, k], out[1, k], out[2, k], out[3, k]
        highest, lowest, deepest = out[4, k], out[5, k], out[6, k]
        for l in range(lanes):
            worth[l] = 1.0
            highest[l] = 1.0
            lowest[l] = np.inf
        for t in range(edges[k], edges[k + 1]):
            row = returns[t]
            for l in range(lanes):
                total[l] += row[l]
                below[l] += row[l] * row[l] if row[l] < 0.0 else 0.0
                worth[l] *= 1.0 + row[l]
                highest[l] = worth[l] if worth[l] > highest[l] else highest[l]
                lowest[l] = worth[l] if worth[l] < lowest[l] else lowest[l]
                fall = worth[l] / highest[l] - 1.0
                deepest[l] = fall if fall < deepest[l] else deepest[l]
        mean = total / (edges[k + 1] - edges[k])
        for t in range(edges[k], edges[k + 1]):
            row = returns[t]
            for l in range(lanes):
                x = row[l] - mean[l]
                squares[l] += x * x


__all__ = ["BARS_PER_YEAR", "SPREAD_MIN", "SUMMARY_ROWS", "summarise", "summarise_blocks"]

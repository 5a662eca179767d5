"""What a GPU makes of the returns: groups of names added up, metrics, sums by block; a thread for each number or lane.

The formulas are those of `mts1b.backtester.summary`, lane by lane; a test holds them equal to `mts1b.quantkit.metrics`.
Arrays have the combinations, L, fastest.
"""

from __future__ import annotations

import math
from typing import Any

from numba import cuda

from mts1b.backtester.gpu_jit import kernel

Types = list[tuple[str, int]]


@kernel
def add_up(parts: Any, fresh: bool, out: Any) -> None:
    """Add parts [G, N, L] to `out` [N, L] in the order of the groups; begin from 0 when `fresh`."""
    i = cuda.grid(1)
    if i >= out.shape[0] * out.shape[1]:
        return
    n = i // out.shape[1]
    c = i % out.shape[1]
    total = 0.0 if fresh else out[n, c]
    for g in range(parts.shape[0]):
        total += parts[g, n, c]
    out[n, c] = total


@kernel
def join_trades(parts: Any, fresh: bool, out: Any) -> None:
    """Join parts [8, G, K, L] of TRADE_SUMS into `out` [8, K, L]: six sums, the highest and the lowest."""
    i = cuda.grid(1)
    segments = out.shape[1]
    lanes = out.shape[2]
    if i >= 8 * segments * lanes:
        return
    row = i // (segments * lanes)
    k = i // lanes % segments
    c = i % lanes
    begin = 0.0
    if row == 6:
        begin = -math.inf
    elif row == 7:
        begin = math.inf
    joined = begin if fresh else out[row, k, c]
    for g in range(parts.shape[1]):
        value = parts[row, g, k, c]
        if row < 6:
            joined += value
        elif row == 6:
            joined = max(joined, value)
        else:
            joined = min(joined, value)
    out[row, k, c] = joined


@kernel
def share(returns: Any, names: float) -> None:
    """Returns [T, L] summed over names as those of the portfolio, in equal shares."""
    i = cuda.grid(1)
    if i < returns.shape[0] * returns.shape[1]:
        returns[i // returns.shape[1], i % returns.shape[1]] /= names


@kernel
def summarise(returns: Any, periods: Any, bars_per_year: float, spread_min: float, out: Any) -> None:
    """Fill `out` [10, P, L] with the return metrics of rows periods[p, 0] <= t < periods[p, 1] of `returns` [T, L]."""
    i = cuda.grid(1)
    lanes = returns.shape[1]
    if i >= periods.shape[0] * lanes:
        return
    p = i // lanes
    c = i % lanes
    start = periods[p, 0]
    stop = periods[p, 1]
    count = stop - start
    worth = peak = 1.0
    deepest = total = under = longest = 0.0
    for t in range(start, stop):
        x = returns[t, c]
        worth *= 1.0 + x
        peak = worth if worth > peak else peak
        under = under + 1.0 if worth < peak * (1.0 - spread_min) else 0.0
        longest = under if under > longest else longest
        fall = worth / peak - 1.0
        deepest = fall if fall < deepest else deepest
        total += x
    mean = total / count
    second = third = fourth = below = 0.0
    for t in range(start, stop):
        x = returns[t, c]
        square = (x - mean) * (x - mean)
        second += square
        third += square * (x - mean)
        fourth += square * square
        below += x * x if x < 0.0 else 0.0
    spread = math.sqrt(second / max(count - 1, 1))
    scale = math.sqrt(second / count)
    spread = 0.0 if spread < spread_min else spread
    scale = 0.0 if scale < spread_min else scale
    fall = 0.0 if deepest > -spread_min else max(deepest, -1.0)
    grown = max(worth, 0.0) ** (bars_per_year / count) - 1.0
    downside = math.sqrt(below / count)
    downside = 0.0 if downside < spread_min else downside * math.sqrt(bars_per_year)
    out[0, p, c] = worth - 1.0
    out[1, p, c] = grown
    out[2, p, c] = spread * math.sqrt(bars_per_year)
    out[3, p, c] = mean / spread * math.sqrt(bars_per_year) if spread > 0.0 else 0.0
    out[4, p, c] = mean * bars_per_year / downside if downside > 0.0 else 0.0
    out[5, p, c] = grown / -fall if fall < 0.0 else 0.0
    out[6, p, c] = fall
    out[7, p, c] = longest
    out[8, p, c] = third / count / (scale * scale * scale) if scale > 0.0 else 0.0
    out[9, p, c] = fourth / count / (scale * scale * scale * scale) if scale > 0.0 else 0.0


@kernel
def summarise_blocks(returns: Any, edges: Any, out: Any) -> None:
    """Fill `out` [7, K, L] with the rows of `mts1b.quantkit.blocks` of the K blocks of `returns` [T, L]."""
    i = cuda.grid(1)
    lanes = returns.shape[1]
    if i >= (edges.shape[0] - 1) * lanes:
        return
    k = i // lanes
    c = i % lanes
    total = 0.0
    below = 0.0
    worth = 1.0
    highest = 1.0
    lowest = math.inf
    deepest = 0.0
    for t in range(edges[k], edges[k + 1]):
        x = returns[t, c]
        total += x
        below += x * x if x < 0.0 else 0.0
        worth *= 1.0 + x
        highest = worth if worth > highest else highest
        lowest = worth if worth < lowest else lowest
        fall = worth / highest - 1.0
        deepest = fall if fall < deepest else deepest
    mean = total / (edges[k + 1] - edges[k])
    squares = 0.0
    for t in range(edges[k], edges[k + 1]):
        x = returns[t, c] - mean
        squares += x * x
    out[0, k, c] = total
    out[1, k, c] = squares
    out[2, k, c] = below
    out[3, k, c] = worth
    out[4, k, c] = highest
    out[5, k, c] = lowest
    out[6, k, c] = deepest


SHARED: dict[str, tuple[Any, Types]] = {
    "add_up": (add_up, [("float64", 3), ("boolean", 0), ("float64", 2)]),
    "join_trades": (join_trades, [("float64", 4), ("boolean", 0), ("float64", 3)]),
    "share": (share, [("float64", 2), ("float64", 0)]),
    "summarise": (summarise, [("float64", 2), ("int64", 2), ("float64", 0), ("float64", 0), ("float64", 3)]),
    "summarise_blocks": (summarise_blocks, [("float64", 2), ("int64", 1), ("float64", 3)]),
}
"""The kernels that every strategy uses, with the types of their arguments."""

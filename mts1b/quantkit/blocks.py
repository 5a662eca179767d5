"""Returns summed up block by block, so that any union of blocks is judged without a second look at its bars.

A block is a run of bars between two edges. Its row of numbers is [BLOCK_ROWS] long, and the rows of consecutive blocks
merge into the metrics of all their bars joined: sums add, squared distances shift to the joint mean (Chan, Golub and
LeVeque 1979), worths multiply, and the deepest fall is the deepest inside a block or from an earlier high to a block's
low. One pass over the bars serves every fold of a cross-validation. The formulas are those of `mts1b.quantkit.metrics`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mts1b.quantkit.metrics import BARS_PER_YEAR, SPREAD_MIN, ratio

Floats = NDArray[np.float64]

BLOCK_ROWS = ("sum", "squares", "downside", "worth", "highest", "lowest", "deepest")
"""Of one block's returns r: their sum; squared distances from their mean, summed; squares of the negative ones, summed;
worth of 1.0 invested at its start at its end, at its highest (at least 1) and its lowest; its deepest drawdown."""

MERGED = ("total_return", "cagr", "volatility", "sharpe", "sortino", "calmar", "max_drawdown")
"""What `merge` gives."""


def block_rows(returns: Floats, edges: Sequence[int]) -> Floats:
    """The rows [len(BLOCK_ROWS), K, ...] of the K blocks of `returns` [..., T] between consecutive `edges`."""
    return np.stack([_row(returns[..., a:b]) for a, b in zip(edges[:-1], edges[1:], strict=True)], axis=1)


def _row(returns: Floats) -> Floats:
    worth = np.cumprod(1.0 + returns, axis=-1)
    mean = returns.mean(axis=-1)[..., None]
    peak = np.maximum(np.maximum.accumulate(worth, axis=-1), 1.0)
    return np.stack(
        [
            returns.sum(axis=-1),
            ((returns - mean) ** 2).sum(axis=-1),
            (np.minimum(returns, 0.0) ** 2).sum(axis=-1),
            worth[..., -1],
            peak[..., -1],
            worth.min(axis=-1),
            (worth / peak - 1.0).min(axis=-1, initial=0.0),
        ]
    )


def moments(rows: Floats, bars: NDArray[np.int64], chosen: Sequence[int]) -> tuple[int, Floats, Floats]:
    """Count, sum and squared distances from the joint mean of the returns of the `chosen` blocks.

    `rows` [at least 2, K, ...] begins with the sums and squares of K blocks of `bars` [K] bars.
    """
    places = list(chosen)
    counts = bars[places].reshape(-1, *(1,) * (rows.ndim - 2))
    sums, squares = rows[0, places], rows[1, places]
    count, total = int(counts.sum()), sums.sum(axis=0)
    return count, total, (squares + counts * (sums / counts - total / count) ** 2).sum(axis=0)


def merge(rows: Floats, bars: NDArray[np.int64], chosen: Sequence[int]) -> dict[str, Floats]:
    """The metrics `MERGED` of the bars of the `chosen` blocks, joined in that order.

    `rows` [len(BLOCK_ROWS), K, ...] as of `block_rows`, of blocks of `bars` [K] bars. Each result drops the axes of
    rows and blocks.
    """
    count, total, squares = moments(rows, bars, chosen)
    spread = np.sqrt(squares / max(count - 1, 1))
    spread = np.where(spread < SPREAD_MIN, 0.0, spread)
    mean = total / count
    downside = np.sqrt(rows[2, list(chosen)].sum(axis=0) / count)
    downside = np.where(downside < SPREAD_MIN, 0.0, downside) * np.sqrt(BARS_PER_YEAR)
    worth, deepest = _compounded(rows, chosen)
    grown = np.power(np.maximum(worth, 0.0), BARS_PER_YEAR / count) - 1.0
    return {
        "total_return": worth - 1.0,
        "cagr": grown,
        "volatility": spread * np.sqrt(BARS_PER_YEAR),
        "sharpe": ratio(mean, spread) * np.sqrt(BARS_PER_YEAR),
        "sortino": ratio(mean * BARS_PER_YEAR, downside),
        "calmar": ratio(grown, -deepest),
        "max_drawdown": deepest,
    }


def _compounded(rows: Floats, chosen: Sequence[int]) -> tuple[Floats, Floats]:
    """Worth at the end and deepest drawdown of blocks one after the other."""
    worth = np.ones(rows.shape[2:])
    peak, deepest = np.ones(rows.shape[2:]), np.zeros(rows.shape[2:])
    for k in chosen:
        _, _, _, grown, highest, lowest, fall = rows[: len(BLOCK_ROWS), k]
        deepest = np.minimum(deepest, np.minimum(fall, worth * lowest / peak - 1.0))
        peak = np.maximum(peak, worth * highest)
        worth = worth * grown
    return worth, np.where(deepest > -SPREAD_MIN, 0.0, np.maximum(deepest, -1.0))

"""Results of an evaluation: metrics by name, one number for each combination (and period)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mts1b.foundation.errors import InputError
from mts1b.quantkit.blocks import BLOCK_ROWS, merge
from mts1b.quantkit.metrics import BARS_PER_YEAR

Floats = NDArray[np.float64]
Periods = Sequence[tuple[int, int]]

METRICS = (
    "total_return",
    "cagr",
    "volatility",
    "sharpe",
    "sortino",
    "calmar",
    "max_drawdown",
    "max_drawdown_bars",
    "skew",
    "kurtosis",
    "turnover",
    "trades",
    "exposure",
    "costs",
)
"""Names of all metrics, in the order of result tables. The first ten are those of `mts1b.quantkit.metrics`.

turnover   notional traded, both ways, as a multiple of NAV a year of 252 bars
trades     changes of a name's target (entries, exits, resizings), restoring drift not counted
exposure   mean over bars of the sum of absolute weights, 1.0 = fully invested
costs      sum of costs paid, as a fraction of NAV
"""

RETURN_METRICS = METRICS[:10]

BLOCK_FIELDS = (*BLOCK_ROWS, "traded", "changed", "gross")
"""Rows of `Evaluation.blocks`: those of `mts1b.quantkit.blocks`, then a block's sums of notional traded (a multiple of
NAV), of changes of targets and of gross weight. Of exact books one more: costs paid, as a fraction of NAV."""

NAME_METRICS = ("total_return", "sharpe", "trades", "entries")
"""Rows of `Evaluation.by_name`: each sleeve's own total return and Sharpe ratio (`mts1b.quantkit.metrics`), changes of
its target, and positions opened, one still held included."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`metrics[name]` is float64 [C], or [P, C] when periods were given. `returns` is [C, T], when asked for.

    `blocks` [len(BLOCK_FIELDS), K, C]: sums over the K blocks between the `edges` asked for, which `merged` joins.
    `trades` [len(TRADE_SUMS), K, C]: sums of the trades that ended in each block, when asked for.
    `by_name` [len(NAME_METRICS), C, S]: of each name's sleeve over the whole history, when asked for.
    """

    metrics: Mapping[str, Floats]
    returns: Floats | None = None
    blocks: Floats | None = None
    trades: Floats | None = None
    by_name: Floats | None = None

    @property
    def combinations(self) -> int:
        return int(self.metrics["sharpe"].shape[-1])


def merged(blocks: Floats, bars: NDArray[np.int64], chosen: Sequence[int], cost: float) -> dict[str, Floats]:
    """Metrics [C] of the `chosen` blocks joined: those of `mts1b.quantkit.blocks.merge`, and what trading did in them.

    `blocks` as of `Evaluation`, `bars` [K] the bars of each; `cost` of a trade as a fraction of its notional, where the
    blocks do not say what was paid.
    """
    traded, changed, gross, *paid = blocks[len(BLOCK_ROWS) :, list(chosen)].sum(axis=1)
    count = int(bars[list(chosen)].sum())
    return merge(blocks, bars, chosen) | {
        "turnover": traded / count * BARS_PER_YEAR,
        "trades": changed,
        "exposure": gross / count,
        "costs": paid[0] if paid else traded * cost,
    }


def check_edges(edges: Sequence[int] | None, bars: int) -> NDArray[np.int64] | None:
    """Edges of blocks: bar numbers that strictly increase, from 0 to `bars` at most."""
    if edges is None:
        return None
    chosen = np.asarray(edges, dtype=np.int64)
    if len(chosen) < 2 or chosen[0] < 0 or chosen[-1] > bars or not bool(np.all(np.diff(chosen) > 0)):
        raise InputError("edges", tuple(edges), f"must strictly increase within 0 to {bars}", "give block edges")
    return chosen


def check_finite(strategy: str, columns: Mapping[str, Floats], finite: NDArray[np.bool_]) -> None:
    """InputError, naming the first combination, unless `finite` [C] holds for all of them."""
    if not bool(finite.all()):
        first = int(np.argmin(finite))
        values = {name: float(column[first]) for name, column in columns.items()}
        raise InputError(strategy, values, "gives weights that are not finite", "guard the division, or clip()")


def check_periods(periods: Periods | None, bars: int) -> list[tuple[int, int]]:
    """Row ranges start <= t < stop inside the history; the whole of it when none are given."""
    chosen = [(0, bars)] if periods is None else [(int(start), int(stop)) for start, stop in periods]
    for start, stop in chosen:
        if not 0 <= start < stop <= bars:
            raise InputError(
                "periods", (start, stop), f"must satisfy 0 <= start < stop <= {bars}", "cut it to the history"
            )
    if not chosen:
        raise InputError("periods", periods, "is empty", "give at least one (start, stop)")
    return chosen

"""Results of an evaluation: metrics by name, one number for each combination (and period)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mts1b.foundation.errors import InputError

Floats = NDArray[np.float64]
Periods = Sequence[tuple[int, int]]

METRICS = (
    "total_return",
    "cagr",
    "volatility",
    "sharpe",
    "max_drawdown",
    "skew",
    "kurtosis",
    "turnover",
    "trades",
    "exposure",
    "costs",
)
"""Names of all metrics, in the order of result tables. The first seven are those of `mts1b.quantkit.metrics`.

turnover   notional traded, both ways, as a multiple of NAV a year of 252 bars
trades     changes of a name's target (entries, exits, resizings), restoring drift not counted
exposure   mean over bars of the sum of absolute weights, 1.0 = fully invested
costs      sum of costs paid, as a fraction of NAV
"""

RETURN_METRICS = METRICS[:7]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`metrics[name]` is float64 [C], or [P, C] when periods were given. `returns` is [C, T], when asked for."""

    metrics: Mapping[str, Floats]
    returns: Floats | None = None

    @property
    def combinations(self) -> int:
        return int(self.metrics["sharpe"].shape[-1])


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

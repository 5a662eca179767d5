"""What a sweep found, as plain data."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mts1b.research.accounting import Accounting

TOP_CURVES = "top_curves.parquet"
"""File beside a sweep's table: `ts_ns`, and the worth of 1.0 after each bar of the best rows, `rank1`, `rank2`, ..."""


@dataclass(frozen=True, slots=True)
class FoldResult:
    """One fold: dates (first and last session, ISO), the parameters its train bars chose, what came of them.

    `train_dates` enclose all bars of the train, `tests` are the spans that were judged. `train` and `test` hold metrics
    of the chosen parameters: sharpe (annual), total_return, max_drawdown; of `test` more where there are few folds.
    """

    train_dates: tuple[str, str]
    tests: tuple[tuple[str, str], ...]
    params: dict[str, float]
    train: dict[str, float]
    test: dict[str, float]

    @property
    def test_dates(self) -> tuple[str, str]:
        """First and last session that was judged."""
        return self.tests[0][0], self.tests[-1][1]


@dataclass(frozen=True, slots=True)
class PathResult:
    """One path through the tests, every judged bar once. `folds`: the fold that each stretch of it was taken from."""

    folds: tuple[int, ...]
    sharpe: float
    total_return: float
    max_drawdown: float


@dataclass(frozen=True, slots=True)
class WalkForwardSummary:
    """Out-of-sample results: each fold, and the tests joined into paths.

    There is one path, several in the combinatorial scheme. The other figures are of equal money in every path, restored
    at each bar: with one path, its own. `probabilistic_sharpe` is the probability that the true out-of-sample Sharpe
    ratio is above 0. `ts_ns` [N] and `returns` [N] are that series; they are left out of `to_dict`.
    """

    folds: tuple[FoldResult, ...]
    paths: tuple[PathResult, ...]
    sharpe: float
    total_return: float
    max_drawdown: float
    probabilistic_sharpe: float
    ts_ns: NDArray[np.int64] = field(repr=False, compare=False)
    returns: NDArray[np.float64] = field(repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "folds": [asdict(fold) | {"test_dates": fold.test_dates} for fold in self.folds],
            "paths": [asdict(path) for path in self.paths],
            "sharpe": self.sharpe,
            "total_return": self.total_return,
            "max_drawdown": self.max_drawdown,
            "probabilistic_sharpe": self.probabilistic_sharpe,
        }


@dataclass(frozen=True, slots=True)
class SweepSummary:
    """The result of a sweep. Sharpe ratios are annual.

    `trials` counts the combinations that have a Sharpe ratio; `deflated_sharpe` is the probability that the best is
    better than the luck of that many trials, taken as independent (they are not: it errs on the careful side);
    `sharpe_by_luck` is the best Sharpe ratio that as many worthless trials would show. `top` holds rows of the table,
    best first. `table` is the result table as a pattern of Parquet files. Times and chunk counts differ from run to
    run; all else is the same for the same sweep. `accounting` says more on luck, with an estimate of the number of
    independent trials; `warnings` what is wrong with the data. The best rows' equity curves are in TOP_CURVES.
    """

    key: str
    strategy: str
    grid: str
    bars: int
    symbols: int
    trials: int
    best: dict[str, float]
    sharpe: float
    deflated_sharpe: float
    sharpe_by_luck: float
    sharpe_mean: float
    sharpe_deviation: float
    top: tuple[dict[str, Any], ...]
    chunks_computed: int
    chunks_skipped: int
    seconds: float
    table: str
    folder: str
    data_version: str
    code_version: str
    accounting: Accounting
    warnings: tuple[str, ...] = ()
    backend: str = "cpu"
    walk_forward: WalkForwardSummary | None = None

    RUN_FIELDS = ("chunks_computed", "chunks_skipped", "seconds", "bar_steps_per_s")

    @property
    def swept(self) -> tuple[str, ...]:
        """The parameters that the grid gives more than one value."""
        ranges = dict(term.split("=", 1) for term in self.grid.split(" where ")[0].split(" sampled ")[0].split())
        return tuple(name for name in self.best if set(ranges.get(name, "")) & set(":,"))

    @property
    def bar_steps(self) -> int:
        """Bars x names x combinations."""
        return self.bars * self.symbols * self.trials

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready. The keys of RUN_FIELDS alone differ between runs of the same sweep."""
        content = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "walk_forward"}
        content["top"], content["warnings"] = list(self.top), list(self.warnings)
        content["accounting"] = asdict(self.accounting)
        content["bar_steps"] = self.bar_steps
        content["bar_steps_per_s"] = self.bar_steps / self.seconds if self.seconds and not self.chunks_skipped else None
        content["walk_forward"] = None if self.walk_forward is None else self.walk_forward.to_dict()
        return content

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=1)

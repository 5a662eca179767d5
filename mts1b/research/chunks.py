"""One chunk of a sweep: from its place in the grid to its rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mts1b.backtester import Evaluation, evaluate
from mts1b.research.plan import Chunk, SweepSpec
from mts1b.strategy.panel import Panel

FOLD_METRICS = ("sharpe", "total_return", "max_drawdown")
"""What is kept of each fold's train and test window."""


@dataclass(frozen=True, slots=True)
class SweepWork:
    """What every chunk of a sweep needs; handed to each worker once."""

    spec: SweepSpec
    panel: Panel


def fold_column(fold: int, window: str, metric: str) -> str:
    """Name of a fold's column, `fold0_train_sharpe`. `window` is "train" or "test"."""
    return f"fold{fold}_{window}_{metric}"


def evaluate_chunk(work: SweepWork, chunk: Chunk) -> pl.DataFrame:
    """The rows of a chunk: `combination` (its number), the parameters, the metrics of the whole range, of each fold."""
    spec, panel = work.spec, work.panel
    numbers = spec.grid.numbers(chunk.start, chunk.stop)
    combos = spec.grid.combinations(numbers)
    found = evaluate(
        spec.strategy,
        combos,
        panel,
        spec.execution,
        backend=spec.backend,
        periods=spec.periods(len(panel.ts_ns)) if spec.folds else None,
    )
    columns: dict[str, NDArray[np.float64] | NDArray[np.int64]] = {"combination": numbers}
    for name, values in combos.items():
        columns[name] = values.astype(np.int64) if spec.strategy.params[name].kind == "int" else values
    return pl.DataFrame({**columns, **_metric_columns(spec, found)})


def _metric_columns(spec: SweepSpec, found: Evaluation) -> dict[str, NDArray[np.float64]]:
    if not spec.folds:
        return dict(found.metrics)
    columns = {name: values[0] for name, values in found.metrics.items()}
    for fold in range(len(spec.folds)):
        for place, window in enumerate(("train", "test")):
            for name in FOLD_METRICS:
                columns[fold_column(fold, window, name)] = found.metrics[name][1 + 2 * fold + place]
    return columns

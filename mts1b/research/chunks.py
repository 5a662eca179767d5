"""One chunk of a sweep: from its place in the grid to its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mts1b.backtester import Evaluation, evaluate, merged
from mts1b.quantkit.blocks import MERGED, moments
from mts1b.quantkit.trades import merge_trades, trade_statistics
from mts1b.research.folds import Cuts
from mts1b.research.plan import Chunk, SweepSpec
from mts1b.strategy.panel import Panel

Floats = NDArray[np.float64]

FOLD_METRICS = ("sharpe", "total_return", "max_drawdown")
"""What is kept of each fold's train window, and of its test when there are many folds."""

TEST_METRICS = (*MERGED, "turnover", "trades", "exposure", "costs")
"""What is kept of each fold's test, of up to FOLDS_IN_FULL_MAX folds."""

TEST_TRADE_METRICS = ("closed_trades", "win_rate", "profit_factor")
"""What `full` adds to it."""

FOLDS_IN_FULL_MAX = 50

BLOCKS = "blocks"
"""Column of the sums by block that CSCV is made from: float32, sums of returns, then squares about the block's mean."""


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
    cuts = spec.cuts(len(panel.ts_ns))
    full = spec.metrics == "full"
    found = evaluate(spec.strategy, combos, panel, spec.execution, backend=spec.backend, edges=cuts.edges, trades=full)
    columns: dict[str, Floats | NDArray[np.int64]] = {"combination": numbers}
    for name, values in combos.items():
        columns[name] = values.astype(np.int64) if spec.strategy.params[name].kind == "int" else values
    columns.update(found.metrics)
    if full and found.trades is not None:
        columns.update(trade_statistics(merge_trades(found.trades)))
    columns.update(_fold_columns(spec, found, cuts))
    return pl.DataFrame({**columns, **_block_column(spec, found, cuts)})


def _fold_columns(spec: SweepSpec, found: Evaluation, cuts: Cuts) -> dict[str, Floats]:
    """Metrics of each fold's train and test, from the sums of their blocks."""
    assert found.blocks is not None  # asked for
    columns: dict[str, Floats] = {}
    bars, cost = cuts.bars, spec.execution.cost
    kept = TEST_METRICS if len(spec.folds) <= FOLDS_IN_FULL_MAX else FOLD_METRICS
    for number, fold in enumerate(spec.folds):
        tested = cuts.inside(fold.test)
        train = merged(found.blocks, bars, cuts.inside(fold.train), cost)
        test: Mapping[str, Floats] = merged(found.blocks, bars, tested, cost)
        columns |= {fold_column(number, "train", name): train[name] for name in FOLD_METRICS}
        columns |= {fold_column(number, "test", name): test[name] for name in kept}
        if found.trades is not None and kept is TEST_METRICS:
            ended = trade_statistics(merge_trades(found.trades[:, tested]))
            columns |= {fold_column(number, "test", name): ended[name] for name in TEST_TRADE_METRICS}
    return columns


def _block_column(spec: SweepSpec, found: Evaluation, cuts: Cuts) -> dict[str, pl.Series]:
    """Sums and squares of each block of CSCV, one fixed-size list a row."""
    edges = spec.cscv_edges(cuts.edges[-1])
    if not edges:
        return {}
    assert found.blocks is not None  # asked for
    parts = [moments(found.blocks, cuts.bars, cuts.inside([span])) for span in pairwise(edges)]
    table = np.stack([*(total for _, total, _ in parts), *(squares for _, _, squares in parts)], axis=1)
    return {BLOCKS: pl.Series(BLOCKS, table.astype(np.float32))}

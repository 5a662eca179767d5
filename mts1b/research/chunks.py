"""One chunk of a sweep: from its place in the grid to its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mts1b.backtester import Evaluation, evaluate, merged
from mts1b.platform.telemetry import span
from mts1b.platform.telemetry.ray_metrics import CHUNKS
from mts1b.quantkit.blocks import MERGED, moments
from mts1b.quantkit.trades import merge_trades, trade_statistics
from mts1b.research.folds import Cuts, Fold, Span
from mts1b.research.plan import Chunk, SweepSpec
from mts1b.strategy.panel import Panel

Floats = NDArray[np.float64]

FOLD_METRICS = ("sharpe", "total_return", "max_drawdown")
"""What is kept of each fold's train window, and of its test when there are many folds."""

TEST_METRICS = (*MERGED, "max_drawdown_bars", "turnover", "trades", "exposure", "costs")
"""What is kept of each fold's test, of up to FOLDS_IN_FULL_MAX folds. Where a test is one span, skewness and kurtosis
too; where it is several, `max_drawdown_bars` is the longest inside one of them."""

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


def evaluate_chunks(work: SweepWork, chunks: tuple[Chunk, ...]) -> list[pl.DataFrame]:
    """The rows of each chunk, computed together: they share the tables of the strategy."""
    spec, numbers = work.spec, np.concatenate([chunk.numbers(work.spec.grid) for chunk in chunks])
    with span(CHUNKS, strategy=spec.strategy.name, backend=spec.backend, combinations=len(numbers)):
        rows = _rows(work, numbers)
    ends = np.cumsum([chunk.combinations for chunk in chunks])
    return [rows.slice(end - chunk.combinations, chunk.combinations) for chunk, end in zip(chunks, ends, strict=True)]


def _rows(work: SweepWork, numbers: NDArray[np.int64]) -> pl.DataFrame:
    """Of each combination its number, its parameters, the metrics of the whole range and of each fold."""
    spec, panel = work.spec, work.panel
    combos = spec.grid.combinations(numbers)
    bars = len(panel.ts_ns)
    cuts = spec.cuts(bars)
    full = spec.metrics == "full"
    spans = _judged(spec.folds)
    asked: dict[str, Any] = {"backend": spec.backend, "precision": spec.precision, "edges": cuts.edges, "trades": full}
    found = evaluate(spec.strategy, combos, panel, spec.execution, periods=[(0, bars), *spans], **asked)
    columns: dict[str, Floats | NDArray[np.int64]] = {"combination": numbers}
    for name, values in combos.items():
        columns[name] = values.astype(np.int64) if spec.strategy.params[name].kind == "int" else values
    columns.update({name: table[0] for name, table in found.metrics.items()})
    if full and found.trades is not None:
        columns.update(trade_statistics(merge_trades(found.trades)))
    columns.update(_fold_columns(spec, found, cuts, {span: place for place, span in enumerate(spans, start=1)}))
    return pl.DataFrame({**columns, **_block_column(spec, found, cuts)})


def _judged(folds: Sequence[Fold]) -> list[Span]:
    """The spans that tests are made of, each once; none where there are too many folds to keep more than a little."""
    if len(folds) > FOLDS_IN_FULL_MAX:
        return []
    return sorted({span for fold in folds for span in fold.test})


def _fold_columns(spec: SweepSpec, found: Evaluation, cuts: Cuts, periods: Mapping[Span, int]) -> dict[str, Floats]:
    """Metrics of each fold's train and test. `periods`: where the metrics of a span are among those found."""
    assert found.blocks is not None  # asked for
    columns: dict[str, Floats] = {}
    bars, cost = cuts.bars, spec.execution.cost
    for number, fold in enumerate(spec.folds):
        train = merged(found.blocks, bars, cuts.inside(fold.train), cost)
        columns |= {fold_column(number, "train", name): train[name] for name in FOLD_METRICS}
        test = _test_metrics(found, fold, cuts, cost, periods)
        columns |= {fold_column(number, "test", name): values for name, values in test.items()}
        if found.trades is not None and periods:
            ended = trade_statistics(merge_trades(found.trades[:, cuts.inside(fold.test)]))
            columns |= {fold_column(number, "test", name): ended[name] for name in TEST_TRADE_METRICS}
    return columns


def _test_metrics(
    found: Evaluation, fold: Fold, cuts: Cuts, cost: float, periods: Mapping[Span, int]
) -> Mapping[str, Floats]:
    """What is kept of one fold's test: its own pass where it is one span, else its blocks joined."""
    if periods and len(fold.test) == 1:
        return {name: table[periods[fold.test[0]]] for name, table in found.metrics.items()}
    assert found.blocks is not None  # asked for
    joined = merged(found.blocks, cuts.bars, cuts.inside(fold.test), cost)
    if not periods:
        return {name: joined[name] for name in FOLD_METRICS}
    longest = np.max([found.metrics["max_drawdown_bars"][periods[span]] for span in fold.test], axis=0)
    return {name: joined.get(name, longest) for name in TEST_METRICS}


def _block_column(spec: SweepSpec, found: Evaluation, cuts: Cuts) -> dict[str, pl.Series]:
    """Sums and squares of each block of CSCV, one fixed-size list a row."""
    edges = spec.cscv_edges(cuts.edges[-1])
    if not edges:
        return {}
    assert found.blocks is not None  # asked for
    parts = [moments(found.blocks, cuts.bars, cuts.inside([span])) for span in pairwise(edges)]
    table = np.stack([*(total for _, total, _ in parts), *(squares for _, _, squares in parts)], axis=1)
    return {BLOCKS: pl.Series(BLOCKS, table.astype(np.float32))}

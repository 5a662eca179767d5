"""From the sums of jobs and lanes to the metrics of combinations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from inspect import getsource
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mts1b.backtester.evaluation import METRICS, RETURN_METRICS, Evaluation
from mts1b.backtester.layout import Layout
from mts1b.backtester.summary import BARS_PER_YEAR, SPREAD_MIN, SUMMARY_ROWS, summarise
from mts1b.backtester.sums import Sums
from mts1b.backtester.trade_lanes import block_summary
from mts1b.quantkit.blocks import BLOCK_ROWS
from mts1b.quantkit.trades import merge_trades
from mts1b.strategy.codegen import ENTRY, HEADER
from mts1b.strategy.jit import load

Floats = NDArray[np.float64]


@lru_cache(maxsize=1)
def summary_filler() -> Any:
    """`mts1b.backtester.summary.summarise`, compiled."""
    return load(HEADER + ENTRY + getsource(summarise)).summarise


def collect(
    layout: Layout,
    sums: Sums,
    bounds: NDArray[np.int64],
    periods: list[tuple[int, int]],
    names: int,
    cost: float,
    keep_returns: bool,
) -> Evaluation:
    """Metrics by combination from the sums by job and lane."""
    count, lanes = len(layout.job), layout.lanes
    bars = int(bounds[-1])
    kept = np.empty((count, bars)) if keep_returns else None
    summaries = np.empty((len(periods), len(layout.jobs), SUMMARY_ROWS, lanes))
    for j in range(len(layout.jobs)):
        returns = sums.portfolio(j, lanes, names)
        if kept is not None:
            mine = np.flatnonzero(layout.job == j)
            kept[mine] = returns[:, layout.lane[mine]].T
        for p, (start, stop) in enumerate(periods):
            summary_filler()(returns, start, stop, float(BARS_PER_YEAR), SPREAD_MIN, summaries[p, j])
    found = {name: summaries[:, :, row] for row, name in enumerate(RETURN_METRICS)}
    found |= _traded(sums, [np.searchsorted(bounds, period) for period in periods], periods, names, cost)
    metrics = {name: np.ascontiguousarray(found[name][:, layout.job, layout.lane]) for name in METRICS}
    return Evaluation(metrics, kept)


def _traded(
    sums: Sums, segments: Sequence[Any], periods: list[tuple[int, int]], names: int, cost: float
) -> dict[str, Floats]:
    """What trading did in each period, [P, J, lanes]; `segments`: the period's first segment of time and the next."""
    traded, changed, gross = (
        np.stack([table[:, first:last].sum(axis=1) for first, last in segments])
        for table in (sums.traded / names, sums.changed, sums.gross / names)
    )
    bars = np.array([stop - start for start, stop in periods])[:, None, None]
    return {
        "turnover": traded / bars * BARS_PER_YEAR,
        "trades": changed,
        "exposure": gross / bars,
        "costs": traded * cost,
    }


def with_blocks(
    found: Evaluation,
    layout: Layout,
    sums: Sums,
    bounds: NDArray[np.int64],
    edges: NDArray[np.int64],
    names: int,
) -> Evaluation:
    """Add what is kept of each block between `edges`."""
    count, lanes = len(edges) - 1, layout.lanes
    rows = np.empty((len(BLOCK_ROWS), count, len(layout.jobs), lanes))
    summary = np.empty((len(BLOCK_ROWS), count, lanes))
    for j in range(len(layout.jobs)):
        block_summary()(sums.portfolio(j, lanes, names), edges, summary)
        rows[:, :, j] = summary
    starts = np.searchsorted(bounds, edges)
    segments = [slice(a, b) for a, b in zip(starts[:-1], starts[1:], strict=True)]
    traded, changed, gross = (
        np.stack([table[:, inside].sum(axis=1) for inside in segments])
        for table in (sums.traded, sums.changed, sums.gross)
    )
    blocks = np.concatenate([rows, np.stack([traded / names, changed, gross / names])])
    ended = None
    if sums.ended:
        whole = np.stack(sums.ended).swapaxes(1, 2)  # sums, segments, jobs, lanes
        parts = [merge_trades(whole[:, inside]) for inside in segments]
        ended = np.ascontiguousarray(np.stack(parts, axis=1)[:, :, layout.job, layout.lane])
    return replace(found, blocks=np.ascontiguousarray(blocks[:, :, layout.job, layout.lane]), trades=ended)

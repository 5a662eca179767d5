"""The page of one sweep, from what the sweep left behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from mts1b.backtester import Execution
from mts1b.report.data import Curves, GridMap, ReportData, TopCurves
from mts1b.report.sections import fold_rows, grid_map, sweep_figures
from mts1b.research.curves import buy_and_hold_returns
from mts1b.research.summary import TOP_CURVES, SweepSummary
from mts1b.strategy import Strategy
from mts1b.strategy.panel import Panel

TRIALS_MAPPED_MAX = 5_000_000
"""Trials up to which the grid is drawn: the page is made in memory."""


def sweep_page(found: SweepSummary, strategy: Strategy, panel: Panel, execution: Execution, made_ns: int) -> ReportData:
    """The report of a sweep over `panel`: figures, accounting, curves of the best, grid, folds, data warnings."""
    top = top_curves(found)
    winner = np.diff(top.worth[0], prepend=1.0) / np.concatenate(([1.0], top.worth[0][:-1]))
    walked = found.walk_forward
    return ReportData(
        title=f"Sweep of {found.strategy}",
        made_ns=made_ns,
        sweep=sweep_figures(found, str(strategy.root), execution_words(execution)),
        accounting=found.accounting,
        curves=Curves(panel.ts_ns, winner, buy_and_hold_returns(panel)),
        top=top,
        grid=_grid(found, strategy),
        folds=fold_rows(walked) if walked else (),
        out_of_sample_sharpe=walked.sharpe if walked else None,
        warnings=found.warnings,
    )


def top_curves(found: SweepSummary) -> TopCurves:
    """The equity curves stored beside the table, labelled with what was swept."""
    stored = pl.read_parquet(Path(found.folder) / TOP_CURVES)
    ranks = [name for name in stored.columns if name != "ts_ns"]
    labels = [", ".join(f"{name}={row[name]:g}" for name in found.swept) or found.strategy for row in found.top]
    return TopCurves(stored["ts_ns"].to_numpy(), stored.select(ranks).to_numpy().T, labels)


def execution_words(execution: Execution) -> str:
    """The costs in words."""
    return f"{execution.commission_bps:g} bps commission, {execution.half_spread_bps:g} bps half-spread"


def _grid(found: SweepSummary, strategy: Strategy) -> GridMap | None:
    if found.trials > TRIALS_MAPPED_MAX:
        return None
    names = list(strategy.params)
    return grid_map(pl.scan_parquet(found.table).select(*names, "sharpe").collect(), names, found.best)

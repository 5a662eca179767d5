"""Reports: one self-contained HTML page about a sweep, its validation and its paper session."""

from __future__ import annotations

from mts1b.report.data import (
    Curves,
    FoldRow,
    GridMap,
    LatencyRow,
    PaperSession,
    ReportData,
    SweepFigures,
    SymbolFills,
    TopCurves,
)
from mts1b.report.html import write_report
from mts1b.report.sections import fold_rows, grid_map, paper_session, sweep_figures

__all__ = [
    "Curves",
    "FoldRow",
    "GridMap",
    "LatencyRow",
    "PaperSession",
    "ReportData",
    "SweepFigures",
    "SymbolFills",
    "TopCurves",
    "fold_rows",
    "grid_map",
    "paper_session",
    "sweep_figures",
    "write_report",
]

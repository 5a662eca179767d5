"""A sweep as asked for, in words, and how it becomes one that can be run: names looked up, ranges read, bars loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mts1b.backtester import Execution
from mts1b.datalake import open_lake
from mts1b.foundation.errors import InputError
from mts1b.research.folds import rolling_folds
from mts1b.research.grid import RANGE_FORM, Grid
from mts1b.research.plan import SweepSpec
from mts1b.strategy.files import find_strategy
from mts1b.strategy.panel import Panel


@dataclass(frozen=True, slots=True)
class WalkForwardWindows:
    """Lengths in bars: choose on `train`, leave out `embargo`, judge on `test`, roll on by `test`."""

    train: int = 756
    test: int = 252
    embargo: int = 0


@dataclass(frozen=True, slots=True)
class SweepRequest:
    """What a user asks for. `grid` holds `name=range` texts; `symbols` empty: all; dates ISO, both included."""

    strategy: str
    grid: tuple[str, ...]
    where: str | None = None
    symbols: tuple[str, ...] = ()
    start: str | None = None
    end: str | None = None
    interval: str = "daily"
    execution: Execution = field(default_factory=Execution)
    backend: str = "cpu"
    top: int = 10
    windows: WalkForwardWindows | None = None


def resolve(request: SweepRequest, lake_root: Path) -> tuple[SweepSpec, Panel]:
    """Look everything up. Any error of `mts1b.foundation.errors.InputError`, one for the first thing that is wrong."""
    strategy = find_strategy(request.strategy)
    grid = Grid.parse(grid_ranges(request.grid), strategy.params, request.where)
    bars = open_lake(lake_root).equities.bars
    panel = bars.panel(list(request.symbols) or None, request.interval, request.start, request.end)
    windows = request.windows
    folds = rolling_folds(len(panel.ts_ns), windows.train, windows.test, windows.embargo) if windows else ()
    return SweepSpec(strategy, grid, request.execution, request.backend, folds, request.top), panel


def grid_ranges(texts: Sequence[str]) -> dict[str, str]:
    """`["fast=5:105:1"]` as `{"fast": "5:105:1"}`. InputError for another form or a name given twice."""
    ranges: dict[str, str] = {}
    for text in texts:
        name, found, values = text.partition("=")
        name = name.strip()
        if not found or not name or not values.strip():
            raise InputError("grid", text, "not of the form name=values", RANGE_FORM)
        if name in ranges:
            raise InputError(f"grid.{name}", values, "given twice", "name each parameter once")
        ranges[name] = values.strip()
    return ranges

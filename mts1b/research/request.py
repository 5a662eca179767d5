"""A sweep as asked for, in words, and how it becomes one that can be run: names looked up, ranges read, bars loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mts1b.backtester import Execution
from mts1b.datalake import open_lake
from mts1b.datalake.adjust import Adjust
from mts1b.foundation.errors import InputError
from mts1b.research.caveats import panel_warnings
from mts1b.research.folds import Validation
from mts1b.research.grid import RANGE_FORM, Grid, Sample
from mts1b.research.plan import SweepSpec
from mts1b.strategy import Param
from mts1b.strategy.files import find_strategy
from mts1b.strategy.panel import Panel


@dataclass(frozen=True, slots=True)
class SweepRequest:
    """What a user asks for. `grid` holds `name=range` texts; `symbols` empty: all; dates ISO, both included.

    `sample`: so many combinations of the grid, instead of all. `subset` declares a grid, in the same form, for Hansen's
    test; empty: no test. `precision`: "single" is faster where a kernel has it, "double" is float64 throughout.
    `universe`, `adjust`, `as_of`: as `lake.equities.bars.panel` takes them.
    """

    strategy: str
    grid: tuple[str, ...]
    where: str | None = None
    sample: Sample | None = None
    symbols: tuple[str, ...] = ()
    start: str | None = None
    end: str | None = None
    interval: str = "daily"
    execution: Execution = field(default_factory=Execution)
    backend: str = "cpu"
    precision: str = "single"
    top: int = 10
    validation: Validation | None = None
    metrics: str = "default"
    subset: tuple[str, ...] = ()
    universe: str | None = None
    adjust: Adjust = "total"
    as_of: str | None = None


def resolve(request: SweepRequest, lake_root: Path | str) -> tuple[SweepSpec, Panel]:
    """Look everything up. Any error of `mts1b.foundation.errors.InputError`, one for the first thing that is wrong."""
    strategy = find_strategy(request.strategy)
    grid = Grid.parse(grid_ranges(request.grid), strategy.params, request.where, request.sample)
    bars = open_lake(lake_root).equities.bars
    span = (request.interval, request.start, request.end)
    panel = bars.panel(list(request.symbols) or None, *span, request.universe, request.adjust, request.as_of)
    spec = SweepSpec(
        strategy,
        grid,
        request.execution,
        request.backend,
        request.precision,
        folds=request.validation.cut(len(panel.ts_ns)) if request.validation else (),
        top_k=request.top,
        metrics=request.metrics,
        subset=_subset(request, strategy.params),
        warnings=panel_warnings(panel),
    )
    return spec, panel


def _subset(request: SweepRequest, params: Mapping[str, Param]) -> Grid | None:
    """The declared grid, under the same condition as the sweep's."""
    return Grid.parse(grid_ranges(request.subset, "spa"), params, request.where) if request.subset else None


def grid_ranges(texts: Sequence[str], field: str = "grid") -> dict[str, str]:
    """`["fast=5:105:1"]` as `{"fast": "5:105:1"}`. InputError for another form or a name given twice."""
    ranges: dict[str, str] = {}
    for text in texts:
        name, found, values = text.partition("=")
        name = name.strip()
        if not found or not name or not values.strip():
            raise InputError(field, text, "not of the form name=values", RANGE_FORM)
        if name in ranges:
            raise InputError(f"{field}.{name}", values, "given twice", "name each parameter once")
        ranges[name] = values.strip()
    return ranges

"""The backend of a sweep that asked for `auto`: a piece of the very sweep is timed, the rule does the rest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mts1b.backtester import evaluate
from mts1b.backtester.choice import Machine, Rates, Workload, choose
from mts1b.foundation.clock import NS_PER_DAY, NS_PER_S, Clock
from mts1b.research.grid import Grid
from mts1b.research.plan import SweepSpec
from mts1b.strategy.panel import Panel

AUTO = "auto"
"""The backend that is none: one is chosen before the sweep is planned."""

DAYS_PER_YEAR = 365.25

PIECE_COMBINATIONS = 128
"""Combinations of the timed piece: a full block of lanes."""

PIECE_BAR_STEPS = 20_000_000
"""Bars x names x combinations of the piece, at most, but for one name: milliseconds, and longer than a clock's tick."""

PIECE_RUNS = 3
"""Runs that are timed after the first, which compiles; the fastest counts."""


PLACES_AT_ONCE = 1 << 16
"""Places of the grid looked through at once for combinations that its condition keeps."""


def with_chosen_backend(spec: SweepSpec, panel: Panel, interval: str, machine: Machine, clock: Clock) -> SweepSpec:
    """The sweep with the backend that fits it on this machine, and with the choice and its reasons."""
    work = Workload(
        names=len(panel.symbols),
        bars=len(panel.ts_ns),
        years=float(panel.ts_ns[-1] - panel.ts_ns[0]) / NS_PER_DAY / DAYS_PER_YEAR,
        interval=interval,
        combinations=spec.grid.size(),
        folds=len(spec.folds),
        beyond_gpu=spec.execution.beyond_plain,
    )
    choice = choose(work, machine, measured_rates(spec, panel, clock))
    return replace(spec, backend=choice.backend, choice=choice)


def measured_rates(spec: SweepSpec, panel: Panel, clock: Clock) -> Rates:
    """Bar-steps a second of one core on this sweep's strategy, bars and first combinations; a GPU's is assumed.

    A second, and the kernel's compilation where it is not cached. The machine may be less idle later.
    """
    numbers = _first_numbers(spec.grid, min(PIECE_COMBINATIONS, spec.grid.size()))
    combos = spec.grid.combinations(numbers)
    piece = _first_names(panel, PIECE_BAR_STEPS // (len(panel.ts_ns) * len(numbers)))
    best_ns = None
    for run in range(1 + PIECE_RUNS):
        began = clock.monotonic_ns()
        evaluate(spec.strategy, combos, piece, spec.execution)
        took = max(clock.monotonic_ns() - began, 1)
        if run:
            best_ns = took if best_ns is None else min(best_ns, took)
    assert best_ns is not None  # PIECE_RUNS is above 0
    steps = piece.close.size * len(numbers)
    told = (
        f"measured now on {len(piece.symbols)} names x {len(piece.ts_ns):,} bars x {len(numbers)} combinations, "
        f"fastest of {PIECE_RUNS}"
    )
    return Rates.with_gpu_assumed(steps * NS_PER_S / best_ns, told)


def _first_numbers(grid: Grid, count: int) -> NDArray[np.int64]:
    """The numbers of the grid's first `count` combinations; it has as many."""
    numbers = np.zeros(0, dtype=np.int64)
    place = 0
    while len(numbers) < count:
        numbers = np.concatenate([numbers, grid.numbers(place, min(place + PLACES_AT_ONCE, grid.places))])
        place += PLACES_AT_ONCE
    return numbers[:count]


def _first_names(panel: Panel, count: int) -> Panel:
    """The panel of its first `count` names, of one at least."""
    kept = slice(0, max(count, 1))
    fields: dict[str, Any] = {name: np.ascontiguousarray(panel.field(name)[:, kept]) for name in panel.fields}
    return replace(panel, symbols=panel.symbols[kept], sectors=panel.sectors[kept], **fields)

"""The sweep kernels of other strategies beside the moving-average cross: how much a stop or a ranking costs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mts1b.backtester import Execution, evaluate
from mts1b.bench.equal import require_equal
from mts1b.bench.ladder import PRECISION, TOLERANCE
from mts1b.bench.result import BenchResult
from mts1b.bench.session import Session
from mts1b.bench.universe import made_up_panel
from mts1b.research.grid import Grid
from mts1b.strategy import get_strategy
from mts1b.strategy.panel import Panel

NAMES, BARS = 1_000, 2_520

GRIDS: dict[str, dict[str, str]] = {
    "sma_cross": {"fast": "5:10", "slow": "20:420"},
    "xs_momentum": {"window": "21:251:10", "skip": "0,21", "top": "5:50"},
    "bollinger_reversion": {"window": "5:85", "width": "1:3.5:0.1"},
    "trailing_breakout": {"entry": "20:70:2", "width": "1:9:0.4", "window": "10:30:5"},
    "rsi_reversion": {"window": "5:25", "entry": "20:40:2", "leave": "50:75:2.5"},
    "breakout": {"entry": "15:65", "leave": "5:45"},
}
"""About 2,000 combinations each: what one task of a ladder of twenty thousand would get."""

QUICK: dict[str, dict[str, str]] = {
    "sma_cross": {"fast": "5:7", "slow": "20:36"},
    "xs_momentum": {"window": "21:41:10", "skip": "0", "top": "1:3"},
    "bollinger_reversion": {"window": "5:9", "width": "1:2:0.25"},
    "trailing_breakout": {"entry": "20:24:2", "width": "1,2", "window": "10:20:5"},
    "rsi_reversion": {"window": "5:9", "entry": "20,30", "leave": "50,60"},
    "breakout": {"entry": "15:19", "leave": "5:9"},
}

CHECKED = 5
"""Combinations that the reference computes too, over a tenth of the names."""

RUNS = 2


def ladder_strategies(session: Session) -> BenchResult:
    """Bar-steps a second of six strategies on one core, best of two runs, and each one's ratio to sma_cross.

    InvariantBroken when a metric differs from the reference's.
    """
    names, bars = session.size(NAMES, 6), session.size(BARS, 400)
    panel = made_up_panel(names, bars, np.random.default_rng(0))
    few = made_up_panel(max(6, names // 10), bars, np.random.default_rng(1))
    figures: dict[str, float] = {"names": names, "bars": bars}
    rates: dict[str, float] = {}
    for name, ranges in (QUICK if session.quick else GRIDS).items():
        session.tell(name)
        combos = combinations(name, ranges)
        count = len(next(iter(combos.values())))
        check(name, combos, few)
        wall_s, _ = session.best_of(RUNS, lambda name=name, combos=combos: run(name, combos, panel))  # type: ignore[misc]
        rates[name] = count * names * bars / wall_s
        figures[f"combinations_{name}"] = count
        figures[f"bar_steps_per_s_{name}"] = rates[name]
    versus = {f"ratio_to_sma_cross_{name}": rate / rates["sma_cross"] for name, rate in rates.items()}
    return BenchResult("ladder-strategies", figures, versus)


def run(name: str, combos: dict[str, NDArray[np.float64]], panel: Panel) -> object:
    return evaluate(get_strategy(name), combos, panel, Execution(), precision=PRECISION)


def combinations(name: str, ranges: dict[str, str]) -> dict[str, NDArray[np.float64]]:
    """Every combination of the ranges, parameter -> values [C]."""
    axes = Grid.parse(ranges, get_strategy(name).params).axes
    tables = np.meshgrid(*(np.array(axis.values) for axis in axes), indexing="ij")
    return {axis.name: table.ravel() for axis, table in zip(axes, tables, strict=True)}


def check(name: str, combos: dict[str, NDArray[np.float64]], panel: Panel) -> None:
    """Some combinations, evenly spread, against the reference."""
    strategy = get_strategy(name)
    count = len(next(iter(combos.values())))
    some = np.linspace(0, count - 1, CHECKED).astype(int)
    chosen = {key: values[some] for key, values in combos.items()}
    wanted = evaluate(strategy, chosen, panel, Execution(), backend="reference")
    found = evaluate(strategy, combos, panel, Execution(), precision=PRECISION)
    rows = {k: v[some] for k, v in found.metrics.items()}
    require_equal(f"{name} against the reference", rows, wanted.metrics, TOLERANCE)

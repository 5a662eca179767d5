"""The sweep kernel on one core, against the readable reference."""

from __future__ import annotations

import numpy as np

from mts1b.backtester import Execution, evaluate
from mts1b.bench.equal import require_equal
from mts1b.bench.result import BenchResult
from mts1b.bench.session import Session
from mts1b.bench.universe import made_up_panel
from mts1b.strategy import get_strategy

NAMES, BARS = 100, 2_520
FAST, SLOW = np.arange(5.0, 105.0), np.arange(20.0, 420.0, 4.0)
CHECKED = 20
"""Combinations the reference computes too: it takes about a tenth of a second for each."""

RUNS = 3


def kernel(session: Session) -> BenchResult:
    """10,000 combinations of sma_cross x 100 names x 2,520 days, costs on, in one process, best of three runs.

    InvariantBroken when a metric differs from the reference's.
    """
    strategy, execution = get_strategy("sma_cross"), Execution()
    names, bars = session.size(NAMES, 2), session.size(BARS, 450)
    panel = made_up_panel(names, bars, np.random.default_rng(0))
    step = session.size(1, 20)
    fast, slow = (grid.ravel() for grid in np.meshgrid(FAST[::step], SLOW[::step], indexing="ij"))
    some = np.linspace(0, len(fast) - 1, CHECKED).astype(int)
    chosen = {"fast": fast[some], "slow": slow[some]}
    reference_s, wanted = session.timed(lambda: evaluate(strategy, chosen, panel, execution, backend="reference"))
    found = evaluate(strategy, {"fast": fast, "slow": slow}, panel, execution)  # compiles
    require_equal("cpu against reference", {key: values[some] for key, values in found.metrics.items()}, wanted.metrics)
    wall_s, _ = session.best_of(RUNS, lambda: evaluate(strategy, {"fast": fast, "slow": slow}, panel, execution))
    steps = len(fast) * names * bars
    reference_per_s = CHECKED * names * bars / reference_s
    return BenchResult(
        "kernel",
        {"combinations": len(fast), "names": names, "bars": bars, "wall_s": wall_s, "bar_steps_per_s": steps / wall_s},
        {"reference_bar_steps_per_s": reference_per_s, "ratio_to_reference": steps / wall_s / reference_per_s},
    )

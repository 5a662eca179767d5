"""The sweep kernel on one core, against the readable reference."""

from __future__ import annotations

import numpy as np

from mts1b.backtester import Execution, evaluate
from mts1b.bench.result import BenchResult
from mts1b.bench.universe import made_up_panel
from mts1b.foundation.clock import NS_PER_S, Clock
from mts1b.foundation.errors import InvariantBroken
from mts1b.strategy import get_strategy

NAMES, BARS = 100, 2_520
FAST, SLOW = np.arange(5.0, 105.0), np.arange(20.0, 420.0, 4.0)
CHECKED = 20
"""Combinations the reference computes too: it takes about a tenth of a second for each."""

TOLERANCE = 1e-10


def kernel(clock: Clock) -> BenchResult:
    """10,000 combinations of sma_cross x 100 names x 2,520 days, costs on, in one process, second run.

    InvariantBroken when a metric differs from the reference's.
    """
    strategy, execution = get_strategy("sma_cross"), Execution()
    panel = made_up_panel(NAMES, BARS, np.random.default_rng(0))
    fast, slow = (grid.ravel() for grid in np.meshgrid(FAST, SLOW, indexing="ij"))
    some = np.linspace(0, len(fast) - 1, CHECKED).astype(int)
    began_ns = clock.monotonic_ns()
    wanted = evaluate(strategy, {"fast": fast[some], "slow": slow[some]}, panel, execution, backend="reference")
    reference_s = (clock.monotonic_ns() - began_ns) / NS_PER_S
    evaluate(strategy, {"fast": fast, "slow": slow}, panel, execution)  # compiles
    began_ns = clock.monotonic_ns()
    found = evaluate(strategy, {"fast": fast, "slow": slow}, panel, execution)
    wall_s = (clock.monotonic_ns() - began_ns) / NS_PER_S
    for name, values in wanted.metrics.items():
        if not np.allclose(found.metrics[name][some], values, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True):
            raise InvariantBroken(name, "cpu", "differs from the reference")
    steps = len(fast) * NAMES * BARS
    reference_per_s = CHECKED * NAMES * BARS / reference_s
    return BenchResult(
        "kernel",
        {"wall_s": wall_s, "bar_steps_per_s": steps / wall_s},
        {"reference_bar_steps_per_s": reference_per_s, "ratio_to_reference": steps / wall_s / reference_per_s},
    )

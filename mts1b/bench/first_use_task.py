"""A fresh process: use one strategy for the first time, in a sweep and live, and print how long each took as JSON."""

from __future__ import annotations

import itertools
import json
import sys

import numpy as np
from numba.core.registry import cpu_target
from numpy.typing import NDArray

from mts1b.backtester import Execution, evaluate
from mts1b.bench.session import Session
from mts1b.bench.universe import made_up_panel
from mts1b.foundation.clock import SystemClock
from mts1b.foundation.ids import digest
from mts1b.strategy import Strategy, get_strategy
from mts1b.strategy.panel import Panel

NAMES, BARS = 10, 500
VALUES = 12
"""Values taken of each parameter's range: enough for full blocks of lanes, few enough to cost no time."""

COMBINATIONS_MAX = 2_000
LARGEST = 200.0
"""Of any value tried: windows must fit the history."""


def main(name: str) -> None:
    """Sweep, then step. The digest is of every metric and of the targets."""
    finish_imports()
    session = Session(SystemClock())
    strategy, panel = get_strategy(name), made_up_panel(NAMES, BARS, np.random.default_rng(0))
    combos = some_combinations(strategy)
    sweep_s, found = session.timed(lambda: evaluate(strategy, combos, panel, Execution()))
    step_s, targets = session.timed(lambda: first_step(strategy, panel))
    results = digest(*(values.tobytes().hex() for values in found.metrics.values()), targets.tobytes().hex())
    print(json.dumps({"sweep_s": sweep_s, "step_s": step_s, "digest": results}))


def finish_imports() -> None:
    """Have numba import what it leaves for its first call: scipy among it, and nothing of ours."""
    cpu_target.typing_context.refresh()
    cpu_target.target_context.refresh()


def some_combinations(strategy: Strategy) -> dict[str, NDArray[np.float64]]:
    """A grid over the strategy's parameters, at most COMBINATIONS_MAX combinations."""
    axes = []
    for param in strategy.params.values():
        values = np.linspace(param.low, min(param.high, max(param.low, LARGEST)), VALUES)
        axes.append(np.unique(values.astype(int)).astype(np.float64) if param.kind == "int" else values)
    rows = np.array(list(itertools.islice(itertools.product(*axes), COMBINATIONS_MAX)))
    return {name: rows[:, place].copy() for place, name in enumerate(strategy.params)}


def first_step(strategy: Strategy, panel: Panel) -> NDArray[np.float64]:
    """The targets after one bar."""
    stepper = strategy.stepper(strategy.resolve({}), panel.symbols, panel.sectors)
    return stepper.step(*(panel.field(name)[0] for name in panel.fields))


if __name__ == "__main__":
    main(sys.argv[1])

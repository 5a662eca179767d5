"""Return series of chosen combinations, and what they have to beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mts1b.backtester import Execution, evaluate
from mts1b.strategy import Strategy
from mts1b.strategy.panel import Panel

Floats = NDArray[np.float64]


def returns_of(
    strategy: Strategy,
    params: Sequence[Mapping[str, float]],
    panel: Panel,
    execution: Execution,
    backend: str = "cpu",
) -> Floats:
    """Net returns a bar, [C, T], one row for each set of parameters; for the few that a finished sweep shows.

    On the CPU for a sweep on GPUs: those belong to its tasks, and the process that adds up may have none.
    """
    combos = {name: np.array([values[name] for values in params], dtype=np.float64) for name in strategy.params}
    found = evaluate(
        strategy, combos, panel, execution, backend="cpu" if backend == "gpu" else backend, keep_returns=True
    )
    assert found.returns is not None  # asked for
    return np.broadcast_to(found.returns, (len(params), len(panel.ts_ns)))


def buy_and_hold_returns(panel: Panel) -> Floats:
    """Returns a bar, [T], of equal money in every name, bought at its first close and never touched, without costs.

    A name that has no bar keeps its last worth; before its first bar its share lies in cash.
    """
    close = np.array(panel.close)
    known = np.maximum.accumulate(np.where(np.isnan(close), -1, np.arange(len(close))[:, None]), axis=0)
    filled = np.where(known >= 0, np.take_along_axis(close, np.maximum(known, 0), axis=0), np.nan)
    first = np.take_along_axis(close, np.argmax(~np.isnan(close), axis=0)[None, :], axis=0)
    worth = np.nan_to_num(filled / first, nan=1.0).mean(axis=1)
    return np.diff(worth, prepend=1.0) / np.concatenate(([1.0], worth[:-1]))

"""One function for every backend: a strategy, many combinations, one panel, their metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mts1b.backtester import book_cpu, cpu, reference
from mts1b.backtester.evaluation import Evaluation, Periods, check_edges, check_finite, check_periods
from mts1b.backtester.execution import Execution, check_prices
from mts1b.backtester.gpu_detect import check_gpu
from mts1b.foundation.errors import InputError, unknown_name
from mts1b.strategy.definition import Strategy, Values
from mts1b.strategy.panel import Panel
from mts1b.strategy.program import program_of

Floats = NDArray[np.float64]


def _gpu(*arguments: Any) -> Evaluation:
    check_gpu()
    from mts1b.backtester import gpu  # brings numba-cuda along, which few processes need

    return gpu.evaluate(*arguments)


BACKENDS: Mapping[str, Any] = {"reference": reference.evaluate, "cpu": cpu.evaluate, "gpu": _gpu}

EXACT_BACKENDS: Mapping[str, Any] = {"reference": reference.evaluate, "cpu": book_cpu.evaluate}
"""Those that keep exact books, for executions that are not plain."""

PRECISIONS = ("double", "single")


def targets(strategy: Strategy, values: Values, panel: Panel) -> Floats:
    """Targets [T, S] of one set of parameter values: row t is decided on the close of bar t, not known is 0.

    InputError for an unknown or out-of-range parameter, a window longer than the history or targets that are not
    finite; DataError for bad prices.
    """
    chosen = strategy.resolve(values)
    _check_panel(panel)
    strategy.check_history(chosen, len(panel.ts_ns))
    decided = program_of(strategy.root).targets(chosen, panel)
    columns = {name: np.array([value]) for name, value in chosen.items()}
    check_finite(strategy.name, columns, np.array([bool(np.isfinite(decided).all())]))
    return decided


def evaluate(
    strategy: Strategy,
    combos: Values,
    panel: Panel,
    execution: Execution,
    backend: str = "cpu",
    periods: Periods | None = None,
    keep_returns: bool = False,
    edges: Sequence[int] | None = None,
    trades: bool = False,
    precision: str = "double",
    by_name: bool = False,
) -> Evaluation:
    """Backtest every combination over the panel, names in equal shares of NAV (`mts1b.backtester.execution`).

    `combos`: parameter name -> array [C]; names left out take their default. Row-major grids (the last parameter
    fastest) are fastest. `periods`: row ranges (start, stop) to take metrics over, from the one pass; metrics are then
    [P, C], else [C] over the whole history. `keep_returns`: also the returns by bar, [C, T]. `edges`: also sums over
    the blocks of bars between them, from which any union of blocks is judged; `trades`: also those of round trips.
    `by_name`: also the metrics of every name's sleeve, [len(NAME_METRICS), C, S]. `precision`: "single" lets a kernel
    add up a few bars at a time in float32, where it can; decisions are float64's, and so are exact books. "cpu":
    one thread, no memory beyond a fixed multiple of the combinations and the panel. InputError for unknown or
    out-of-range parameters, windows longer than the history, weights that are not finite, bars without the vwap to
    fill at, `by_name` of a portfolio; DataError for bad prices. "gpu": StackError where this process has none.
    """
    if backend not in BACKENDS:
        raise unknown_name("backend", backend, BACKENDS)
    if backend not in EXACT_BACKENDS and not execution.is_plain:
        problem = "keeps no exact books: it takes commission_bps and half_spread_bps only"
        raise InputError("backend", backend, problem, f"use one of: {', '.join(EXACT_BACKENDS)}")
    if precision not in PRECISIONS:
        raise unknown_name("precision", precision, PRECISIONS)
    columns = strategy.check_combos(combos)
    _check_panel(panel)
    execution.check_panel(panel)
    if by_name and execution.capital_by != "sleeve":
        problem = "results by name need a sleeve for each"
        raise InputError("capital_by", execution.capital_by, problem, 'use Execution(capital_by="sleeve")')
    strategy.check_history(columns, len(panel.ts_ns))
    chosen = check_periods(periods, len(panel.ts_ns))
    cut = check_edges([0, len(panel.ts_ns)] if trades and edges is None else edges, len(panel.ts_ns))
    run = BACKENDS[backend] if execution.is_plain else EXACT_BACKENDS[backend]
    asked = (chosen, keep_returns, cut, trades, precision)
    result: Evaluation = run(strategy, columns, panel, execution, *asked, **({"by_name": True} if by_name else {}))
    if periods is None:
        result = replace(result, metrics={name: table[0] for name, table in result.metrics.items()})
    return result


def _check_panel(panel: Panel) -> None:
    if not len(panel.ts_ns) or not panel.symbols:
        raise InputError(
            "panel", (len(panel.ts_ns), len(panel.symbols)), "holds no bars", "choose names and dates with bars"
        )
    check_prices(panel)

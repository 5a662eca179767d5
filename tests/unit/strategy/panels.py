"""Panels made from a seed: random walks with gaps, any number of bars and names."""

from __future__ import annotations

import numpy as np

from mts1b.strategy.definition import Strategy
from mts1b.strategy.panel import Panel


def made_panel(bars: int, names: int, gaps: float = 0.0, seed: int = 7) -> Panel:
    """Prices that move 2 % a bar; each bar is missing with probability `gaps`."""
    rng = np.random.default_rng(seed)
    close = 50.0 * np.exp(np.cumsum(rng.normal(0.0, 0.02, (bars, names)), axis=0))
    open_ = close * np.exp(rng.normal(0.0, 0.005, (bars, names)))
    fields = {
        "open": open_,
        "high": np.maximum(open_, close) * 1.01,
        "low": np.minimum(open_, close) * 0.99,
        "close": close,
        "volume": rng.integers(0, 1000, (bars, names)).astype(np.float64),
    }
    missing = rng.random((bars, names)) < gaps
    for values in fields.values():
        values[missing] = np.nan
    symbols = tuple(f"N{s}" for s in range(names))
    return Panel(ts_ns=np.arange(1, bars + 1, dtype=np.int64), symbols=symbols, data_version=f"made-{seed}", **fields)


def changed_after(panel: Panel, bar: int, seed: int = 11) -> Panel:
    """The same panel up to and including `bar`, other values after it."""
    other = made_panel(len(panel.ts_ns), len(panel.symbols), gaps=0.2, seed=seed)
    fields = {}
    for name in ("open", "high", "low", "close", "volume"):
        values = getattr(panel, name).copy()
        values[bar + 1 :] = getattr(other, name)[bar + 1 :]
        fields[name] = values
    return Panel(ts_ns=panel.ts_ns, symbols=panel.symbols, data_version="changed", **fields)


def small_values(strategy: Strategy) -> dict[str, float]:
    """Parameter values that are warm within 40 bars."""
    wanted = {name: 12.0 if bound.kind == "int" else bound.default for name, bound in strategy.params.items()}
    return {name: min(max(wanted[name], bound.low), bound.high) for name, bound in strategy.params.items()}

"""Panels made from a seed: random walks with gaps, any number of bars and names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

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
    for name in panel.fields:
        values = getattr(panel, name).copy()
        values[bar + 1 :] = getattr(other, "close" if name == "vwap" else name)[bar + 1 :]
        fields[name] = values
    return replace(panel, data_version="changed", **fields)


@st.composite
def rough_panels(draw: st.DrawFn, bars_max: int = 60) -> Panel:
    """From one bar of one name up: missing bars and fields, zero volume, halts, listings and delistings in between."""
    bars = draw(st.integers(1, bars_max))
    names = draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    made = made_panel(bars, names, draw(st.sampled_from([0.0, 0.2, 0.9])), int(rng.integers(2**16)))
    fields = {name: getattr(made, name) for name in made.fields}
    fields["vwap"] = (fields["high"] + fields["low"]) / 2.0
    if draw(st.booleans()):  # a halt: the last price stands, nothing is traded
        start, s = int(rng.integers(bars)), int(rng.integers(names))
        for name, values in fields.items():
            values[start:, s] = 0.0 if name == "volume" else fields["close"][start, s]
    if draw(st.booleans()):  # single values are missing
        for values in fields.values():
            values[rng.random((bars, names)) < 0.1] = np.nan
    if draw(st.booleans()):
        fields["volume"][rng.random((bars, names)) < 0.5] = 0.0
    if draw(st.booleans()):  # listed late or delisted early
        cut, s = int(rng.integers(bars + 1)), int(rng.integers(names))
        for values in fields.values():
            values[(slice(0, cut) if rng.random() < 0.5 else slice(cut, None)), s] = np.nan
    sectors = tuple(("A", "B", "")[int(k)] for k in rng.integers(0, 3, names))
    return replace(made, sectors=sectors if any(sectors) else ("A",) * names, **fields)


def small_values(strategy: Strategy) -> dict[str, float]:
    """Parameter values that are warm within 40 bars."""
    wanted = {name: 12.0 if bound.kind == "int" else bound.default for name, bound in strategy.params.items()}
    return {name: min(max(wanted[name], bound.low), bound.high) for name, bound in strategy.params.items()}

"""A made-up market of any size, the same from the same seed."""

from __future__ import annotations

import numpy as np

from mts1b.foundation.clock import NS_PER_DAY
from mts1b.strategy.panel import Panel

DAILY_DRIFT, DAILY_VOLATILITY, OPENING_GAP = 0.0003, 0.015, 0.004


def made_up_panel(names: int, bars: int, generator: np.random.Generator) -> Panel:
    """Daily bars [bars, names] of independent geometric random walks, prices on the tick of 1e-4."""
    close = 100.0 * np.exp(np.cumsum(generator.normal(DAILY_DRIFT, DAILY_VOLATILITY, (bars, names)), axis=0))
    opened = close * np.exp(generator.normal(0.0, OPENING_GAP, (bars, names)))
    close, opened = np.round(close, 4), np.round(opened, 4)
    return Panel(
        ts_ns=np.arange(bars, dtype=np.int64) * NS_PER_DAY,
        symbols=tuple(f"N{number:04d}" for number in range(names)),
        open=opened,
        high=np.maximum(opened, close),
        low=np.minimum(opened, close),
        close=close,
        volume=np.round(generator.uniform(1e5, 1e6, (bars, names))),
        data_version=f"made-up-{names}-{bars}",
    )

"""Small panels of made-up bars."""

from __future__ import annotations

import numpy as np

from mts1b.foundation.clock import NS_PER_DAY
from mts1b.strategy import Panel


def random_panel(bars: int = 120, names: int = 3, seed: int = 0) -> Panel:
    """A random walk for each name, on consecutive days from 2015-01-01."""
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0003, 0.02, (bars, names)), axis=0))
    open_ = close * np.exp(rng.normal(0.0, 0.005, (bars, names)))
    ts_ns = (16_436 + np.arange(bars, dtype=np.int64)) * NS_PER_DAY
    return Panel(
        ts_ns=ts_ns,
        symbols=tuple(f"N{place}" for place in range(names)),
        open=open_,
        high=np.maximum(open_, close) * 1.01,
        low=np.minimum(open_, close) * 0.99,
        close=close,
        volume=np.full((bars, names), 1e6),
        data_version=f"made-{seed}",
    )

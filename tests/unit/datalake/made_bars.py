"""Made-up bars for the tests of the lake."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl


def bars(
    symbols: Sequence[str] = ("AAPL", "MSFT"), first: date = date(2024, 1, 2), days: int = 200, seed: int = 1
) -> pl.DataFrame:
    """Well-formed bars on every calendar day, with a growing adjustment factor."""
    random = np.random.default_rng(seed)
    frames = []
    for symbol in symbols:
        close = 100 * np.exp(np.cumsum(random.normal(0, 0.02, days)))
        open_ = close * np.exp(random.normal(0, 0.01, days))
        frames.append(
            pl.DataFrame(
                {
                    "symbol": [symbol] * days,
                    "ts": [first + timedelta(days=day) for day in range(days)],
                    "open": open_,
                    "high": np.maximum(open_, close) * 1.01,
                    "low": np.minimum(open_, close) * 0.99,
                    "close": close,
                    "adj_close": close * np.linspace(0.9, 1.0, days),
                    "volume": random.integers(0, 10_000_000, days),
                }
            )
        )
    return pl.concat(frames)


INTRADAY = pl.DataFrame(
    {
        "symbol": ["SPY"] * 3,
        "ts": [
            datetime(2019, 1, 31, 20, 59, tzinfo=UTC),
            datetime(2019, 2, 1, 14, 31, tzinfo=UTC),
            datetime(2019, 2, 1, 14, 32, tzinfo=UTC),
        ],
        "open": [270.0, 271.0, 271.5],
        "high": [270.5, 271.5, 272.0],
        "low": [269.5, 270.5, 271.0],
        "close": [270.25, 271.25, 271.75],
        "volume": [100.4, 200.0, 300.0],
    }
)
"""Three one-minute bars over a month's end."""

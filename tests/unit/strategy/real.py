"""The bars of the shipped sample as a panel."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import polars as pl

from mts1b.datalake import sample_path
from mts1b.strategy import Panel
from mts1b.strategy.panel import FIELDS


@cache
def sample_panel(symbols: Sequence[str] = ()) -> Panel:
    """All 100 names, or the named ones, 2008 to 2017, as delivered."""
    frame = pl.read_parquet(sample_path()).sort("symbol", "ts")
    if symbols:
        frame = frame.filter(pl.col("symbol").is_in(list(symbols)))
    names = tuple(frame["symbol"].unique().sort())
    fields = {name: frame[name].cast(pl.Float64).to_numpy().reshape(len(names), -1).T.copy() for name in FIELDS}
    times = frame["ts"].unique().sort().cast(pl.Datetime("ns")).dt.epoch("ns").to_numpy()
    return Panel(ts_ns=times, symbols=names, **fields)

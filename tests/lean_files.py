"""LEAN's sample files for tests: raw bars by ticker, corporate actions and the history of tickers."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import polars as pl

from mts1b.datalake.actions import checked_actions
from mts1b.datalake.intake.lean import read_factors, read_map
from mts1b.datalake.symbols import checked_history

LEAN = Path(__file__).parent / "data" / "lean"
USA = LEAN / "equity" / "usa"


@lru_cache
def raw_bars() -> pl.DataFrame:
    """Daily bars of ten tickers as they were traded, unadjusted, float64."""
    return pl.read_parquet(LEAN / "daily_raw.parquet").cast(dict.fromkeys(("open", "high", "low", "close"), pl.Float64))


@lru_cache
def actions() -> pl.DataFrame:
    """Splits and dividends of the factor files."""
    return checked_actions(pl.concat([read_factors(file) for file in sorted((USA / "factor_files").iterdir())]), "lean")


@lru_cache
def history() -> pl.DataFrame:
    """Tickers by security and day, of the map files."""
    return checked_history(pl.concat([read_map(file) for file in sorted((USA / "map_files").iterdir())]), "lean")

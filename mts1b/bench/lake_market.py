"""The bars that `lake` stores: made up in the shape of 573 US names over 13 years, or a file of real ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mts1b.datalake.delivered import read_file
from mts1b.datalake.schema import ADJ_CLOSE, BARS, SPLITS, STATUS, normalise, on_tick

NAMES, FIRST_DAY, LAST_DAY = 573, "2012-01-03", "2024-12-31"
LATE_SHARE = 0.22
"""Names that begin later than the first day, at any day of it: so that 573 of them have 1.7 million bars."""

DAILY_DRIFT, DAILY_VOLATILITY, OPENING_GAP, DAILY_YIELD = 0.0003, 0.018, 0.006, 0.00008
SEED = 7


@dataclass(frozen=True, slots=True)
class Market:
    """`bars`: sorted by symbol and time, in the columns of the lake. `later`: one bar more of each name, at one time.
    `revised`: some stored bars with other closes. `year`: the last one that is whole enough to ask for half of."""

    bars: pl.DataFrame
    later: pl.DataFrame
    revised: pl.DataFrame
    year: int

    @property
    def symbols(self) -> list[str]:
        return self.bars["symbol"].unique().sort().to_list()


def market(names: int = NAMES, file: Path | None = None) -> Market:
    """Made-up daily bars of so many names, or those of a file as `mts data ingest` takes it."""
    bars = made_up_days(names, np.random.default_rng(SEED)) if file is None else _delivered(file)
    last = bars.group_by("symbol", maintain_order=True).last().select(bars.columns)
    day = bars["ts"].max()
    later = last.with_columns(ts=pl.lit(day).cast(BARS["ts"]) + pl.duration(days=1))
    month = pl.col("ts") > pl.lit(day).cast(BARS["ts"]) - pl.duration(days=30)
    revised = bars.filter(month).with_columns(on_tick(bars.filter(month)["close"] * 1.001).alias("close"))
    revised = revised.with_columns(high=pl.max_horizontal("high", "close"), low=pl.min_horizontal("low", "close"))
    return Market(bars, later, revised, int(bars["ts"].dt.year().max()))  # type: ignore[arg-type]


def made_up_days(names: int, generator: np.random.Generator) -> pl.DataFrame:
    """Independent random walks on every weekday, prices on the tick of 1e-4, some names from a later day on."""
    days = np.arange(np.datetime64(FIRST_DAY), np.datetime64(LAST_DAY) + 1)
    days = days[np.is_busday(days)]
    late = generator.random(names) < LATE_SHARE
    starts = np.where(late, generator.integers(0, len(days) - 260, names), 0)
    symbols = ["AAPL", *(f"N{number:04d}" for number in range(1, names))]
    frames = [_one(symbol, days[start:], generator) for symbol, start in zip(symbols, starts.tolist(), strict=True)]
    return pl.concat(frames)


def _one(symbol: str, days: NDArray[np.datetime64], generator: np.random.Generator) -> pl.DataFrame:
    close = 40.0 * np.exp(np.cumsum(generator.normal(DAILY_DRIFT, DAILY_VOLATILITY, len(days))))
    opened = close * np.exp(generator.normal(0.0, OPENING_GAP, len(days)))
    reach = np.exp(np.abs(generator.normal(0.0, OPENING_GAP, (2, len(days)))))
    fields = {"open": opened, "high": np.maximum(opened, close) * reach[0], "low": np.minimum(opened, close) / reach[1]}
    fields |= {"close": close, ADJ_CLOSE: close * np.exp(DAILY_YIELD * np.arange(1 - len(days), 1))}
    columns = {name: on_tick(pl.Series(name, values)) for name, values in fields.items()}
    volume = np.rint(np.exp(generator.normal(14.0, 0.6, len(days))))
    return pl.DataFrame(
        {
            "symbol": [symbol] * len(days),
            "ts": pl.Series(days.astype("datetime64[us]")).dt.replace_time_zone("UTC"),
            **columns,
            "volume": volume,
            STATUS: [SPLITS] * len(days),
        },
        schema={**BARS, ADJ_CLOSE: pl.Float64()},
    )


def _delivered(file: Path) -> pl.DataFrame:
    return normalise(read_file(file), file.name, "daily")

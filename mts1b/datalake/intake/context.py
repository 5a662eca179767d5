"""What is stored already of the names in a delivery: the bars before it, and the splits that were."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

from mts1b.datalake.actions import ACTIONS
from mts1b.datalake.catalog import Lake
from mts1b.datalake.intake.delivery import Terms
from mts1b.datalake.intake.storing import bars_of
from mts1b.datalake.pointintime import NOW, under_tickers
from mts1b.datalake.schema import PRICES, STATUS

DAYS_BEFORE = timedelta(days=60)
"""How far back a delivery is compared with what is stored."""

INTRADAY_NAMES_MAX = 50
"""Names up to which intraday deliveries are compared with stored bars: 60 days of each are read."""


def stored_context(lake: Lake, terms: Terms, bars: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """As `mts1b.datalake.intake.take.Context` wants it."""
    names = bars["symbol"].unique().sort().to_list()
    return _before(lake, terms, bars, names), _actions(lake, terms, names)


def _before(lake: Lake, terms: Terms, bars: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    dataset = bars_of(lake, terms.market)
    stored = dataset.stored(terms.interval)
    first, last = bars["ts"].min(), bars["ts"].max()
    wanted = ["symbol", "ts", *PRICES, "volume", STATUS]
    nothing = bars.select(wanted).clear()
    if stored is None or not isinstance(first, datetime) or not isinstance(last, datetime):
        return nothing
    held = sorted(set(names).intersection(stored.symbols))
    if not held or (not terms.daily and len(held) > INTRADAY_NAMES_MAX):
        return nothing
    start, end = first.astimezone(UTC) - DAYS_BEFORE, last.astimezone(UTC)
    columns = wanted[2:] if terms.market == "equities" else wanted[2:-1]
    found = dataset.read(held, terms.interval, start, end, columns=columns)
    return found if STATUS in found.columns else found.with_columns(pl.lit("raw").alias(STATUS))


def _actions(lake: Lake, terms: Terms, names: list[str]) -> pl.DataFrame:
    if terms.market != "equities":
        return ACTIONS.to_frame()
    known = lake.equities.known
    return under_tickers(known.priced(NOW), known.tickers(NOW), names)

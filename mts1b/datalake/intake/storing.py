"""Checked rows into the lake's datasets, with the moment from which each was known."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl

from mts1b.datalake.actions import DELISTING, checked_actions
from mts1b.datalake.bars import Bars
from mts1b.datalake.catalog import Lake
from mts1b.datalake.columns import TIMESTAMP
from mts1b.datalake.membership import checked_members
from mts1b.datalake.schema import ADJ_CLOSE, PRICES, STATUS, VWAP
from mts1b.datalake.symbols import checked_history

KNOWN = "known_ts"


def bars_of(lake: Lake, market: str) -> Bars:
    """The bars of a market: equities, crypto or fx."""
    found: Bars = getattr(lake, market).bars
    return found


def store_bars(lake: Lake, market: str, interval: str, bars: pl.DataFrame, note: str, now_us: int) -> None:
    """Store bars (`BARS` of `mts1b.datalake.intake.take`). One that changes a stored bar, without saying since when it
    is known, is known from `now_us` on; one that is new counts as known at its end.

    Of several bars of a name at a time, each revises those before it.
    """
    dataset = bars_of(lake, market)
    values = [name for name in bars.columns if name not in ("symbol", "ts")]
    bars = bars.unique(["symbol", "ts", *values], keep="first", maintain_order=True)
    bars = bars.with_columns(layer=pl.int_range(pl.len()).over("symbol", "ts"))
    for layer in bars["layer"].unique().sort().to_list():
        rows = _columns(bars.filter(pl.col("layer") == layer), market)
        at = pl.lit(now_us + layer).cast(TIMESTAMP)
        again = rows.join(_held(dataset, interval, rows), on=["symbol", "ts"], how="semi").with_columns(
            pl.coalesce(KNOWN, at).alias(KNOWN)
        )
        new = rows.join(again, on=["symbol", "ts"], how="anti")
        dataset.upsert(pl.concat([new, again]), interval, note)


def _columns(bars: pl.DataFrame, market: str) -> pl.DataFrame:
    """Bars in the columns of their dataset."""
    volume = pl.col("volume").round() if market == "equities" else pl.col("volume")
    own = [STATUS, ADJ_CLOSE, VWAP] if market == "equities" else []
    return bars.select("symbol", "ts", *PRICES, volume, *own, pl.col("known").alias(KNOWN))


def _held(dataset: Bars, interval: str, rows: pl.DataFrame) -> pl.DataFrame:
    """symbol and ts of the stored bars among the names and times of some."""
    stored = dataset.stored(interval)
    first, last = rows["ts"].min(), rows["ts"].max()
    nothing = rows.select("symbol", "ts").clear()
    if stored is None or not isinstance(first, datetime) or not isinstance(last, datetime):
        return nothing
    names = sorted(set(rows["symbol"].unique().to_list()).intersection(stored.symbols))
    if not names:
        return nothing
    return dataset.read(names, interval, first.astimezone(UTC), last.astimezone(UTC), columns=["close"]).select(
        "symbol", "ts"
    )


def store_actions(lake: Lake, actions: pl.DataFrame, source: str) -> None:
    """Store splits and dividends (columns of `mts1b.datalake.actions.ACTIONS`). DataError for the first bad row."""
    rows = checked_actions(actions, source)
    lake.equities.corporate_actions.upsert(
        rows.select(
            symbol="security", ts=pl.col("ex").cast(TIMESTAMP), kind="kind", value="value", **{KNOWN: pl.col("known")}
        ),
        source=source,
    )


def store_history(lake: Lake, history: pl.DataFrame, source: str) -> None:
    """Store who had which ticker when (columns of `mts1b.datalake.symbols.HISTORY`), and the ends of listings among the
    corporate actions. DataError for the first bad row."""
    rows = checked_history(history, source)
    lake.equities.symbol_history.upsert(
        rows.select(
            symbol="ticker",
            ts=pl.col("first").cast(TIMESTAMP),
            security="security",
            until=pl.col("last").cast(TIMESTAMP),
            **{KNOWN: pl.col("known")},
        ),
        source=source,
    )
    ended = rows.filter("delisted")
    if ended.height:
        day = pl.col("last").cast(TIMESTAMP)
        lake.equities.corporate_actions.upsert(
            ended.select(symbol="security", ts=day, kind=pl.lit(DELISTING), value=None, **{KNOWN: day}),
            source=source,
        )


def store_members(lake: Lake, members: pl.DataFrame, source: str) -> None:
    """Store stays in universes (columns of `mts1b.datalake.membership.MEMBERS`). DataError for the first bad row."""
    rows = checked_members(members, source)
    lake.equities.index_membership.upsert(
        rows.select(
            symbol="symbol",
            ts=pl.col("first").cast(TIMESTAMP),
            index="universe",
            until=pl.col("last").cast(TIMESTAMP),
            **{KNOWN: pl.col("known")},
        ),
        source=source,
    )

"""Prices as they were delivered become comparable over time: splits and dividends are applied when bars are read.

Only what was known and in force at the moment asked for is applied, so that a reader of the day before a split sees the
prices of that day. Total return is CRSP's: over a day without a dividend c(t) / c(t-1), over one with a dividend d
(c(t) + d) / c(t-1), the cash put back in at the day's close. So the factor of a dividend is c / (c + d) with the close
of its first day without; Yahoo's and LEAN's 1 - d / c(t-1) takes the close before, and differs by d times the day's
return.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl

from mts1b.datalake.actions import DIVIDEND, SPLIT
from mts1b.datalake.schema import ADJ_CLOSE, PRICES, RAW, SPLITS, STATUS, TOTAL, VWAP, refuse
from mts1b.foundation.errors import InputError

Adjust = Literal["split", "total"] | None
"""None: prices as delivered; split: of shares as they are at the end; total: dividends put back in as well."""

DAY = "day"


def check_adjust(adjust: str | None) -> None:
    """InputError for another word than the three."""
    if adjust not in (None, SPLITS, TOTAL):
        raise InputError("adjust", adjust, "no such adjustment", "give 'split', 'total' or None")


def adjusted(
    bars: pl.DataFrame,
    adjust: Adjust,
    known: pl.DataFrame,
    every: pl.DataFrame,
    closes: pl.DataFrame,
    relative: bool = False,
) -> pl.DataFrame:
    """The bars with open, high, low, close, vwap and volume adjusted, in their order, float64 and not rounded.

    `bars`: symbol, day (the session's date), prices, volume, `adjustment` (a status), `adj_close` (null where none was
    delivered). `known`: the actions (`security` as the bars' symbols) known and in force at the moment asked for;
    `every`: those in force when the bars were delivered. `closes`: symbol, day, close, adjustment and adj_close of each
    name's days up to the moment, for the days of dividends and the last one. `relative`: adj_closes, which know what
    came after the moment, count as what they are to the last of them.

    DataError for bars delivered with dividends in them when splits alone are wanted.
    """
    check_adjust(adjust)
    if adjust is None or not bars.height:
        return bars
    if adjust == SPLITS:
        told = bars.select("symbol", DAY, "close", STATUS)
        refuse(told, pl.col(STATUS) == TOTAL, "dividends are in these prices already", "ask for adjust='total', or")
    wide = _with_shares(bars, known, every)
    if adjust == TOTAL:
        wide = _with_payouts(wide, known, every, closes, relative)
    factor = pl.col("shares") if adjust == SPLITS else pl.col("shares") * pl.col("payout")
    prices = [name for name in (*PRICES, VWAP) if name in bars.columns]
    return wide.with_columns(*(pl.col(name) * factor for name in prices), pl.col("volume") / pl.col("shares")).select(
        bars.columns
    )


def _with_shares(bars: pl.DataFrame, applied: pl.DataFrame, every: pl.DataFrame) -> pl.DataFrame:
    """With `shares`: from delivered prices to those of the shares at the moment, by each bar's status."""
    ratio = 1.0 / pl.col("value")
    wide = _later(bars, _of(applied, SPLIT, ratio), "applied")
    wide = _later(wide, _of(every, SPLIT, ratio).join(_of(applied, SPLIT, ratio), on=["symbol", "ex"], how="anti"), "x")
    # delivered with splits in it: take those out again that had not come, or were not known, at the moment
    shares = pl.when(pl.col(STATUS) == RAW).then("applied").otherwise(1.0 / pl.col("x"))
    return wide.with_columns(shares=shares).drop("applied", "x")


def _with_payouts(
    bars: pl.DataFrame, applied: pl.DataFrame, every: pl.DataFrame, closes: pl.DataFrame, relative: bool
) -> pl.DataFrame:
    """With `payout`: the factor of dividends. Where the source delivered an adjusted close, it is the source's own."""
    wide = _later(bars, dividend_factors(applied, every, closes), "dividends")
    delivered = (pl.col(ADJ_CLOSE) / pl.col("close")).alias("delivered")
    # what came after the moment cancels: the last close known holds the same factor of it as all before
    last = closes.sort(DAY).group_by("symbol").last().select("symbol", delivered.alias("last"))
    last = last if relative else last.clear()
    wide = wide.join(last, on="symbol", how="left", maintain_order="left").with_columns(delivered)
    own = pl.col("delivered") / pl.col("last").fill_null(1.0)
    raw = pl.col(STATUS) == RAW
    payout = (
        pl.when(pl.col(STATUS) == TOTAL)
        .then(1.0)
        .when(pl.col(ADJ_CLOSE).is_null())
        .then("dividends")
        .when(raw)
        .then(own / pl.col("shares"))
        .otherwise(own)
    )
    return wide.with_columns(payout=payout).drop("dividends", "delivered", "last")


def dividend_factors(applied: pl.DataFrame, every: pl.DataFrame, closes: pl.DataFrame) -> pl.DataFrame:
    """symbol, ex and factor c / (c + d) of each dividend that a bar followed, c the first close without it."""
    paid = applied.filter(pl.col("kind") == DIVIDEND).rename({"security": "symbol"}).sort("ex")
    after = paid.join_asof(
        closes.sort(DAY),
        left_on="ex",
        right_on=DAY,
        by="symbol",
        strategy="forward",
        coalesce=False,
        check_sortedness=False,
    ).filter(pl.col("close").is_not_null())
    # both in shares as they are at the end: a dividend is in those of its day, a close may have splits in it already
    splits = _of(every, SPLIT, 1.0 / pl.col("value"))
    after = _later(_later(after, splits, "of_close", DAY), splits, "of_dividend", "ex")
    close = pl.col("close") * pl.when(pl.col(STATUS) == RAW).then("of_close").otherwise(1.0)
    return after.select("symbol", "ex", factor=close / (close + pl.col("value") * pl.col("of_dividend")))


def _of(actions: pl.DataFrame, kind: str, factor: pl.Expr) -> pl.DataFrame:
    return actions.filter(pl.col("kind") == kind).select(
        pl.col("security").alias("symbol"), "ex", factor.alias("factor")
    )


def _later(rows: pl.DataFrame, factors: pl.DataFrame, name: str, day: str = DAY) -> pl.DataFrame:
    """The rows with the product of all factors of later days than their `day` as column `name`."""
    product = np.ones(rows.height)
    steps = factors.sort("ex").with_columns(pl.col("factor").reverse().cum_prod().reverse().over("symbol").alias(name))
    steps = steps.group_by(["symbol", "ex"], maintain_order=True).first().sort("ex").select("symbol", "ex", name)
    known = steps["symbol"].unique()
    concerned = rows.select("symbol", pl.col(day).dt.offset_by("1d").alias("after")).with_row_index("place")
    concerned = concerned.filter(pl.col("symbol").is_in(known.implode())).sort("after")
    if concerned.height:
        joined = concerned.join_asof(
            steps, left_on="after", right_on="ex", by="symbol", strategy="forward", check_sortedness=False
        )
        product[joined["place"].to_numpy()] = joined[name].fill_null(1.0).to_numpy()
    return rows.with_columns(pl.Series(name, product))

"""Delivered texts and values as typed bars; what has the wrong type, or a time that could mean two, is told by row."""

from __future__ import annotations

from datetime import time

import polars as pl

from mts1b.datalake.columns import TIMESTAMP
from mts1b.datalake.intake.delivery import Delivery, Terms, joined, offences
from mts1b.datalake.intake.tables import NEEDED
from mts1b.datalake.schema import ADJ_CLOSE, INTERVAL_US, PRICES, RAW, SPLITS, STATUS, STATUSES, VWAP

ISO = r"^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?)?\s*(Z|[+-]\d{2}:?\d{2})?$"
PARSED = pl.Schema(
    {
        "place": pl.UInt32(),
        "symbol": pl.String(),
        "ts": TIMESTAMP,
        **dict.fromkeys(PRICES, pl.Float64()),
        "volume": pl.Float64(),
        ADJ_CLOSE: pl.Float64(),
        VWAP: pl.Float64(),
        STATUS: pl.String(),
        "known": TIMESTAMP,
    }
)
"""A bar as the checks see it. `ts`: its start; a daily bar's is 00:00 of its date."""


def parse(delivery: Delivery) -> tuple[pl.DataFrame, pl.DataFrame]:
    """`PARSED` rows, one for each delivered that is not an offender already, and the offences found on the way."""
    told = delivery.offences["place"].unique()
    rows = delivery.rows.with_row_index("place").filter(~pl.col("place").is_in(told.implode()))
    absent = [name for name in NEEDED if name not in rows.columns]
    if absent and rows.height:
        reason = f"the file has no column {absent[0]!r}; it holds: {', '.join(delivery.rows.columns)}"
        return PARSED.to_frame(), offences(rows["place"], "columns", reason)
    if absent:
        return PARSED.to_frame(), joined([])
    rows, found = _numbers(rows)
    rows, untimed = _times(rows, "ts", delivery.terms)
    found.append(untimed)
    if "known" in rows.columns:
        rows, unknown = _moments(rows, "known", "UTC")
        found.append(unknown)
    rows, odd = _status(rows, delivery.terms)
    found.append(odd)
    rows = rows.with_columns(pl.col("symbol").cast(pl.String).str.strip_chars())
    empty = {name: pl.lit(None, kind).alias(name) for name, kind in PARSED.items() if name not in rows.columns}
    return rows.with_columns(**empty).select(pl.col(name).cast(kind) for name, kind in PARSED.items()), joined(found)


def _numbers(rows: pl.DataFrame) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    found = []
    for name in (*PRICES, "volume", ADJ_CLOSE, VWAP):
        if name not in rows.columns:
            continue
        if isinstance(rows.schema[name], pl.String):
            given = pl.col(name).str.strip_chars()
            rows = rows.with_columns(pl.when(~given.is_in(["", "null", "NaN", "nan"])).then(given).alias(name))
        number = pl.col(name).cast(pl.Float64, strict=False).fill_nan(None)
        wrong = rows.filter(number.is_null() & pl.col(name).is_not_null())
        reason = pl.format(f"{name} is not a number: {{}}", pl.col(name).cast(pl.String))
        found.append(offences(wrong, "type", reason))
        rows = rows.with_columns(number.alias(name))
    return rows, found


def _status(rows: pl.DataFrame, terms: Terms) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What the prices have in them: as the column says, else as the terms, else raw, or split with an adj_close."""
    usual = terms.status or (SPLITS if ADJ_CLOSE in rows.columns else RAW)
    if STATUS not in rows.columns:
        return rows.with_columns(pl.lit(usual).alias(STATUS)), joined([])
    said = pl.col(STATUS).cast(pl.String).str.strip_chars().str.to_lowercase().replace("none", RAW).fill_null(usual)
    rows = rows.with_columns(said.alias(STATUS))
    reason = pl.format("adjustment {} is none of " + ", ".join(STATUSES), pl.col(STATUS))
    return rows, offences(rows.filter(~pl.col(STATUS).is_in(STATUSES)), "type", reason)


def _times(rows: pl.DataFrame, name: str, terms: Terms) -> tuple[pl.DataFrame, pl.DataFrame]:
    """With `ts` as the start of each bar in UTC; null for an offender."""
    if not terms.daily:
        rows, found = _moments(rows, name, terms.zone)
        if terms.stamps == "end":
            rows = rows.with_columns(pl.col(name) - pl.duration(microseconds=INTERVAL_US[terms.interval]))
        return rows, found
    rows, found = _clock(rows, name)
    off = (pl.col("clock").dt.time() != time()) & (terms.stamps == "start")
    late = rows.filter(off)
    reason = "a daily bar's time is not 00:00 of its date; if it is the bar's end: --stamps end"
    midnight = (pl.col("clock").dt.time() == time()) & (terms.stamps == "end")  # the end of the day before
    day = pl.when(midnight).then(pl.col("clock").dt.offset_by("-1d")).otherwise(pl.col("clock")).dt.truncate("1d")
    stamp = pl.when(~off).then(day.dt.replace_time_zone("UTC"))
    return rows.with_columns(stamp.alias(name)).drop("clock", "offset"), joined([found, offences(late, "time", reason)])


def _moments(rows: pl.DataFrame, name: str, zone: str | None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """With a column as instants in UTC; null for an offender. Times without a zone are in `zone`."""
    rows, found = _clock(rows, name)
    clock, offset = pl.col("clock"), pl.col("offset")
    if zone is None:
        lone = rows.filter(clock.is_not_null() & offset.is_null())
        reason = f"{name} names no time zone; say which it is: --zone America/New_York (or UTC)"
        told = offences(lone, "zone", reason)
        local = pl.lit(None, TIMESTAMP)
    else:
        local = clock.dt.replace_time_zone(zone, ambiguous="null", non_existent="null").dt.convert_time_zone("UTC")
        rows = rows.with_columns(local=local)
        twice = rows.filter(clock.is_not_null() & offset.is_null() & pl.col("local").is_null())
        told = offences(twice, "zone", f"{name} is a time that {zone} has twice or not at all, as clocks change")
        local = pl.col("local")
    instant = (clock - pl.duration(minutes=pl.col("offset"))).dt.replace_time_zone("UTC")
    moment = pl.when(offset.is_null()).then(local).otherwise(instant)
    rows = rows.with_columns(moment.cast(TIMESTAMP).alias(name))
    return rows.drop("clock", "offset", "local", strict=False), joined([found, told])


def _clock(rows: pl.DataFrame, name: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """With `clock`, the time as it is written, and `offset`, its minutes east of UTC, null when it says nothing."""
    kind = rows.schema[name]
    none = pl.lit(None, pl.Int32).alias("offset")
    if isinstance(kind, pl.Date):
        return rows.with_columns(pl.col(name).cast(pl.Datetime("us")).alias("clock"), none), joined([])
    if isinstance(kind, pl.Datetime):
        written = pl.col(name).dt.replace_time_zone(None).cast(pl.Datetime("us"))
        if kind.time_zone is None:
            return rows.with_columns(written.alias("clock"), none), joined([])
        utc = pl.col(name).dt.convert_time_zone("UTC").dt.replace_time_zone(None).cast(pl.Datetime("us"))
        east = (written - utc).dt.total_minutes().cast(pl.Int32).alias("offset")
        return rows.with_columns(written.alias("clock"), east), joined([])
    text = pl.col(name).cast(pl.String, strict=False).str.strip_chars()
    parts = text.str.extract_groups(ISO)
    rows = rows.with_columns(parts.alias("_parts"), text.alias("_text")).unnest("_parts")
    second = pl.format("{} {}:{}", "1", pl.col("2").fill_null("00:00"), pl.col("3").fill_null("00"))
    micros = pl.col("4").fill_null("0").str.pad_end(6, "0").str.slice(0, 6).cast(pl.Int64)
    clock = second.str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us", strict=False)
    clock = clock + pl.duration(microseconds=micros)
    zone = pl.col("5")
    sign = pl.when(zone.str.starts_with("-")).then(-1).otherwise(1)
    minutes = zone.str.slice(1, 2).cast(pl.Int32, strict=False) * 60 + zone.str.slice(-2).cast(pl.Int32, strict=False)
    offset = pl.when(zone == "Z").then(0).when(zone.is_not_null()).then(sign * minutes)
    rows = rows.with_columns(clock=clock, offset=offset.cast(pl.Int32))
    wrong = rows.filter(pl.col("clock").is_null() & pl.col("_text").is_not_null())
    # 03/01/2017 is March to some and January to others
    told = offences(wrong, "time", pl.format(f"{name} is no ISO 8601 date or time: {{}}", pl.col("_text")))
    return rows.drop("1", "2", "3", "4", "5", "_text"), told

"""What a stored bar is: columns, intervals and the checks a row must pass.

Prices and volumes are stored as they were delivered, on the tick, with what they have in them already (`adjustment`:
raw, split or total) and, where the source has one, its adjusted close. They are adjusted when they are read
(`mts1b.datalake.adjust`).

Files hold prices as DECIMAL(18, 4), exact and, as differences of integers, a fifth of their size in CSV. Readers get
float64, each the nearest to its decimal.
"""

from __future__ import annotations

from datetime import time

import polars as pl

from mts1b.datalake.columns import TIMESTAMP as TIMESTAMP
from mts1b.datalake.columns import count, instant, on_scale, price, read_schema, text
from mts1b.datalake.definitions import MONTH, YEAR, Storage
from mts1b.foundation.errors import DataError, unknown_name
from mts1b.foundation.limits import TICK

TICK_DECIMALS = len(TICK) - len("0.")
TICKS_PER_UNIT = 10**TICK_DECIMALS
PRICE_MAX = 1e9
"""Above this a float64 no longer tells ticks apart with room to spare, and DECIMAL(18, 4) is soon full."""
VOLUME_MAX = 2**53
"""Shares of one bar; above this a float64 skips numbers."""

TICKER = r"^[A-Z0-9^][A-Z0-9.^=/-]{0,31}$"
"""What a symbol looks like."""

PRICES = ("open", "high", "low", "close")

STATUS, RAW, SPLITS, TOTAL = "adjustment", "raw", "split", "total"
STATUSES = (RAW, SPLITS, TOTAL)
"""What delivered prices have in them already: nothing, splits, or splits and dividends."""

COLUMNS = (
    text("symbol"),
    instant("ts"),
    *(price(name) for name in PRICES),
    count("volume", "shares"),
    text(STATUS, "what the prices have in them: raw, split or total"),
)
"""A bar. Prices on the tick, volume in shares, both as delivered."""

BARS = read_schema(COLUMNS)
"""A bar as it is read."""

VWAP, ADJ_CLOSE = "vwap", "adj_close"
"""Columns of volume-weighted prices and of the source's adjusted closes: there where a delivery had them, null where it
had none for a bar."""


INTERVALS = {
    "daily": Storage(YEAR, "snappy", None, 5_040),
    "1h": Storage(MONTH, "zstd", 3, 8_192),
    "15m": Storage(MONTH, "zstd", 3, 16_384),
    "5m": Storage(MONTH, "zstd", 3, 16_384),
    "1m": Storage(MONTH, "zstd", 3, 9_000),
}
"""Daily bars: snappy, a file a year. Intraday: zstd level 3, a file a month.

A reader skips the row groups whose names it was not asked for. So groups are small where files are, and hold one name's
month at one minute (23 sessions of 390 at most): reading a name alone takes half of what it took with two in a group,
reading all of them as long.
"""

INTERVAL_US = {"daily": 86_400_000_000, "1h": 3_600_000_000, "15m": 900_000_000, "5m": 300_000_000, "1m": 60_000_000}


def interval_of(name: str) -> Storage:
    """How bars of the interval called `name` are stored. UnknownNameError when there is none."""
    if name not in INTERVALS:
        raise unknown_name("interval", name, INTERVALS)
    return INTERVALS[name]


def on_tick(prices: pl.Series) -> pl.Series:
    """Each price rounded to the tick, as the float64 nearest to it: it prints with at most four decimals."""
    return on_scale(prices, TICK_DECIMALS)


def normalise(frame: pl.DataFrame, source: str, interval: str) -> pl.DataFrame:
    """Delivered bars as stored bars, sorted by symbol and time.

    Needs symbol, ts (or date), open, high, low, close, volume; `adj_close` is optional, and so is `vwap`, which single
    bars may lack, and `adjustment`: without it prices that come with an adj_close are taken to have splits in them,
    others to be raw. Times without a zone are UTC. A daily bar's time is its date, at 00:00 of the zone it is delivered
    in. DataError names the missing column, or the first row that breaks a rule.
    """
    frame = _columns(frame, source)
    frame = _times(frame, source, interval)
    _check_delivered(frame, source)
    names = [name for name in (*PRICES, ADJ_CLOSE, VWAP) if name in frame.columns]
    stored = frame.with_columns(*(on_tick(frame[name]) for name in names), pl.col("volume").round())
    for name in names:
        refuse(stored, pl.col(name) <= 0, f"{name} is below one tick", source)
    return stored.select("symbol", "ts", *PRICES, "volume", STATUS, *names[len(PRICES) :]).sort("symbol", "ts")


def _columns(frame: pl.DataFrame, source: str) -> pl.DataFrame:
    if "ts" not in frame.columns and "date" in frame.columns:
        frame = frame.rename({"date": "ts"})
    if STATUS not in frame.columns:
        frame = frame.with_columns(pl.lit(SPLITS if ADJ_CLOSE in frame.columns else RAW).alias(STATUS))
    for name in ("symbol", "ts", *PRICES, "volume"):
        if name not in frame.columns:
            raise DataError("file", source, f"has no column {name!r}", f"it holds: {', '.join(frame.columns)}")
    optional = tuple(name for name in (VWAP, ADJ_CLOSE) if name in frame.columns)
    numbers, texts = (*PRICES, "volume", *optional), ("symbol", STATUS)
    try:
        found = frame.select(
            *(pl.col(name).cast(pl.String) for name in texts),
            "ts",
            *(pl.col(name).cast(pl.Float64) for name in numbers),
        )
        return found.with_columns(pl.col(optional).fill_nan(None)) if optional else found
    except pl.exceptions.PolarsError as error:
        raise DataError("file", source, f"columns of the wrong type: {first_line(error)}") from None


def _times(frame: pl.DataFrame, source: str, interval: str) -> pl.DataFrame:
    """The frame with `ts` as UTC instants."""
    ts = frame["ts"]
    if isinstance(ts.dtype, pl.String):
        ts = _from_text(frame, source)
    elif isinstance(ts.dtype, pl.Date):
        ts = ts.cast(pl.Datetime("us"))
    elif not isinstance(ts.dtype, pl.Datetime):
        raise DataError("file", source, f"ts holds {ts.dtype}, neither dates nor times", "write ISO 8601 or timestamps")
    if interval == "daily":
        ts = ts.dt.replace_time_zone(None)
        off = pl.col("ts").dt.time() != time()
        refuse(frame.with_columns(ts), off, "a daily bar's time is not 00:00 of its date", source)
    zone = ts.dtype.time_zone if isinstance(ts.dtype, pl.Datetime) else None
    ts = ts.dt.replace_time_zone("UTC") if zone is None else ts.dt.convert_time_zone("UTC")
    return frame.with_columns(ts.cast(TIMESTAMP))


def _from_text(frame: pl.DataFrame, source: str) -> pl.Series:
    # only ISO 8601: 03/01/2017 is March to some and January to others
    iso = pl.col("ts").str.contains(r"^\d{4}-\d{2}-\d{2}([T ]|$)")
    refuse(frame, ~iso, "ts is not an ISO 8601 date or time", source)
    try:
        return frame["ts"].str.to_datetime(time_unit="us", time_zone="UTC")
    except pl.exceptions.PolarsError as error:
        raise DataError("file", source, f"ts cannot be read: {first_line(error)}", "write ISO 8601 times") from None


def _check_delivered(frame: pl.DataFrame, source: str) -> None:
    open_, high, low, close = (pl.col(name) for name in PRICES)
    needed = ("symbol", "ts", *PRICES, "volume", STATUS)
    rules = [
        (pl.any_horizontal(pl.col(name).is_null() for name in needed), "a value is missing"),
        (~pl.col("symbol").str.contains(TICKER), "the symbol is not a ticker"),
        (~pl.col(STATUS).is_in(STATUSES), f"the adjustment is none of {', '.join(STATUSES)}"),
    ]
    for name in (*PRICES, *(name for name in (ADJ_CLOSE, VWAP) if name in frame.columns)):
        price = pl.col(name)
        rules.append((~price.is_finite() | (price <= 0) | (price > PRICE_MAX), f"{name} is not a positive price"))
    rules += [
        (high < low, "high is below low"),
        ((high < open_) | (high < close), "high is below open or close"),
        ((low > open_) | (low > close), "low is above open or close"),
        (~pl.col("volume").is_between(0, VOLUME_MAX), "volume is negative or no count of shares"),
        (pl.struct("symbol", "ts").is_duplicated(), "the symbol has two bars at this time"),
    ]
    for broken, problem in rules:
        refuse(frame, broken, problem, source)


def refuse(frame: pl.DataFrame, broken: pl.Expr, problem: str, source: str) -> None:
    """DataError naming the first row (counted from 1) for which `broken` holds."""
    if frame.select(broken.fill_null(False).any()).item():
        rows = frame.with_row_index("row", offset=1).filter(broken)
        first = rows.row(0, named=True)
        shown = ", ".join(f"{key}={value}" for key, value in first.items() if key != "row")
        more = f" (and {rows.height - 1} more rows)" if rows.height > 1 else ""
        raise DataError("row", first["row"], f"{problem}{more}: {shown}", f"correct {source} and ingest again")


def first_line(error: Exception) -> str:
    """The first line of a library's message: one line is all a user is shown."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__

"""LEAN's data folder, in its native layout: zips of bars, factor files and map files.

    equity/usa/daily/aapl.zip                 a ticker's bars of all days (hour: the same), whoever had it
    equity/usa/minute/spy/20131007_trade.zip  a name's bars of a day
    equity/usa/factor_files/aapl.csv          day, price factor, split factor and close of the last day before a change
    equity/usa/map_files/goog.csv             last day on which a security had a ticker, and the ticker

Equities have prices in ten-thousandths and New York's time, forex and crypto plain decimals and UTC. A bar's time is
its start. Prices are raw.
"""

from __future__ import annotations

import io
import zipfile
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path

import polars as pl

from mts1b.datalake.actions import ACTIONS, DIVIDEND, SPLIT
from mts1b.datalake.calendars import session_after
from mts1b.datalake.intake.delivery import Delivery, Terms, joined, offences
from mts1b.datalake.intake.tables import TEXT
from mts1b.datalake.schema import PRICES, RAW, first_line
from mts1b.datalake.symbols import HISTORY
from mts1b.foundation.errors import DataError

INTERVALS = {"daily": "daily", "hour": "1h", "minute": "1m"}
"""LEAN's resolutions and our intervals."""

MARKETS = {"equity": "equities", "crypto": "crypto", "forex": "fx", "cfd": "fx"}
"""LEAN's classes of assets and our markets."""

DECI_CENTS = 10_000.0
TRADE = ("time", *PRICES, "volume")
QUOTE = ("time", *(f"bid_{p}" for p in PRICES), "bid_size", *(f"ask_{p}" for p in PRICES), "ask_size")
ALIVE = date(2050, 1, 1)
"""A last line of a map file from then on means that the listing goes on."""

SNAP = 1.5e-4
"""How far, as a part of it, a split's ratio in a file of rounded factors may be from small whole numbers."""


def lean_kind(path: Path) -> str | None:
    """What a file of a LEAN folder holds: bars, factors, map; None for what is no such file."""
    folders = [part.lower() for part in path.parts[:-1]]
    if path.suffix == ".csv" and "equity" in folders and folders[-1] in ("factor_files", "map_files"):
        return "factors" if folders[-1] == "factor_files" else "map"
    return "bars" if path.suffix == ".zip" else None


def lean_terms(path: Path) -> tuple[str, Terms]:
    """The class of assets (a key of `MARKETS`) and terms of a zip of bars, from where it lies.

    DataError for a zip of another kind, with what it is.
    """
    parts = [part.lower() for part in path.parts]
    resolution = next((name for name in INTERVALS if name in parts[:-1]), None)
    kind = next((name for name in MARKETS if name in parts[:-1]), None)
    if resolution is None or kind is None:
        problem = "no zip of daily, hourly or minute bars of equities, crypto, forex or cfd in LEAN's layout"
        raise DataError("file", path.name, problem, "give one that lies in folders like equity/usa/daily")
    name = path.stem.lower()
    symbol = parts[-2] if resolution == "minute" else name.removesuffix("_trade").removesuffix("_quote")
    equity = kind == "equity"
    if equity and name.endswith("_quote"):
        raise DataError("file", path.name, "quotes of equities, not bars of trades", "leave it out")
    return kind, Terms(
        MARKETS[kind],
        INTERVALS[resolution],
        zone="America/New_York" if equity else "UTC",
        status=RAW,
        calendar="XNYS" if equity else None,
        symbol=symbol.upper(),
    )


def read_bars(path: Path) -> Delivery:
    """The bars of a zip. DataError when it is damaged, or of another kind."""
    kind, terms = lean_terms(path)
    text = _unzipped(path)
    lines = [line for line in text.splitlines() if line.strip()]
    fields = QUOTE if kind in ("forex", "cfd") or path.stem.endswith("_quote") else TRADE
    rows = pl.DataFrame({TEXT: lines}, schema={TEXT: pl.String}).with_columns(
        pl.col(TEXT).str.split(",").alias("_fields")
    )
    count = pl.col("_fields").list.len()
    short = rows.with_row_index("place").filter(count != len(fields)).with_columns(fields=count)
    reason = pl.format(f"the line has {{}} fields, not {len(fields)}: it may be cut off", "fields")
    whole = rows.with_columns(pl.col("_fields").list.get(i, null_on_oob=True).alias(n) for i, n in enumerate(fields))
    divisor = DECI_CENTS if kind == "equity" else 1.0
    typed = _prices(whole, fields, divisor).with_columns(
        _stamp(path, terms).alias("ts"), pl.lit(terms.symbol).alias("symbol")
    )
    kept = typed.select(TEXT, "symbol", "ts", *PRICES, "volume")
    return Delivery(path.name, kept, terms, joined([offences(short, "fields", reason)]))


def _prices(rows: pl.DataFrame, fields: tuple[str, ...], divisor: float) -> pl.DataFrame:
    """With prices as texts of decimals, of quotes the middle of bid and ask; what is no number stays as it is."""
    if fields == QUOTE:
        middle = [
            ((_number_in(f"bid_{p}") + _number_in(f"ask_{p}")) / 2)
            .cast(pl.String)
            .fill_null(pl.format("{} and {}", f"bid_{p}", f"ask_{p}"))
            .alias(p)
            for p in PRICES
        ]
        return rows.with_columns(*middle, pl.lit("0").alias("volume"))
    if divisor == 1.0:
        return rows
    return rows.with_columns(
        (pl.col(p).cast(pl.Float64, strict=False) / divisor).round(4).cast(pl.String).fill_null(pl.col(p))
        for p in PRICES
    )


def _number_in(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.Float64, strict=False)


def _stamp(path: Path, terms: Terms) -> pl.Expr:
    """Each line's time as ISO 8601, or its own text where it is none. Minutes count from midnight of the file's day."""
    own = pl.col("time")
    if terms.interval != "1m":
        read = own.str.to_datetime("%Y%m%d %H:%M", strict=False)
        return read.dt.strftime("%Y-%m-%d %H:%M").fill_null(own)
    day = path.stem[:8]
    midnight = pl.lit(day).str.to_datetime("%Y%m%d", strict=False)
    read = midnight + pl.duration(milliseconds=own.cast(pl.Int64, strict=False))
    return read.dt.strftime("%Y-%m-%d %H:%M:%S").fill_null(own)


def _unzipped(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if len(names) != 1:
                raise DataError(
                    "file", path.name, f"holds {len(names)} files, not one", "give a zip of one name's bars"
                )
            return archive.read(names[0]).decode("utf-8", errors="replace")
    except (OSError, zipfile.BadZipFile, EOFError) as error:
        raise DataError("file", path.name, f"cannot be read: {first_line(error)}", "deliver it again") from None
    except Exception as error:  # zlib.error has no home in the standard library's tree but its own
        if type(error).__module__ != "zlib":
            raise
        raise DataError("file", path.name, f"cannot be read: {first_line(error)}", "deliver it again") from None


def read_factors(path: Path, calendar: str = "XNYS") -> pl.DataFrame:
    """The `ACTIONS` of a factor file. Each line's factors hold until its day; the next session is without.

    A dividend is what LEAN's price factor says of the close before: close x (1 - factor / next factor).
    DataError when the file does not hold four numbers a line.
    """
    rows = _csv(path, ("day", "price", "split", "close"))
    days = [_day(path, row[0]) for row in rows]
    found: list[tuple[str, date, str, float]] = []
    security = path.stem.upper()
    for place in range(len(rows) - 1):
        price, split, close = (_number(path, text) for text in (*rows[place][1:3], rows[place][3] or "0"))
        later_price, later_split = (_number(path, text) for text in rows[place + 1][1:3])
        ratio, kept = later_split / split, price / later_price
        if (ratio == 1.0 and kept == 1.0) or place + 1 == len(rows):
            continue
        ex = session_after(calendar, days[place])
        ratio = _snapped(ratio)
        if ratio != 1.0:
            found.append((security, ex, SPLIT, ratio))
        if kept != 1.0 and close > 0:
            found.append((security, ex, DIVIDEND, close * (1.0 - kept) / ratio))
    columns = {name: ACTIONS[name] for name in ("security", "ex", "kind", "value")}
    return pl.DataFrame(found, columns, orient="row")


def _snapped(ratio: float) -> float:
    """A split's ratio as a fraction of small numbers where it is as good as one, since factors are rounded."""
    near = Fraction(ratio).limit_denominator(20) if ratio >= 1 else 1 / Fraction(1 / ratio).limit_denominator(20)
    return float(near) if abs(float(near) / ratio - 1.0) < SNAP else ratio


def read_map(path: Path) -> pl.DataFrame:
    """The `HISTORY` of a map file: the first line opens it, each further one is the last day of a ticker."""
    rows = _csv(path, ("day", "ticker"))
    security, found = path.stem.upper(), []
    days = [_day(path, row[0]) for row in rows]
    first = days[0] if days else date.min
    for place in range(1, len(rows)):
        last = days[place]
        lasts = last >= ALIVE
        ended = place == len(rows) - 1 and not lasts
        found.append((security, rows[place][1].upper(), first, None if lasts else last, ended))
        first = last + timedelta(days=1)
    columns = {name: HISTORY[name] for name in ("security", "ticker", "first", "last", "delisted")}
    return pl.DataFrame(found, columns, orient="row")


def _csv(path: Path, fields: tuple[str, ...]) -> list[list[str]]:
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("file", path.name, f"cannot be read: {first_line(error)}", "deliver it again") from None
    rows = [line.split(",") for line in io.StringIO(text).read().splitlines() if line.strip()]
    for number, row in enumerate(rows, start=1):
        row += [""] * (4 - len(row))
        if len(row) < len(fields) or not row[0]:
            raise DataError("row", number, f"has not the fields {', '.join(fields)}", f"correct {path.name}")
    return rows


def _day(path: Path, text: str) -> date:
    try:
        return date.fromisoformat(text[:8])
    except ValueError:
        raise DataError("file", path.name, f"{text!r} is no day like 20140606", "deliver it again") from None


def _number(path: Path, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise DataError("file", path.name, f"{text!r} is no number", "deliver it again") from None

"""CSV and Parquet files as deliveries: every line comes out, also those that fit no column."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import polars as pl

from mts1b.datalake.intake.delivery import Delivery, Terms, joined, offences
from mts1b.datalake.schema import TICKER, first_line
from mts1b.foundation.errors import DataError

TEXT = "line"
"""Column of a line's own text, where it fits no other."""

NAMES = {
    "symbol": ("symbol", "ticker", "sym"),
    "ts": ("ts", "date", "datetime", "timestamp", "time"),
    "open": ("open",),
    "high": ("high",),
    "low": ("low",),
    "close": ("close",),
    "volume": ("volume", "vol"),
    "adj_close": ("adj_close", "adj close", "adjclose", "adjusted_close", "adjusted close"),
    "vwap": ("vwap",),
    "adjustment": ("adjustment",),
    "known": ("known", "knowledge_ts", "known_at"),
}
"""What a bar's columns are called, in any case of letters."""

NEEDED = ("symbol", "ts", "open", "high", "low", "close", "volume")


def read_table(path: Path, terms: Terms) -> Delivery:
    """A .csv or .parquet file. DataError when nothing of it can be read as rows."""
    label = path.name
    found = _parquet(path, terms) if path.suffix == ".parquet" else _csv(path, terms)
    return with_symbol(found, path.stem.upper()) if found.rows.width else found_nothing(label)


def found_nothing(label: str) -> Delivery:
    """Never returns: DataError for a file without a row."""
    raise DataError("file", label, "holds no rows", "give a file with bars")


def renamed(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with the columns of a bar under the names of `NAMES`; others keep theirs."""
    new: dict[str, str] = {}
    for name, spellings in NAMES.items():
        match = next((c for c in rows.columns if c.strip().lower() in spellings), None)
        if match is not None and match != name and name not in rows.columns:
            new[match] = name
    return rows.rename(new)


def with_symbol(delivery: Delivery, stem: str) -> Delivery:
    """The delivery, under the file's name where no column says whose bars they are."""
    if "symbol" in delivery.rows.columns:
        return delivery
    symbol = delivery.terms.symbol or stem
    if not re.match(TICKER, symbol):
        return delivery
    rows = delivery.rows.with_columns(pl.lit(symbol).alias("symbol"))
    said = replace(delivery, rows=rows)
    return said if delivery.terms.symbol else said.said(f"the symbol is the file's name: {symbol}")


def _parquet(path: Path, terms: Terms) -> Delivery:
    try:
        rows = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError("file", path.name, f"cannot be read: {first_line(error)}", "deliver it again") from None
    return Delivery(path.name, renamed(rows), terms)


def _csv(path: Path, terms: Terms) -> Delivery:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError("file", path.name, f"cannot be read: {error.strerror}", "give a file you may read") from None
    text = content.decode("utf-8-sig", errors="replace")
    if not text.strip():
        found_nothing(path.name)
    header = terms.columns or tuple(next(csv.reader(io.StringIO(text.lstrip()))))
    first = 1 if terms.columns else 2
    if not terms.columns and not _is_header(header):
        return _without_header(path.name, text, terms)
    rows, bad = _lines(text, header, skip=first - 1)
    return Delivery(path.name, renamed(rows), terms, bad, first)


def _is_header(names: tuple[str, ...]) -> bool:
    """Whether a first line names columns: at least one of a bar's, and no number."""
    spelled = {spelling for spellings in NAMES.values() for spelling in spellings}
    return any(name.strip().lower() in spelled for name in names)


def _without_header(label: str, text: str, terms: Terms) -> Delivery:
    lines = [line for line in text.splitlines() if line.strip()]
    rows = pl.DataFrame({TEXT: lines})
    told = offences(
        pl.Series("place", range(len(lines))),
        "header",
        "the file has no header; say what its columns are: --columns symbol,ts,open,high,low,close,volume",
    )
    return Delivery(label, rows, terms, told)


def _lines(text: str, header: tuple[str, ...], skip: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Every line of data as texts by column, and those that have another number of fields than the header."""
    names = [name.strip() or f"column_{number}" for number, name in enumerate(header, start=1)]
    try:
        if len(set(names)) != len(names) or '"' in text or "\0" in text:
            raise pl.exceptions.ComputeError("read line by line")
        rows = pl.read_csv(
            io.BytesIO(text.encode()),
            has_header=False,
            new_columns=names,
            skip_rows=skip,
            infer_schema=False,
        )
        if rows.width == len(names) and not rows[names[-1]].null_count():
            return rows, joined([])
    except pl.exceptions.PolarsError:
        pass
    return _one_by_one(text, names, skip)


def _one_by_one(text: str, names: list[str], skip: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    unlike: dict[int, int] = {}
    fields: list[list[str | None]] = []
    for line in [line for line in text.splitlines() if line.strip()][skip:]:
        record = next(csv.reader([line.replace("\0", "")]))  # line by line: an open quote must not swallow the rest
        if len(record) != len(names):
            unlike[len(fields)] = len(record)
            fields.append([None] * len(names) + [line])
        else:
            fields.append([*record, None])
    schema = dict.fromkeys([*dict.fromkeys(names), TEXT] if len(set(names)) == len(names) else [], pl.String)
    if not schema:
        raise DataError("file", "csv", f"a column is named twice: {', '.join(names)}", "name each column once")
    rows = pl.DataFrame(fields, schema=schema, orient="row")
    if not unlike:
        return rows.drop(TEXT), joined([])
    told = pl.DataFrame({"place": list(unlike), "fields": list(unlike.values())})
    reason = pl.format(f"the line has {{}} fields, the header {len(names)}: it may be cut off", pl.col("fields"))
    return rows, offences(told, "fields", reason)

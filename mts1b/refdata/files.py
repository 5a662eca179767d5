"""Master data out of files, and opening hours out of exchange calendars: for who loads them, not for who trades."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from mts1b.datalake.calendars import calendar
from mts1b.datalake.delivered import read_file
from mts1b.foundation.clock import from_ns, to_ns
from mts1b.foundation.errors import DataError, InputError
from mts1b.foundation.instrument import ALWAYS
from mts1b.refdata.master import Windows
from mts1b.refdata.rows import InstrumentRow, Row, checked_columns, checked_rows

SESSIONS_BEHIND, SESSIONS_AHEAD = timedelta(days=7), timedelta(days=400)
"""Days whose opening hours are stored with instruments; after the last of them the exchange counts as closed."""


def read_master(kind: str, path: Path) -> tuple[Row, ...]:
    """The rows of a .csv or .parquet file. DataError names row, field and value of the first that is wrong.

    A row's number is its line in a CSV file, and its place, counted from 1, in a Parquet file.
    """
    if path.suffix == ".csv" and path.is_file():
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                return checked_rows(kind, _lines(kind, csv.reader(file, strict=True), path.name), path.name)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise DataError("file", str(path), f"cannot be read: {error}", "give a CSV file in UTF-8") from None
    table = read_file(path)
    checked_columns(kind, table.columns, path.name)
    return checked_rows(kind, enumerate(table.iter_rows(named=True), start=1), path.name)


def _lines(kind: str, lines: Any, label: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    header = [name.strip() for name in next(lines, [])]
    checked_columns(kind, header, label)
    if len(set(header)) != len(header):
        raise DataError("file", label, "names a column twice", f"it holds: {', '.join(header)}")
    for fields in lines:
        if not fields:
            continue
        if len(fields) != len(header):
            problem = f"the row has {len(fields)} fields, the header {len(header)}"
            raise DataError(f"{label}, row {lines.line_num}", ",".join(fields), problem, "nothing of it was loaded")
        yield lines.line_num, dict(zip(header, (field.strip() for field in fields), strict=True))


def opening_hours(rows: Iterable[Row], now_ns: int) -> dict[str, Windows]:
    """Hours of the sessions that instruments name, from now on. InputError names the row of one that is unknown."""
    named = {row.session: row.symbol for row in rows if isinstance(row, InstrumentRow) and row.session != ALWAYS.name}
    return {session: _hours(session, symbol, now_ns) for session, symbol in sorted(named.items())}


def _hours(session: str, symbol: str, now_ns: int) -> Windows:
    today = from_ns(now_ns)
    first, last = (today - SESSIONS_BEHIND).date(), (today + SESSIONS_AHEAD).date()
    try:
        found = calendar(session, first, last).sessions
    except InputError as error:
        remedy = f"give {ALWAYS.name}, or {error.remedy.removeprefix('give ')}"
        raise InputError(f"session of {symbol}", session, error.problem, remedy) from None
    pairs = zip(found["day"], found["opens"], found["closes"], strict=True)
    return tuple((to_ns(opens), to_ns(closes)) for day, opens, closes in pairs if first <= day <= last)

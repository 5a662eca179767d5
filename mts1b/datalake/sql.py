"""Ad-hoc questions in SQL: DuckDB over the lake's Parquet files, read only. The only module that imports duckdb."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import duckdb
import polars as pl

from mts1b.datalake.schema import BARS, TIMESTAMP, bars_schema, first_line
from mts1b.foundation.errors import DataError, InputError
from mts1b.foundation.limits import SQL_MEMORY_BYTES_MAX

Params = Sequence[object] | Mapping[str, object] | None

READING = frozenset({"SELECT", "EXPLAIN", "PRAGMA", "CALL", "MULTI"})
SCRATCH = frozenset({"CREATE", "INSERT", "UPDATE", "DELETE", "DROP", "TRANSACTION"})
"""Statements that change the session's own memory only: temporary tables and views."""

SQL_TYPES = {pl.String(): "VARCHAR", pl.Float64(): "DOUBLE", TIMESTAMP: "TIMESTAMPTZ"}


class Answer:
    """The rows one statement gave."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame

    def pl(self) -> pl.DataFrame:
        """As a polars frame; times are Datetime(us, UTC)."""
        return self._frame

    def fetchall(self) -> list[tuple[Any, ...]]:
        """As a list of tuples."""
        return self._frame.rows()

    def fetchone(self) -> tuple[Any, ...] | None:
        """The first row, or None."""
        return self._frame.row(0) if self._frame.height else None


class Session:
    """A connection whose tables are the lake's datasets, `equities.bars` first. Times are read as UTC."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def execute(self, sql: str, params: Params = None) -> Answer:
        """Run one statement. InputError when it is wrong or would write; DataError when a file cannot be read."""
        try:
            self._refuse_writing(sql)
            relation = self._connection.sql(sql, params=cast(Any, params))
            return Answer(pl.DataFrame() if relation is None else _frame(relation))
        except duckdb.PermissionException as error:
            raise InputError("sql", sql, first_line(error), "a session reads the lake and nothing else") from None
        except duckdb.IOException as error:
            raise DataError("lake", sql, first_line(error), "ingest the data again") from None
        except duckdb.Error as error:
            raise InputError("sql", sql, first_line(error), "correct the statement") from None

    def _refuse_writing(self, sql: str) -> None:
        for statement in self._connection.extract_statements(sql):
            kind = str(statement.type).rpartition(".")[2]
            hidden = kind == "EXPLAIN" and re.search(r"\bcopy\b", statement.query, re.IGNORECASE)
            if kind not in READING | SCRATCH or hidden:
                raise InputError("sql", sql, f"{kind} is not allowed here", "a session only reads the lake")


def _frame(relation: duckdb.DuckDBPyRelation) -> pl.DataFrame:
    return cast(pl.DataFrame, pl.from_arrow(relation.to_arrow_table()))


@contextmanager
def open_session(bars: Mapping[str, Sequence[Path]], vwap: Collection[str] = ()) -> Iterator[Session]:
    """A session on bars by interval -> files. The files are all it may open, and none may be written.

    `vwap`: intervals in which some files have volume-weighted prices.
    """
    connection = duckdb.connect(":memory:")
    try:
        files = [str(path) for paths in bars.values() for path in paths]
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"SET memory_limit = '{SQL_MEMORY_BYTES_MAX // (1 << 20)}MiB'")
        connection.execute("SET autoinstall_known_extensions = false")
        connection.execute("CREATE SCHEMA equities")
        connection.execute(f"CREATE VIEW equities.bars AS {_bars_view(bars, vwap)}")
        connection.execute(f"SET allowed_paths = {_listed(files)}")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield Session(connection)
    except duckdb.IOException as error:
        raise DataError("lake", "duckdb", first_line(error), "ingest the data again") from None
    finally:
        connection.close()


def _bars_view(bars: Mapping[str, Sequence[Path]], vwap: Collection[str]) -> str:
    selects = [_select(interval, files, interval in vwap) for interval, files in bars.items() if files]
    return " UNION ALL BY NAME ".join(selects) or _nothing()


def _select(interval: str, files: Sequence[Path], vwap: bool) -> str:
    columns = ", ".join(f"{name}::{SQL_TYPES[kind]} AS {name}" for name, kind in bars_schema(vwap).items())
    # only files that may differ in their columns are all looked into beforehand
    source = f"read_parquet({_listed(map(str, files))}, hive_partitioning = false, union_by_name = {str(vwap).lower()})"
    return f"SELECT {columns}, '{interval}' AS interval FROM {source}"  # noqa: S608 - names are our own


def _nothing() -> str:
    columns = [f"NULL::{SQL_TYPES[kind]} AS {name}" for name, kind in BARS.items()]
    return f"SELECT {', '.join(columns)}, NULL::VARCHAR AS interval WHERE false"


def _listed(values: Iterable[str]) -> str:
    quoted = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
    return f"[{quoted}]"

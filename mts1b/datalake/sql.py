"""Ad-hoc questions in SQL: DuckDB over the lake's Parquet files, read only. The only module that imports duckdb."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Timer
from typing import Any, cast

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds

from mts1b.datalake.dataset import Dataset, Stored
from mts1b.datalake.results import DOMAIN, Results
from mts1b.datalake.schema import first_line
from mts1b.datalake.snapshot import StoredFile
from mts1b.datalake.views import View, results_view, views
from mts1b.foundation.errors import DataError, InputError
from mts1b.foundation.limits import SQL_MEMORY_BYTES_MAX, SQL_RESULT_BYTES_MAX, SQL_TIMEOUT_S
from mts1b.platform.telemetry import operation

Params = Sequence[object] | Mapping[str, object] | None

READING = frozenset({"SELECT", "EXPLAIN", "PRAGMA", "CALL", "MULTI"})
SCRATCH = frozenset({"CREATE", "INSERT", "UPDATE", "DELETE", "DROP", "TRANSACTION"})
"""Statements that change the session's own memory only: temporary tables and views."""


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

    def __init__(self, connection: duckdb.DuckDBPyConnection, results: Results, timeout_s: float) -> None:
        self._connection, self._timeout_s = connection, timeout_s
        self._results: Results | None = results

    @operation("datalake.sql")
    def execute(self, sql: str, params: Params = None) -> Answer:
        """Run one statement. InputError when it is wrong, would write, or reaches a limit of time, memory or rows;
        DataError when a file cannot be read."""
        timer = Timer(self._timeout_s, self._connection.interrupt)
        timer.daemon = True
        timer.start()
        try:
            self._refuse_writing(sql)
            self._with_results(sql)
            relation = self._connection.sql(sql, params=cast(Any, params))
            return Answer(pl.DataFrame() if relation is None else _frame(relation, sql))
        except duckdb.PermissionException as error:
            raise InputError("sql", sql, first_line(error), "a session reads the lake and nothing else") from None
        except duckdb.InterruptException:
            problem = f"was stopped after {self._timeout_s:g} s"
            raise InputError("sql", sql, problem, "ask for less, or give duckdb_session a longer timeout_s") from None
        except duckdb.OutOfMemoryException as error:
            remedy = "ask for less, or give duckdb_session a larger memory_bytes"
            raise InputError("sql", sql, first_line(error), remedy) from None
        except duckdb.IOException as error:
            raise DataError("lake", sql, first_line(error), "ingest the data again") from None
        except duckdb.Error as error:
            raise InputError("sql", sql, first_line(error), "correct the statement") from None
        finally:
            timer.cancel()

    def _with_results(self, sql: str) -> None:
        """There may be thousands of sweeps, each a table: they are looked at when a statement speaks of them."""
        if self._results is not None and DOMAIN in sql.lower():
            _create(self._connection, results_view(self._results))
            self._results = None

    def _refuse_writing(self, sql: str) -> None:
        for statement in self._connection.extract_statements(sql):
            kind = str(statement.type).rpartition(".")[2]
            hidden = kind == "EXPLAIN" and re.search(r"\bcopy\b", statement.query, re.IGNORECASE)
            if kind not in READING | SCRATCH or hidden:
                raise InputError("sql", sql, f"{kind} is not allowed here", "a session only reads the lake")


def _frame(relation: duckdb.DuckDBPyRelation, sql: str) -> pl.DataFrame:
    """The answer, taken bit by bit: what DuckDB has handed over no longer counts towards its memory."""
    reader = relation.to_arrow_reader()
    batches, size = [], 0
    try:
        for batch in reader:
            size += batch.nbytes
            if size > SQL_RESULT_BYTES_MAX:
                problem = f"the answer is larger than {SQL_RESULT_BYTES_MAX:,} bytes"
                raise InputError("sql", sql, problem, "ask for fewer rows, or use scan()")
            batches.append(batch)
    except OSError as error:  # what DuckDB raises while Arrow takes its rows arrives as the text of an OSError
        kinds = {"INTERRUPT": duckdb.InterruptException, "Out of Memory": duckdb.OutOfMemoryException}
        found = next((kind for word, kind in kinds.items() if str(error).startswith(word)), duckdb.IOException)
        raise found(str(error)) from None
    return cast(pl.DataFrame, pl.from_arrow(pa.Table.from_batches(batches, reader.schema)))


@contextmanager
def open_session(
    datasets: Iterable[Dataset],
    results: Results,
    memory_bytes: int = SQL_MEMORY_BYTES_MAX,
    timeout_s: float = SQL_TIMEOUT_S,
) -> Iterator[Session]:
    """A session on what is stored now. The files are all it may open, and none may be written."""
    connection = duckdb.connect(":memory:")
    try:
        found = [view for dataset in datasets for view in views(dataset)]
        local = [source for view in found for source in view.sources if source[0].table.place.is_local]
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"SET memory_limit = '{memory_bytes // (1 << 20)}MiB'")
        connection.execute("SET temp_directory = ''")
        connection.execute("SET autoinstall_known_extensions = false")
        connection.execute("SET autoload_known_extensions = false")
        for view in found:
            _create(connection, view)
        paths = [address for source in local for address in _addresses(*source)]
        connection.execute(f"SET allowed_paths = {_listed(paths)}")
        if results.place.is_local:
            connection.execute(f"SET allowed_directories = {_listed([results.place.root + '/'])}")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield Session(connection, results, timeout_s)
    except duckdb.IOException as error:
        raise DataError("lake", "duckdb", first_line(error), "ingest the data again") from None
    finally:
        connection.close()


def _create(connection: duckdb.DuckDBPyConnection, view: View) -> None:
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {view.domain}")
    connection.execute(f"CREATE VIEW {view.domain}.{view.name} AS {_bound(connection, view)}")


def _bound(connection: duckdb.DuckDBPyConnection, view: View) -> str:
    """The view's statement with the files it reads. Those of an object store are read by Arrow."""
    tables = []
    for place, (stored, files) in enumerate(view.sources):
        if stored.table.place.is_local:
            # only files that may differ in their columns are all looked into beforehand
            differ = str(len({file.lacks for file in files}) > 1).lower()
            listed = _listed(_addresses(stored, files))
            tables.append(f"read_parquet({listed}, hive_partitioning = false, union_by_name = {differ})")
        else:
            name = f"files_{view.domain}_{view.name}_{place}"
            connection.register(name, _dataset(stored, files))
            tables.append(name)
    return view.sql.format(*tables)


def _addresses(stored: Stored, files: Sequence[StoredFile]) -> list[str]:
    return [stored.table.place.address(file.path) for file in files]


def _dataset(stored: Stored, files: Sequence[StoredFile]) -> ds.Dataset:
    filesystem, paths = stored.table.place.filesystem([file.path for file in files])
    return ds.dataset(paths, filesystem=filesystem, format="parquet", partitioning=None)


def _listed(values: Iterable[str]) -> str:
    quoted = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
    return f"[{quoted}]"

"""The far side of a session: DuckDB in a process of its own, which can be ended at its limits whatever it is doing.

DuckDB stops a statement between two vectors of rows. Within one call, like repeat('x', 2000000000), it looks neither at
the time nor at its memory: then whoever asked ends the process (`sql.Far`). The only module that imports duckdb; it is
run by its path, so that nothing of ours is imported and it starts in a third of a second.

Standard input: requests, pickled, each after its length. Standard output: `R` (bytes of Arrow's stream), then `D`
(done) or `E` (what went wrong, as JSON), each with its length.
"""

from __future__ import annotations

import json
import pickle
import re
import struct
import sys
from collections.abc import Iterable, Mapping, Sequence
from threading import Timer
from typing import Any, BinaryIO, cast

import duckdb
import pyarrow as pa

LENGTH = struct.Struct("<Q")
ROWS, DONE, FAILED = b"R", b"D", b"E"

READING = frozenset({"SELECT", "EXPLAIN", "PRAGMA", "CALL", "MULTI"})
SCRATCH = frozenset({"CREATE", "INSERT", "UPDATE", "DELETE", "DROP", "TRANSACTION"})
"""Statements that change the session's own memory only: temporary tables and views."""

KINDS = ("PermissionException", "InterruptException", "OutOfMemoryException", "IOException")
"""Exceptions of DuckDB that are told apart."""


class Refused(Exception):
    """A statement that is not for this session. `args`: kind, problem, remedy."""


class Out:
    """A stream's bytes as parts of an answer."""

    closed = False

    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self.part(ROWS, view)
        return len(view)

    def part(self, kind: bytes, data: Any = b"") -> None:
        self._out.write(kind + LENGTH.pack(len(data)))
        self._out.write(data)

    def flush(self) -> None:
        self._out.flush()


class Far:
    """DuckDB, and what it is asked."""

    def __init__(self, out: Out) -> None:
        self._out = out
        self._connection = duckdb.connect(":memory:")

    def limits(self, memory_bytes: int) -> None:
        """DuckDB's own limits: of memory, nothing on disk, no extension, no variable of Python's."""
        for setting in (
            "TimeZone = 'UTC'",
            f"memory_limit = '{memory_bytes // (1 << 20)}MiB'",
            "temp_directory = ''",
            "autoinstall_known_extensions = false",
            "autoload_known_extensions = false",
            "python_enable_replacements = false",
            "parquet_metadata_cache = true",  # files never change
        ):
            self._connection.execute(f"SET {setting}")

    def views(self, found: Iterable[tuple[str, str, str]]) -> None:
        """Views of datasets, by domain and name."""
        for domain, name, sql in found:
            self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS {domain}")
            self._connection.execute(f"CREATE VIEW {domain}.{name} AS {sql}")

    def files(self, name: str, root: str, options: Mapping[str, str], paths: Sequence[str]) -> None:
        """Files of an object store under a name, read by Arrow."""
        import pyarrow.dataset as ds

        from mts1b.datalake.storage import place_of

        filesystem, inside = place_of(root, options).filesystem(paths)
        found = ds.dataset(inside, filesystem=filesystem, format="parquet", partitioning=None)
        self._connection.register(name, found)

    def close_off(self, paths: Iterable[str], directories: Iterable[str]) -> None:
        """From now on nothing but these files may be opened, and no setting changed."""
        self._connection.execute(f"SET allowed_paths = {listed(paths)}")
        self._connection.execute(f"SET allowed_directories = {listed(directories)}")
        self._connection.execute("SET enable_external_access = false")
        self._connection.execute("SET lock_configuration = true")

    def execute(self, sql: str, params: Any, timeout_s: float, answer_bytes_max: int) -> None:
        """The rows of one statement, bit by bit: what DuckDB has handed over no longer counts towards its memory."""
        timer = Timer(timeout_s, self._connection.interrupt)
        timer.daemon = True
        timer.start()
        try:
            self._refuse_writing(sql)
            relation = self._connection.sql(sql, params=params)
            if relation is not None:
                self._hand_over(relation.to_arrow_reader(), answer_bytes_max)
        finally:
            timer.cancel()

    def _hand_over(self, reader: Any, answer_bytes_max: int) -> None:
        size = 0
        with pa.ipc.new_stream(pa.PythonFile(self._out, mode="w"), reader.schema) as stream:
            for batch in reader:
                size += batch.nbytes
                if size > answer_bytes_max:
                    problem = f"the answer is larger than {answer_bytes_max:,} bytes"
                    raise Refused(problem, "ask for fewer rows, or use scan()")
                stream.write_batch(batch)

    def _refuse_writing(self, sql: str) -> None:
        for statement in self._connection.extract_statements(sql):
            kind = str(statement.type).rpartition(".")[2]
            hidden = kind == "EXPLAIN" and re.search(r"\bcopy\b", statement.query, re.IGNORECASE)
            if kind not in READING | SCRATCH or hidden:
                raise Refused(f"{kind} is not allowed here", "a session only reads the lake")


def listed(values: Iterable[str]) -> str:
    """Texts as a list in SQL."""
    quoted = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
    return f"[{quoted}]"


def kind_of(error: Exception) -> str:
    """The exception's name, where it is told apart. What DuckDB raises while Arrow takes its rows arrives as text."""
    if isinstance(error, OSError) and not isinstance(error, duckdb.Error):
        words = {"INTERRUPT": "InterruptException", "Out of Memory": "OutOfMemoryException"}
        return next((kind for word, kind in words.items() if str(error).startswith(word)), "IOException")
    if isinstance(error, MemoryError | pa.ArrowMemoryError) or "bad_alloc" in str(error):
        return "OutOfMemoryException"
    return next((kind for kind in KINDS if isinstance(error, getattr(duckdb, kind))), "Error")


def told(error: Exception) -> dict[str, str | None]:
    """What went wrong: a kind and a text, or for what was refused the problem and its remedy."""
    if isinstance(error, Refused):
        return {"kind": "Refused", "problem": error.args[0], "remedy": error.args[1]}
    lines = str(error).strip().splitlines()
    return {"kind": kind_of(error), "problem": lines[0] if lines else type(error).__name__, "remedy": None}


def main() -> None:
    requests, out = sys.stdin.buffer, Out(sys.stdout.buffer)
    far = Far(out)
    while head := requests.read(LENGTH.size):
        name, arguments = pickle.loads(requests.read(LENGTH.unpack(head)[0]))  # noqa: S301 - from who started us
        try:
            getattr(far, name)(*arguments)
        except (duckdb.Error, pa.ArrowException, OSError, MemoryError, Refused) as error:
            out.part(FAILED, json.dumps(told(cast(Exception, error))).encode())
        else:
            out.part(DONE)
        out.flush()


if __name__ == "__main__":
    main()

"""Ad-hoc questions in SQL: DuckDB over the lake's Parquet files, read only, in a process of its own (`sql_worker`)."""

from __future__ import annotations

import json
import pickle
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from threading import Event, Thread
from typing import IO, Any, cast

import polars as pl
import pyarrow as pa

from mts1b.datalake.dataset import Dataset, Stored
from mts1b.datalake.results import DOMAIN, Results
from mts1b.datalake.snapshot import StoredFile
from mts1b.datalake.views import View, results_view, views
from mts1b.foundation.errors import DataError, InputError
from mts1b.foundation.limits import SQL_MEMORY_BYTES_MAX, SQL_RESULT_BYTES_MAX, SQL_TIMEOUT_S
from mts1b.platform.telemetry import operation

Params = Sequence[object] | Mapping[str, object] | None

WORKER = Path(__file__).with_name("sql_worker.py")
LENGTH_BYTES = 8

GRACE_S, ROOM_BYTES = 2.0, 512 << 20
"""How much longer than its limit a statement may take to stop by itself, and how much more than its memory the process
may hold, rows on their way out included. Then it is ended."""

LOOK_EVERY_S = 0.05
PAGE_BYTES = resource.getpagesize()

START_TIMEOUT_S = 60.0


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


@dataclass
class Failed(Exception):
    """What the process reports: the kind of DuckDB's exception, or `Refused`, with what to do instead."""

    kind: str
    problem: str
    remedy: str | None


class Ended(Exception):
    """The process is no more; the text says why."""


class Far:
    """The process that runs DuckDB. It may hold `memory_bytes` and some room."""

    def __init__(self, memory_bytes: int) -> None:
        self._most_bytes = memory_bytes + ROOM_BYTES
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        words = [sys.executable, "-P", str(WORKER)]
        self._process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
        )
        self._status = Path(f"/proc/{self._process.pid}/statm")

    def ask(self, timeout_s: float, name: str, *arguments: object) -> pl.DataFrame:
        """What it answers, without columns where there are no rows to give. Failed; Ended when it had to be."""
        answered, why = Event(), list[str]()
        watch = Thread(target=self._watch, args=(answered, timeout_s, why), daemon=True)
        watch.start()
        try:
            entry, request = cast(IO[bytes], self._process.stdin), pickle.dumps((name, arguments))
            entry.write(len(request).to_bytes(LENGTH_BYTES, "little") + request)
            entry.flush()
            return self._answer()
        except (EOFError, BrokenPipeError):
            self._process.wait()
            raise Ended(why[0] if why else self._last_words()) from None
        finally:
            answered.set()
            watch.join()

    def _watch(self, answered: Event, timeout_s: float, why: list[str]) -> None:
        """End the process when it has not answered in time, or holds too much."""
        for _ in range(ceil(timeout_s / LOOK_EVERY_S)):
            if answered.wait(LOOK_EVERY_S):
                return
            if (held := self._held_bytes()) > self._most_bytes:
                why.append(f"went past its memory: it held {held:,} bytes")
                break
        else:
            why.append(f"did not stop within {timeout_s:g} s")
        self._process.kill()

    def _held_bytes(self) -> int:
        """Memory of the process; 0 where the system does not tell."""
        try:
            return int(self._status.read_text().split()[1]) * PAGE_BYTES
        except (OSError, IndexError):  # no such system, or it has just ended
            return 0

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        for end in (self._process.stdin, self._process.stdout, self._errors):
            with suppress(BrokenPipeError):
                cast(IO[bytes], end).close()

    def _answer(self) -> pl.DataFrame:
        parts: list[bytes] = []
        while True:
            kind = self._read(1)
            data = self._read(int.from_bytes(self._read(LENGTH_BYTES), "little"))
            if kind == b"E":
                raise Failed(**json.loads(data))
            if kind != b"R":
                break
            parts.append(data)
        if not parts:
            return pl.DataFrame()
        return cast(pl.DataFrame, pl.from_arrow(pa.ipc.open_stream(b"".join(parts)).read_all()))

    def _read(self, size: int) -> bytes:
        found = cast(IO[bytes], self._process.stdout).read(size)
        if len(found) < size:
            raise EOFError
        return found

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"it ended with {self._process.returncode}"


class Session:
    """A connection whose tables are the lake's datasets, `equities.bars` first. Times are read as UTC."""

    def __init__(self, far: Far, results: Results, timeout_s: float) -> None:
        self._far, self._timeout_s = far, timeout_s
        self._results: Results | None = results
        self._ended = False

    @operation("datalake.sql")
    def execute(self, sql: str, params: Params = None) -> Answer:
        """Run one statement. InputError when it is wrong, would write, or reaches a limit of time, memory or rows;
        DataError when a file cannot be read. One that does not stop at its limits by itself ends the session."""
        if self._ended:
            raise InputError("sql", sql, "the session was ended by the statement before", "open another")
        try:
            self._with_results(sql)
            return Answer(
                self._far.ask(self._timeout_s + GRACE_S, "execute", sql, params, self._timeout_s, SQL_RESULT_BYTES_MAX)
            )
        except Failed as failed:
            raise self._error(sql, failed) from None
        except Ended as ended:
            self._ended = True
            raise InputError("sql", sql, str(ended), "ask for less, or give duckdb_session larger limits") from None

    def _error(self, sql: str, failed: Failed) -> InputError | DataError:
        if failed.kind == "IOException":
            return DataError("lake", sql, failed.problem, "ingest the data again")
        remedies = {
            "PermissionException": "a session reads the lake and nothing else",
            "InterruptException": "ask for less, or give duckdb_session a longer timeout_s",
            "OutOfMemoryException": "ask for less, or give duckdb_session a larger memory_bytes",
        }
        late = failed.kind == "InterruptException"
        problem = f"was stopped after {self._timeout_s:g} s" if late else failed.problem
        return InputError("sql", sql, problem, failed.remedy or remedies.get(failed.kind, "correct the statement"))

    def _with_results(self, sql: str) -> None:
        """There may be thousands of sweeps, each a table: they are looked at when a statement speaks of them."""
        if self._results is not None and DOMAIN in sql.lower():
            _create(self._far, [results_view(self._results)])
            self._results = None


@contextmanager
def open_session(
    datasets: Iterable[Dataset],
    results: Results,
    memory_bytes: int = SQL_MEMORY_BYTES_MAX,
    timeout_s: float = SQL_TIMEOUT_S,
) -> Iterator[Session]:
    """A session on what is stored now. The files are all it may open, and none may be written."""
    far = Far(memory_bytes)  # it starts while the views are put together
    try:
        found = [view for dataset in datasets for view in views(dataset)]
        local = [source for view in found for source in view.sources if source[0].table.place.is_local]
        paths = [address for source in local for address in _addresses(*source)]
        directories = [results.place.root + "/"] if results.place.is_local else []
        try:
            far.ask(START_TIMEOUT_S, "limits", memory_bytes)
            _create(far, found)
            far.ask(START_TIMEOUT_S, "close_off", paths, directories)
        except Failed as failed:
            raise DataError("lake", "duckdb", failed.problem, "ingest the data again") from None
        except Ended as ended:
            raise DataError("lake", "duckdb", f"does not start: {ended}", "see that it is installed") from None
        yield Session(far, results, timeout_s)
    finally:
        far.close()


def _create(far: Far, found: Iterable[View]) -> None:
    far.ask(START_TIMEOUT_S, "views", [(view.domain, view.name, _bound(far, view)) for view in found])


def _bound(far: Far, view: View) -> str:
    """The view's statement with the files it reads. Those of an object store are read by Arrow."""
    tables = []
    for number, (stored, files) in enumerate(view.sources):
        place = stored.table.place
        if place.is_local:
            # only files that may differ in their columns are all looked into beforehand
            differ = str(len({file.lacks for file in files}) > 1).lower()
            listed = ", ".join("'" + address.replace("'", "''") + "'" for address in _addresses(stored, files))
            tables.append(f"read_parquet([{listed}], hive_partitioning = false, union_by_name = {differ})")
        else:
            name = f"files_{view.domain}_{view.name}_{number}"
            far.ask(START_TIMEOUT_S, "files", name, place.root, dict(place.options), [file.path for file in files])
            tables.append(name)
    return view.sql.format(*tables)


def _addresses(stored: Stored, files: Sequence[StoredFile]) -> list[str]:
    return [stored.table.place.address(file.path) for file in files]

"""A dataset as users see it: read, scan, write, upsert, versions.

trades = lake.equities.trades
trades.upsert(frame)
trades.read(symbols=["AAPL"], start="2024-01-02", columns=["price"], as_of="2024-02-01")
trades.at(3).read()                                     # as it was in version 3
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Literal, Self, TypeVar

import polars as pl
import pyarrow as pa

from mts1b.datalake.checks import checked
from mts1b.datalake.definitions import WHOLE, Definition
from mts1b.datalake.log import Version
from mts1b.datalake.reading import Question
from mts1b.datalake.scanning import scan
from mts1b.datalake.snapshot import Snapshot
from mts1b.datalake.spread import Arrays, Spreader
from mts1b.datalake.storage import Place
from mts1b.datalake.table import REFUSE, REPLACE, Progress, Table
from mts1b.datalake.times import When, span_us
from mts1b.foundation.errors import DataError, InputError, UnknownNameError, unknown_name
from mts1b.platform.telemetry import operation

Result = TypeVar("Result")
Adjust = Literal["split", "total"] | None
"""How prices are adjusted on reading."""

WARNED_BYTES_MIN = 1 << 20
"""Bytes from which a read of everything is worth a warning."""

RETENTION_S = 7 * 86_400.0
"""How long files are kept that only older versions name, unless asked otherwise."""


class UnfilteredRead(UserWarning):
    """A read that names neither symbols nor times, and touches every file."""


@dataclass(frozen=True)
class Stored:
    """What a table holds. `interval`: or whatever chooses among the tables of a dataset, "" when it is one."""

    table: Table
    snapshot: Snapshot

    @property
    def dataset(self) -> str:
        return self.table.definition.full_name

    @property
    def interval(self) -> str:
        return self.table.selected

    @property
    def rows(self) -> int:
        return self.snapshot.rows

    @property
    def bytes(self) -> int:
        return self.snapshot.bytes

    @property
    def version(self) -> str:
        """Digest of every row: equal rows have equal versions wherever and however often they were stored."""
        return self.snapshot.version

    @property
    def first_ns(self) -> int | None:
        first = self.snapshot.span[0]
        return None if first is None else first * 1_000

    @property
    def last_ns(self) -> int | None:
        last = self.snapshot.span[1]
        return None if last is None else last * 1_000

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """Every name that has a row, out of the files' footers; none of a dataset that names do not lay out."""
        if not self.table.definition.is_laid_out:
            return ()
        return tuple(sorted(self.table.reader.names(self.snapshot.files)))

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """What was written, in order, by the writers' words."""
        notes = [version.note for version in self.table.log.versions()]
        return tuple(dict.fromkeys(note for note in notes if note not in ("created", "compact", "")))

    def files(self) -> list[str]:
        """Addresses of the Parquet files."""
        return [self.table.place.address(file.path) for file in self.snapshot.files]


class Dataset:
    """The rows of one definition under one place, a table for each interval or the like. Opening it touches no file."""

    default_selected = ""

    def __init__(self, place: Place, definition: Definition) -> None:
        self.place, self.definition = place, definition
        self._pinned: int | datetime | None = None
        self._tables: dict[str, Table] = {}

    @operation("datalake.read")
    def read(
        self,
        symbols: Sequence[str] | None = None,
        interval: str | None = None,
        start: When = None,
        end: When = None,
        columns: Sequence[str] | None = None,
        adjust: Adjust = None,
        as_of: When = None,
    ) -> pl.DataFrame:
        """Rows sorted by key: the key's columns, then `columns` (None: all, but the knowledge time).

        Both bounds are included; a bare end date includes its day, and so does a bare `as_of`, which leaves out what
        was not known then. Only files and row groups that can hold an answer are read, and of those the columns asked
        for; a read of everything warns (UnfilteredRead) with the bytes. A range without rows gives an empty frame.
        InputError for an inverted range, no symbols, a dataset of which nothing is stored; UnknownNameError for a
        symbol, column or interval; DataError for a damaged file.
        """
        self._refuse_adjusting(adjust)
        stored = self._stored(interval)
        if symbols is None and start is None and end is None:
            self._warn(stored, columns)
        return self._read(stored, self._question(stored, symbols, start, end, columns, as_of))

    def arrow(
        self,
        symbols: Sequence[str] | None = None,
        interval: str | None = None,
        start: When = None,
        end: When = None,
        columns: Sequence[str] | None = None,
        adjust: Adjust = None,
        as_of: When = None,
    ) -> pa.Table:
        """As `read`, as an Arrow table."""
        return self.read(symbols, interval, start, end, columns, adjust, as_of).to_arrow()

    @operation("datalake.arrays")
    def arrays(
        self,
        symbols: Sequence[str] | None = None,
        interval: str | None = None,
        start: When = None,
        end: When = None,
        columns: Sequence[str] | None = None,
        adjust: Adjust = None,
        as_of: When = None,
    ) -> Arrays:
        """As `read`, each column of numbers (None: all of them) as float64 [T, S]: T the times at which any chosen name
        has a row, S in the order asked for (alphabetical when all are); NaN where a name has none.

        InputError for a dataset without names or times, or with several rows of a name at a time.
        """
        self._refuse_adjusting(adjust)
        definition, stored = self.definition, self._stored(interval)
        if not definition.is_laid_out or definition.key != (definition.cluster, definition.time):
            remedy = "use read()"
            raise InputError("dataset", definition.full_name, "is no table of names by times", remedy)
        if columns is None:
            columns = [name for name in definition.shown if definition.column(name).read == pl.Float64()]
        question = self._question(stored, symbols, start, end, columns, as_of)
        return self._taken(stored, lambda now: self._spread(now, question, symbols))

    def scan(
        self,
        symbols: Sequence[str] | None = None,
        interval: str | None = None,
        start: When = None,
        end: When = None,
        columns: Sequence[str] | None = None,
        adjust: Adjust = None,
        as_of: When = None,
    ) -> pl.LazyFrame:
        """As `read`, lazily: what is asked of the frame reaches into the files. Rows are in the order of the files."""
        self._refuse_adjusting(adjust)
        stored = self._stored(interval)
        if symbols is None and start is None and end is None:
            self._warn(stored, columns)
        return scan(stored.table, stored.snapshot.files, self._question(stored, symbols, start, end, columns, as_of))

    @operation("datalake.write")
    def write(
        self,
        rows: pl.DataFrame,
        interval: str | None = None,
        mode: Literal["append", "replace"] = "append",
        source: str = "frame",
    ) -> Stored:
        """Store rows whose keys are new, or with `replace` in the place of everything stored; return what then is.

        Readers see all of it or none. DataError for rows that break the schema or, appended, repeat a stored key.
        """
        table = self.table(interval)
        given = checked(rows, self.definition, source)
        if mode == "replace":
            return Stored(table, table.replace(given, source))
        return Stored(table, table.put(given, source, REFUSE))

    @operation("datalake.upsert")
    def upsert(
        self, rows: pl.DataFrame, interval: str | None = None, source: str = "frame", progress: Progress | None = None
    ) -> Stored:
        """Store rows; one whose key is stored takes that row's place, or where the dataset has a knowledge time stands
        beside it. The same rows twice change nothing. DataError for rows that break the schema."""
        table = self.table(interval)
        return Stored(table, table.put(checked(rows, self.definition, source), source, REPLACE, progress))

    def versions(self, interval: str | None = None) -> list[Version]:
        """What is kept of the history, oldest first."""
        return self.table(interval).log.versions()

    def at(self, version: int | datetime) -> Self:
        """The dataset as it was in a version of that number, or at that instant. Reading says when there is none."""
        pinned = copy(self)
        pinned._pinned = version
        return pinned

    def stored(self, interval: str | None = None) -> Stored | None:
        """What is stored, or None."""
        table = self.table(interval)
        snapshot = table.log.snapshot() if self._pinned is None else table.log.at(self._pinned)
        return Stored(table, snapshot) if snapshot is not None and snapshot.files else None

    def all_stored(self) -> list[Stored]:
        """What is stored, of each interval."""
        return [stored for name in self.selections() if (stored := self.stored(name)) is not None]

    def selections(self) -> list[str]:
        """Values of the selector that may hold something."""
        return list(self.definition.storages)

    @operation("datalake.compact")
    def compact(self, interval: str | None = None, progress: Progress | None = None) -> Stored | None:
        """Put small files together; rows and digest stay the same. None when nothing is stored."""
        table = self.table(interval)
        snapshot = table.compact(progress)
        return None if snapshot is None else Stored(table, snapshot)

    def forget(self, interval: str | None = None, older_than_s: float = RETENTION_S) -> list[str]:
        """Delete files that only versions older than that name, which then can no longer be read; return their paths.

        A writer or reader that takes longer than `older_than_s` may lose its files.
        """
        return self.table(interval).log.forget(older_than_s)

    @operation("datalake.verify")
    def verify(self, interval: str | None = None, progress: Progress | None = None) -> int:
        """Read every stored row and compare it with its digest; return their number. DataError names the bad file."""
        return self.table(interval).verify(progress)

    def table(self, interval: str | None = None) -> Table:
        """The table behind an interval. UnknownNameError for one that does not exist."""
        selected = self.default_selected if interval is None else interval
        if selected not in self._tables:
            definition = self.definition
            place = self.place / f"{definition.selector}={selected}" if definition.selector else self.place
            self._tables[selected] = Table(place, definition, selected)
        return self._tables[selected]

    def _read(self, stored: Stored, question: Question) -> pl.DataFrame:
        cluster = self.definition.cluster

        def rows(now: Stored) -> pl.DataFrame:
            found = now.table.reader.rows(now.snapshot.files, question)
            if question.names is not None and self.definition.is_laid_out:
                alone = found.height > 0 and len(question.names) == 1
                self._refuse_unknown(now, question.names, question.names if alone else found[cluster].unique())
            return found

        return self._taken(stored, rows)

    def _spread(self, stored: Stored, question: Question, symbols: Sequence[str] | None) -> Arrays:
        spreader = Spreader(symbols, question.columns, self.definition)
        parts = stored.table.reader.each(stored.snapshot.files, question, spreader.part)
        if question.names is not None:
            self._refuse_unknown(stored, question.names, [name for part in parts for name in part.names])
        return spreader.arrays(parts)

    def _taken(self, stored: Stored, take: Callable[[Stored], Result]) -> Result:
        """What `take` gives of the newest version, again when that version's files went away meanwhile."""
        while True:
            try:
                return take(stored)
            except DataError:
                newer = stored.table.log.snapshot()
                if self._pinned is not None or newer is None or newer.number == stored.snapshot.number:
                    raise
                stored = Stored(stored.table, newer)

    def _question(
        self,
        stored: Stored,
        symbols: Sequence[str] | None,
        start: When,
        end: When,
        columns: Sequence[str] | None,
        as_of: When,
    ) -> Question:
        span = span_us(start, end)
        if columns is None:
            held = [self.definition.column(name) for name in self.definition.shown]
            columns = [c.name for c in held if not c.optional or stored.snapshot.holds(c.name)]
        else:
            columns = [self.definition.column(name).name for name in columns]
        names = None if symbols is None else frozenset(asked_names(symbols))
        return Question(names, span, tuple(columns), span_us(None, as_of)[1])

    def _refuse_unknown(self, stored: Stored, names: frozenset[str], found: Iterable[str]) -> None:
        missing = names.difference(found)
        known = frozenset(stored.symbols) if missing else names
        for name in sorted(missing - known):
            raise unknown_symbol(name, known)

    def _refuse_adjusting(self, adjust: Adjust) -> None:
        if adjust is not None:
            raise InputError("adjust", adjust, f"{self.definition.full_name} holds no prices to adjust", "leave it out")

    def _stored(self, interval: str | None) -> Stored:
        stored = self.stored(interval)
        if stored is None:
            table = self.table(interval)
            raise InputError(
                "lake", table.place.root, f"holds no {table.name}", "see `mts data status` for what it holds"
            )
        return stored

    def _warn(self, stored: Stored, columns: Sequence[str] | None) -> None:
        if stored.bytes >= WARNED_BYTES_MIN and stored.table.storage.by != WHOLE:
            some = "" if columns is None else f" (the columns {', '.join(columns)} of them)"
            text = f"{stored.table.name}: no symbols, start or end: reads all {stored.bytes:,} bytes{some}"
            warnings.warn(text, UnfilteredRead, stacklevel=3)


def asked_names(symbols: Sequence[str]) -> list[str]:
    """The names asked for. InputError for a bare text, none, or one twice."""
    if isinstance(symbols, str):
        raise InputError("symbols", symbols, "a list of symbols is wanted", f"write [{symbols!r}]")
    if not symbols:
        raise InputError("symbols", list(symbols), "no symbol given", "name one, or leave it out for all")
    if len(set(symbols)) != len(symbols):
        raise InputError("symbols", list(symbols), "a symbol is repeated", "name each once")
    return list(symbols)


def unknown_symbol(symbol: str, known: frozenset[str]) -> UnknownNameError:
    """The error for a symbol that is not stored."""
    if symbol.upper() in known:
        return UnknownNameError("symbol", symbol, "unknown name", f"did you mean: {symbol.upper()}")
    return unknown_name("symbol", symbol, known)

"""A long history read part after part, a few names at a time, only the columns asked for: for what goes by once.

Prices are stored as differences of whole ticks, which pyarrow turns into 64-bit integers at about 4 ns each, zstd
included (polars takes 5, integers split by bytes 4 at a third more room, plain ones 12); they become floats in memory
that is used again for the next names.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mts1b.datalake.buffers import words
from mts1b.datalake.columns import floats
from mts1b.datalake.footers import reading
from mts1b.datalake.layout import Layout
from mts1b.datalake.schema import VWAP
from mts1b.datalake.snapshot import Span, StoredFile

if TYPE_CHECKING:
    from mts1b.datalake.dataset import Stored
    from mts1b.datalake.table import Table

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

NS_PER_US = 1_000

ROWS_PER_BATCH = 131_072
"""Rows read at once: what handing them on costs, beside what they cost themselves, is then little."""


class Scratch(threading.local):
    """Memory for one batch in each thread, used again for the next: fresh pages would cost as much as the bars.

    And the file read last: of the batches of one file, each thread opens the first.
    """

    def __init__(self) -> None:
        self._held: dict[str, Floats] = {}
        self._file: tuple[str, pq.ParquetFile] | None = None

    def file(self, path: str, opened: Callable[[], pq.ParquetFile]) -> pq.ParquetFile:
        """The file at a path, opened unless it was the last."""
        if self._file is None or self._file[0] != path:
            self._file = path, opened()
        return self._file[1]

    def table(self, name: str, size: int) -> Floats:
        """A flat table of `size` floats with anything in it."""
        held = self._held.get(name)
        if held is None or len(held) < size:
            held = self._held[name] = np.empty(size)
        return held[:size]


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of a file's names: the row groups they lie in, and where each of them goes in a batch; -1: left out."""

    file: _File
    groups: range
    names: slice
    places: Numbers


@dataclass(frozen=True, slots=True)
class Batch:
    """Some of the names in one stretch, `which` [G] their numbers. `load` reads their bars, in any thread."""

    which: Numbers
    _pieces: tuple[Piece, ...]
    _times: Numbers

    def load(self, fields: Sequence[str], scratch: Scratch | None = None) -> dict[str, Floats]:
        """Each field as [G, T], NaN where a name has no bar. DataError when the file cannot be read.

        With `scratch` they hold until the same thread loads the next batch.
        """
        scratch = scratch or Scratch()
        if len(self._pieces) == 1 and self._pieces[0].file.has_all(self._times):
            return self._pieces[0].file.tables(self._pieces[0], fields, scratch)
        loaded = {name: np.full((len(self.which), len(self._times)), np.nan) for name in fields}
        for piece in self._pieces:
            piece.file.put(piece, loaded, self._times, scratch)
        return loaded


@dataclass(frozen=True, slots=True)
class Stretch:
    """The bars of one part: `ts_ns` [T] every time at which a chosen name has one; each name is in one of `batches`."""

    ts_ns: Numbers
    batches: tuple[Batch, ...]


class Stretches:
    """The stored bars of `symbols` (None: of every name with a bar in the span) in order of time: `Bars.stretches`.

    A part is a file, or several whose times overlap. At most its times and what its batches load are held at once.
    """

    def __init__(self, stored: Stored, symbols: Sequence[str] | None, span: Span) -> None:
        self._table, self._snapshot, self._span = stored.table, stored.snapshot, span
        self.version, self.has_vwap = stored.version, stored.snapshot.holds(VWAP)
        self._parts = list(_together([file for file in stored.snapshot.files if file.extent.inside(span)]))
        self.symbols = tuple(symbols) if symbols is not None else self._symbols_held()
        self._numbers = {symbol: number for number, symbol in enumerate(self.symbols)}

    def holds(self, column: str) -> bool:
        """Whether some file has values of an optional column."""
        return self._snapshot.holds(column)

    def __len__(self) -> int:
        return len(self._parts)

    def __iter__(self) -> Iterator[Stretch]:
        for part in self._parts:
            stretch = _stretch([_File(self._table, file, self._span, self._numbers) for file in part], self._numbers)
            if len(stretch.ts_ns):
                yield stretch

    @property
    def bytes_stored(self) -> int:
        """Size of the files that are read from."""
        return sum(file.bytes for part in self._parts for file in part)

    def _symbols_held(self) -> tuple[str, ...]:
        files = [file for part in self._parts for file in part]
        return tuple(sorted(self._table.reader.names(files, self._span)))


def _together(files: Sequence[StoredFile]) -> Iterator[list[StoredFile]]:
    """Files in order of time, those whose times overlap in one list."""
    part: list[StoredFile] = []
    last = 0
    for file in sorted(files, key=lambda file: file.extent.first_us or 0):
        first_us, last_us = file.extent.first_us or 0, file.extent.last_us or 0
        if part and first_us > last:
            yield part
            part = []
        last = max(last, last_us) if part else last_us
        part.append(file)
    if part:
        yield part


def _stretch(files: Sequence[_File], numbers: Mapping[str, int]) -> Stretch:
    """The times of the chosen names, and batches that cover every one of them."""
    found = [(file, run, names, file.numbers_of(names)) for file in files for run, names in file.runs()]
    found = [one for one in found if max(one[3]) >= 0]
    times = np.zeros(0, dtype=np.int64)
    for file in files:
        own = file.times([(run, names) for other, run, names, _ in found if other is file])
        times = own if not len(times) else np.union1d(times, own)
    in_one = [[number for number in numbers_of if number >= 0] for _, _, _, numbers_of in found]
    several = len({number for batch in in_one for number in batch}) < sum(map(len, in_one))
    batches = []
    for members in [list(range(len(found)))] if several else [[n] for n in range(len(found))]:
        places = {number: place for place, number in enumerate(dict.fromkeys(x for n in members for x in in_one[n]))}
        pieces = tuple(
            Piece(file, run, names, np.array([places.get(number, -1) for number in numbers_of]))
            for file, run, names, numbers_of in (found[n] for n in members)
        )
        batches.append(Batch(np.array(list(places), dtype=np.int64), pieces, times))
    absent = np.array(sorted(set(range(len(numbers))).difference(*in_one)), dtype=np.int64)
    if len(absent):
        batches.append(Batch(absent, (), times))
    return Stretch(times * NS_PER_US, tuple(batches))


class _File:
    """One file: its metadata, and how its rows become tables [name, time]."""

    def __init__(self, table: Table, file: StoredFile, span: Span, numbers: Mapping[str, int]) -> None:
        self._table, self._stored, self._numbers = table, file, numbers
        first, last = file.extent.first_us or 0, file.extent.last_us or 0
        self._low = first if span[0] is None else max(first, span[0])
        self._high = last if span[1] is None else min(last, span[1])
        footer = table.reader.footers.of(file)
        self._metadata = footer.metadata
        self._layout = footer.layout or Layout.of(table.reader.whole(file))
        self._ends = np.cumsum(self._layout.rows)
        self._inside = slice(None)
        self._own_times: Numbers | None = None

    def has_all(self, times: Numbers) -> bool:
        """Whether every name of the file has a bar at each of `times`, of which those of the file are some."""
        return self._layout.same_times and self._own_times is not None and len(self._own_times) == len(times)

    def tables(self, piece: Piece, fields: Sequence[str], scratch: Scratch) -> dict[str, Floats]:
        """The bars of a piece as tables, where `has_all`."""
        table = self._read(piece.groups, fields, scratch)
        held, kept = self._layout.rows[0], piece.places >= 0
        loaded = {name: self._field(table, name, scratch) for name in fields}
        return {name: self._cut(values.reshape(-1, held), kept) for name, values in loaded.items()}

    def put(self, piece: Piece, loaded: Mapping[str, Floats], times: Numbers, scratch: Scratch) -> None:
        """Put the bars of a piece where they belong in the tables of a batch. Of a revised bar the latest stays."""
        table = self._read(piece.groups, ("ts", *loaded), scratch)
        stamps = np.asarray(words(table.column("ts")))
        name_of = np.repeat(piece.places, np.array(self._layout.rows[piece.names]))
        inside = (name_of >= 0) & (stamps >= self._low) & (stamps <= self._high)
        at = (name_of[inside], np.searchsorted(times, stamps[inside]))
        for field, out in loaded.items():
            out[at] = self._field(table, field, scratch)[inside]

    def _cut(self, table: Floats, kept: NDArray[np.bool_]) -> Floats:
        """The chosen names' bars inside the span, of a table of all names at all times of the part."""
        if not kept.all():
            table = table[kept]
        return np.ascontiguousarray(table[:, self._inside])

    def runs(self) -> Iterator[tuple[range, slice]]:
        """Runs of row groups that hold whole names, with the places of those names: of some ROWS_PER_BATCH rows."""
        start = name = row = held = 0
        groups = self._metadata.num_row_groups
        for group in range(groups):
            rows = self._metadata.row_group(group).num_rows
            row, held = row + rows, held + rows
            last = int(np.searchsorted(self._ends, row))
            following = self._metadata.row_group(group + 1).num_rows if group + 1 < groups else ROWS_PER_BATCH
            if self._ends[last] == row and held + following > ROWS_PER_BATCH:
                yield range(start, group + 1), slice(name, last + 1)
                start, name, held = group + 1, last + 1, 0

    def chosen(self, names: slice) -> list[bool]:
        return [symbol in self._numbers for symbol in self._layout.symbols[names]]

    def numbers_of(self, names: slice) -> list[int]:
        """The number of each of these names, -1 for one that was not asked for."""
        return [self._numbers.get(symbol, -1) for symbol in self._layout.symbols[names]]

    def times(self, wanted: Sequence[tuple[range, slice]]) -> Numbers:
        """Every microsecond inside the span at which a chosen name has a bar."""
        if not wanted:
            return np.zeros(0, dtype=np.int64)
        if self._layout.same_times:
            found = self._first_stamps(self._layout.rows[0])
            self._inside = slice(*np.searchsorted(found, (self._low, self._high + 1)).tolist())
        else:
            found = np.zeros(0, dtype=np.int64)
            for run, names in wanted:
                stamps = self._stamps(run)
                chosen = np.repeat(self.chosen(names), self._layout.rows[names])
                found = np.union1d(found, stamps[chosen])
        self._own_times = found[(found >= self._low) & (found <= self._high)]
        return self._own_times

    def _stamps(self, run: range) -> Numbers:
        return np.asarray(words(self._read(run, ("ts",)).column("ts")))

    def _first_stamps(self, rows: int) -> Numbers:
        """The times of the first name, without those of the others of its row group."""
        with self._opened() as file:
            batches = file.iter_batches(rows, columns=["ts"], use_threads=False)
            return np.concatenate([words(b.column(0)) for b in _until(batches, rows)])

    @contextmanager
    def _opened(self, scratch: Scratch | None = None) -> Iterator[pq.ParquetFile]:
        def opened() -> pq.ParquetFile:
            return pq.ParquetFile(place.open(self._stored.path), metadata=self._metadata)

        place = self._table.place
        with reading(place, self._stored):
            yield opened() if scratch is None else scratch.file(place.address(self._stored.path), opened)

    def _read(self, run: range, columns: Sequence[str], scratch: Scratch | None = None) -> pa.Table:
        with self._opened(scratch) as file:
            return file.read_row_groups(list(run), columns=list(columns), use_threads=False)

    def _field(self, table: pa.Table, name: str, scratch: Scratch) -> Floats:
        """A column, all NaN when the file has none."""
        out = scratch.table(name, len(table))
        if name not in table.column_names:
            out[:] = np.nan
            return out
        return floats(table.column(name).chunks, out, self._table.definition.column(name).scale)


def _until(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """As many batches as hold `rows` rows, the last one cut."""
    while rows > 0:
        batch = next(batches)[:rows]
        rows -= len(batch)
        yield batch

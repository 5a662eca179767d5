"""A long history read part after part, a few names at a time, only the columns asked for: for what goes by once.

Prices are stored as differences of whole ticks, which pyarrow turns into integers of 64 bits at about 2 ns each, zstd
included (measured beside integers of 32 bits, whole or split by bytes, and polars: none was faster within the stored
types); they become floats in place, without a copy in between.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mts1b.datalake import parts
from mts1b.datalake.manifest import Manifest, Part
from mts1b.datalake.parts import Layout
from mts1b.datalake.schema import TICKS_PER_UNIT, first_line
from mts1b.foundation.errors import DataError

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]
Span = tuple[int | None, int | None]
"""First and last microsecond wanted, both included; None: no bound."""

NS_PER_US = 1_000


class Scratch(threading.local):
    """Memory for one batch in each thread, used again for the next: fresh pages would cost as much as the bars."""

    def __init__(self) -> None:
        self._held: dict[str, Floats] = {}

    def table(self, name: str, size: int) -> Floats:
        """A flat table of `size` floats with anything in it."""
        held = self._held.get(name)
        if held is None or len(held) < size:
            held = self._held[name] = np.empty(size)
        return held[:size]


@dataclass(frozen=True, slots=True)
class Batch:
    """Some of the names in one stretch, `which` [G] their numbers. `load` reads their bars, in any thread."""

    which: Numbers
    _file: _File | None
    _groups: range
    _names: slice
    _times: Numbers

    def load(self, fields: Sequence[str], scratch: Scratch | None = None) -> dict[str, Floats]:
        """Each field as [G, T], NaN where a name has no bar. DataError when the file cannot be read.

        With `scratch` they hold until the same thread loads the next batch.
        """
        if self._file is None:
            return {name: np.full((len(self.which), len(self._times)), np.nan) for name in fields}
        return self._file.load(self, fields, scratch or Scratch())


@dataclass(frozen=True, slots=True)
class Stretch:
    """The bars of one part: `ts_ns` [T] every time at which a chosen name has one; each name is in one of `batches`."""

    ts_ns: Numbers
    batches: tuple[Batch, ...]


class Stretches:
    """The stored bars of `symbols` (None: of every name with a bar in the span) in order of time: `Bars.stretches`.

    At most a part's times and what its batches load are held at once.
    """

    def __init__(self, folder: Path, held: Manifest, symbols: Sequence[str] | None, span: Span) -> None:
        self._folder, self._span = folder, span
        self.version = held.version
        self._parts = [part for part in held.parts if overlaps(part, span)]
        self.symbols = tuple(symbols) if symbols is not None else self._symbols_held()
        self._numbers = {symbol: number for number, symbol in enumerate(self.symbols)}

    def __len__(self) -> int:
        return len(self._parts)

    def __iter__(self) -> Iterator[Stretch]:
        for part in self._parts:
            stretch = _File(self._folder, part, self._span, self._numbers).stretch()
            if len(stretch.ts_ns):
                yield stretch

    @property
    def bytes_stored(self) -> int:
        """Size of the files that are read from."""
        return sum(part.bytes for part in self._parts)

    def _symbols_held(self) -> tuple[str, ...]:
        found: set[str] = set()
        for part in self._parts:
            file = _File(self._folder, part, self._span, {})
            found |= file.symbols_inside()
        return tuple(sorted(found))


def overlaps(part: Part, span: Span) -> bool:
    """Whether a part can hold a bar inside the span."""
    first_us, last_us = span
    after = first_us is None or part.last_ns >= first_us * NS_PER_US
    return after and (last_us is None or part.first_ns <= last_us * NS_PER_US)


class _File:
    """One part's file: its metadata, and how its rows become tables [name, time]."""

    def __init__(self, folder: Path, part: Part, span: Span, numbers: Mapping[str, int]) -> None:
        self._folder, self._part, self._numbers = folder, part, numbers
        self._path = folder / part.file
        first, last = part.first_ns // NS_PER_US, part.last_ns // NS_PER_US
        self._low = first if span[0] is None else max(first, span[0])
        self._high = last if span[1] is None else min(last, span[1])
        self._whole = (self._low, self._high) == (first, last)
        self._metadata = self._read_metadata()
        self._layout = Layout.stored(self._metadata) or Layout.of(parts.read_whole(folder, part))
        self._ends = np.cumsum(self._layout.rows)
        self._inside = slice(None)

    def symbols_inside(self) -> set[str]:
        """Names with a bar inside the span."""
        if self._whole:
            return set(self._layout.symbols)
        found: set[str] = set()
        for run, names in self._runs():
            stamps, rows = self._stamps(run), self._layout.rows[names]
            inside = (stamps >= self._low) & (stamps <= self._high)
            starts = np.cumsum([0, *rows[:-1]])
            held = np.add.reduceat(inside, starts, dtype=np.int64) > 0
            found.update(symbol for symbol, any_ in zip(self._layout.symbols[names], held, strict=True) if any_)
        return found

    def stretch(self) -> Stretch:
        """The times of the chosen names, and batches that cover every one of them."""
        wanted = [(run, names) for run, names in self._runs() if any(self._chosen(names))]
        times = self._times(wanted)
        batches = [self._batch(run, names, times) for run, names in wanted]
        absent = np.array(sorted(set(range(len(self._numbers))).difference(*(b.which.tolist() for b in batches))))
        if len(absent):
            batches.append(Batch(absent, None, range(0), slice(0), times))
        return Stretch(times * NS_PER_US, tuple(batches))

    def load(self, batch: Batch, fields: Sequence[str], scratch: Scratch) -> dict[str, Floats]:
        """The bars of a batch as tables."""
        names = batch._names
        kept = self._chosen(names)
        if self._layout.same_times:
            table = self._read(batch._groups, fields)
            held = self._layout.rows[0]
            loaded = {name: floats(table.column(name), scratch.table(name, len(table))) for name in fields}
            return {name: self._cut(values.reshape(-1, held), kept) for name, values in loaded.items()}
        table = self._read(batch._groups, ("ts", *fields))
        stamps = table.column("ts").combine_chunks().view(pa.int64()).to_numpy()
        rows = np.array(self._layout.rows[names])
        place = np.full(len(kept), -1)
        place[np.flatnonzero(kept)] = np.arange(sum(kept))
        name_of = np.repeat(place, rows)
        inside = (name_of >= 0) & (stamps >= self._low) & (stamps <= self._high)
        at = (name_of[inside], np.searchsorted(batch._times, stamps[inside]))
        loaded = {}
        for field in fields:
            loaded[field] = np.full((len(batch.which), len(batch._times)), np.nan)
            loaded[field][at] = floats(table.column(field), scratch.table(field, len(table)))[inside]
        return loaded

    def _cut(self, table: Floats, kept: list[bool]) -> Floats:
        """The chosen names' bars inside the span, of a table of all names at all times of the part."""
        if not all(kept):
            table = table[kept]
        return np.ascontiguousarray(table[:, self._inside])

    def _runs(self) -> Iterator[tuple[range, slice]]:
        """Runs of row groups that hold whole names, with the places of those names."""
        start = name = row = 0
        for group in range(self._metadata.num_row_groups):
            row += self._metadata.row_group(group).num_rows
            last = int(np.searchsorted(self._ends, row))
            if self._ends[last] == row:
                yield range(start, group + 1), slice(name, last + 1)
                start, name = group + 1, last + 1

    def _chosen(self, names: slice) -> list[bool]:
        return [symbol in self._numbers for symbol in self._layout.symbols[names]]

    def _batch(self, run: range, names: slice, times: Numbers) -> Batch:
        symbols = (symbol for symbol in self._layout.symbols[names] if symbol in self._numbers)
        which = np.array([self._numbers[symbol] for symbol in symbols], dtype=np.int64)
        return Batch(which, self, run, names, times)

    def _times(self, wanted: Sequence[tuple[range, slice]]) -> Numbers:
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
                chosen = np.repeat(self._chosen(names), self._layout.rows[names])
                found = np.union1d(found, stamps[chosen])
        return found[(found >= self._low) & (found <= self._high)]

    def _stamps(self, run: range) -> Numbers:
        return np.asarray(self._read(run, ("ts",)).column("ts").combine_chunks().view(pa.int64()).to_numpy())

    def _first_stamps(self, rows: int) -> Numbers:
        """The times of the first name, without those of the others of its row group."""
        try:
            with pq.ParquetFile(self._path, metadata=self._metadata) as file:
                batches = file.iter_batches(rows, columns=["ts"], use_threads=False)
                return np.concatenate([b.column(0).view(pa.int64()).to_numpy() for b in _until(batches, rows)])
        except (OSError, pa.ArrowException) as error:
            raise self._unreadable(error) from None

    def _read_metadata(self) -> pq.FileMetaData:
        try:
            return pq.read_metadata(self._path)
        except (OSError, pa.ArrowException) as error:
            raise self._unreadable(error) from None

    def _read(self, run: range, columns: Sequence[str]) -> pa.Table:
        try:
            with pq.ParquetFile(self._path, metadata=self._metadata) as file:
                return file.read_row_groups(list(run), columns=list(columns), use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> DataError:
        return DataError("file", str(self._path), f"cannot be read: {first_line(error)}", "ingest the data again")


def _until(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """As many batches as hold `rows` rows, the last one cut."""
    while rows > 0:
        batch = next(batches)[:rows]
        rows -= len(batch)
        yield batch


def floats(column: pa.ChunkedArray, out: Floats) -> Floats:
    """A stored column in `out`, as float64, each the nearest to its decimal; NaN where there is no value."""
    start = 0
    for values in column.chunks:
        filled = out[start : start + len(values)]
        start += len(values)
        if pa.types.is_decimal64(values.type):
            ticks = np.frombuffer(values.buffers()[1], dtype=np.int64)[values.offset : values.offset + len(values)]
            np.divide(ticks, float(TICKS_PER_UNIT), out=filled)
        else:
            filled[:] = values.to_numpy(zero_copy_only=False)
        if values.null_count:
            filled[values.is_null().to_numpy(zero_copy_only=False)] = np.nan
    return out

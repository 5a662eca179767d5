"""What files say of themselves, read once: where each name's rows lie, at which times, and which row groups hold them.

Files never change, so what was read holds, and those read last stay open.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mts1b.datalake.layout import Layout
from mts1b.datalake.schema import first_line
from mts1b.datalake.snapshot import Span, StoredFile
from mts1b.datalake.storage import Place
from mts1b.foundation.errors import DataError

FOOTERS_MAX = 1_024
"""Footers a reader keeps: those of 30 years of minutes with room to spare, some 200 kB each at most."""

OPEN_MAX = 48
"""Files a reader keeps open: four years of months, and no process runs out of handles."""

RANGES_MAX = 256
"""Questions to one file of which a reader remembers the bytes they take."""

WORD_MAX = 32
"""Statistics of longer texts may be cut short."""

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Runs:
    """Rows of some names: `groups` to read; `starts` in what these hold together, and `rows` from there on, of `names`
    (places in the layout). `whole`: they are all there is in the groups, in order."""

    groups: Sequence[int]
    names: Numbers
    starts: Numbers
    rows: Numbers
    whole: bool


@dataclass(frozen=True, slots=True)
class Spell:
    """Unbroken rows of some names, in the order of the rows: `rows[i]` of them of name `names[i]`, from the time of
    number `at[i]` on."""

    names: Numbers
    at: Numbers
    rows: Numbers


class Footer:
    """A file's metadata, and the layout of its rows if it has one."""

    def __init__(self, metadata: pq.FileMetaData) -> None:
        self.metadata, self.layout = metadata, Layout.stored(metadata)
        self.columns = {metadata.schema.column(n).path: n for n in range(metadata.num_columns)}
        self.fields = frozenset(path.partition(".")[0] for path in self.columns)
        self.sizes = np.array([metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)], int)
        self.borders = np.concatenate(([0], np.cumsum(self.sizes)))
        self._borders: list[int] = self.borders.tolist()
        self.times: Numbers | None = None  # of all names, once someone has read them
        self.was_read = False  # rows of the file, by whoever keeps this
        self._ranges: dict[tuple[tuple[int, ...], tuple[str, ...]], list[tuple[int, int]]] = {}
        self._alike: dict[tuple[str, int], str | None] = {}
        self.stays = None if self.layout is None else self.layout.all_stays()
        if self.layout is not None:
            self._rows = np.array(self.layout.rows)
            self._starts = np.cumsum(self._rows) - self._rows
            self._place = {name: n for n, name in enumerate(self.layout.symbols)}
        if self.stays is not None:
            self._stay_names = np.array(self.stays.names)
            self._stay_at, self._stay_rows = np.array(self.stays.starts), np.array(self.stays.counts)
            self._stay_starts = np.cumsum(self._stay_rows) - self._stay_rows
            self._single = len(self._stay_names) == len(self._rows)

    def rows_of(self, names: frozenset[str]) -> int:
        """Rows of these names."""
        return int(sum(self._rows[self._place[name]] for name in names if name in self._place))

    def stay(self, name: str, low: int, high: int) -> tuple[range, int, int, int] | None:
        """As `spells` for one name that was there once: the groups to read, the place in them, the first time, rows.
        None for others."""
        number = self._place.get(name)
        if number is None or not self._single or self.stays is None:
            return None
        at = self.stays.starts[number]
        before = max(low - at, 0)
        rows = min(high - at, self.stays.counts[number]) - before
        if rows <= 0:
            return None
        start = int(self._starts[number]) + before
        borders = self._borders
        first = bisect_right(borders, start) - 1
        groups = range(first, bisect_left(borders, start + rows, first))
        return groups, start - borders[first], at + before - low, rows

    def spells(self, names: frozenset[str] | None, low: int, high: int) -> tuple[Runs, Spell]:
        """Where the rows of `names` (None: of all) at the times of numbers `low` to `high` lie, and which times those
        are, counted from `low`. Only where there are `stays`."""
        which, at, rows = self._stay_names, self._stay_at, self._stay_rows
        starts = self._stay_starts
        if names is not None and not names.issuperset(self._place):
            chosen = self._chosen(names)
            first, last = np.searchsorted(which, chosen), np.searchsorted(which, chosen, "right")
            taken = first if self._single else _ranges(first, last)
            which, at, rows, starts = which[taken], at[taken], rows[taken], starts[taken]
        if low > 0 or high < (0 if self.times is None else len(self.times)):
            before = np.clip(low - at, 0, rows)
            after = np.clip(high - at, 0, rows)
            kept = after > before
            which, at, starts, rows = which[kept], (at + before)[kept], (starts + before)[kept], (after - before)[kept]
        return self._runs(which, starts, rows), Spell(which, at - low, rows)

    def _chosen(self, names: frozenset[str]) -> Numbers:
        return np.array(sorted(self._place[name] for name in names if name in self._place), dtype=np.int64)

    def _runs(self, names: Numbers, starts: Numbers, rows: Numbers) -> Runs:
        """Rows that lie together, in the row groups they need, of which all are read."""
        first = np.searchsorted(self.borders, starts, "right") - 1
        last = np.searchsorted(self.borders, starts + rows)
        groups = _ranges(first, last)
        groups = groups if len(starts) == 1 else np.unique(groups)
        sizes = self.sizes[groups]
        before = np.cumsum(sizes) - sizes
        inside = before[np.searchsorted(groups, first)] + starts - self.borders[first]
        return Runs(groups.tolist(), names, inside, rows, int(rows.sum()) == int(sizes.sum()))

    def runs(self, names: frozenset[str] | None, time: str | None, span: Span) -> Runs:
        """Where the rows of `names` lie (None: of all), without row groups that hold no time inside the span."""
        chosen = np.arange(len(self._rows))
        if names is not None:
            chosen = self._chosen(names)
        starts, rows = self._starts[chosen], self._rows[chosen]
        first = np.searchsorted(self.borders, starts, "right") - 1
        last = np.searchsorted(self.borders, starts + rows)
        open_runs = np.zeros(len(self.sizes) + 1, dtype=np.int64)
        np.add.at(open_runs, first, 1)
        np.add.at(open_runs, last, -1)
        needed = np.flatnonzero(np.cumsum(open_runs))
        groups = [group for group in needed.tolist() if self.can_hold(group, time, span)]
        if len(groups) < len(needed) or bool((last > first + 1).any()):
            chosen, starts, rows = self._cut(chosen, starts, rows, groups)
        before = np.zeros(len(self.sizes), dtype=np.int64)
        before[groups] = np.cumsum(self.sizes[groups]) - self.sizes[groups]
        group = np.searchsorted(self.borders, starts, "right") - 1
        inside = before[group] + starts - self.borders[group]
        whole = int(rows.sum()) == int(self.sizes[groups].sum())
        return Runs(groups, chosen, inside, rows, whole)

    def can_hold(self, group: int, time: str | None, span: Span) -> bool:
        """Whether a row group can hold a time inside the span, by its statistics."""
        if span == (None, None) or time not in self.columns:
            return True
        found = self.metadata.row_group(group).column(self.columns[time]).statistics
        if found is None or not found.has_min_max:
            return True
        first, last = found.min_raw, found.max_raw
        return (span[1] is None or first <= span[1]) and (span[0] is None or last >= span[0])

    def ranges(self, groups: Sequence[int], columns: Sequence[str]) -> list[tuple[int, int]]:
        """The first byte and the one after the last of what these columns of row groups take, neighbours as one."""
        key = (tuple(groups), tuple(columns))
        if key not in self._ranges:
            found: list[tuple[int, int]] = []
            for start, end in sorted(edges for group in groups for edges in self._edges(group, columns)):
                if found and start <= found[-1][1]:
                    found[-1] = (found[-1][0], end)
                else:
                    found.append((start, end))
            if len(self._ranges) >= RANGES_MAX:
                self._ranges.clear()
            self._ranges[key] = found
        return self._ranges[key]

    def _edges(self, group: int, columns: Sequence[str]) -> Iterator[tuple[int, int]]:
        told = self.metadata.row_group(group)
        for number in (self.columns[name] for name in columns if name in self.columns):
            chunk = told.column(number)
            start = chunk.dictionary_page_offset if chunk.has_dictionary_page else chunk.data_page_offset
            yield start, start + chunk.total_compressed_size

    def alike(self, name: str, groups: Sequence[int]) -> str | None:
        """The one word that every row of these row groups holds in a column of words, where statistics tell."""
        for group in groups:
            if (name, group) not in self._alike:
                self._alike[name, group] = self._one_word(group, name)
        words = {self._alike[name, group] for group in groups}
        return words.pop() if len(words) == 1 else None

    def _one_word(self, group: int, name: str) -> str | None:
        found = self.metadata.row_group(group).column(self.columns[name]).statistics
        if found is None or not (found.has_min_max and found.has_null_count) or found.null_count:
            return None
        word = found.min if found.min == found.max else None
        return word if isinstance(word, str) and len(word) <= WORD_MAX else None

    def _cut(self, names: Numbers, starts: Numbers, rows: Numbers, groups: Sequence[int]) -> tuple[Numbers, ...]:
        """Runs cut at the borders of row groups, those outside `groups` left out."""
        cut: list[tuple[int, int, int]] = []
        kept = frozenset(groups)
        for name, start, count in zip(names.tolist(), starts.tolist(), rows.tolist(), strict=True):
            first = int(np.searchsorted(self.borders, start, "right")) - 1
            while first < len(self.sizes) and self.borders[first] < start + count:
                low, high = max(start, self.borders[first]), min(start + count, self.borders[first + 1])
                if first in kept:
                    cut.append((name, int(low), int(high - low)))
                first += 1
        columns = np.array(cut, dtype=np.int64).reshape(-1, 3).T
        return columns[0], columns[1], columns[2]


def _ranges(first: Numbers, last: Numbers) -> Numbers:
    """The numbers from each `first` up to its `last`, one range after the other."""
    counts = last - first
    return np.repeat(last - np.cumsum(counts), counts) + np.arange(int(counts.sum()))


class Footers:
    """The footers read last, and the files open. Files never change, so what was read once holds."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._held: OrderedDict[str, Footer] = OrderedDict()
        self._open: OrderedDict[str, pq.ParquetFile] = OrderedDict()
        self._lock = threading.Lock()

    def known(self, file: StoredFile) -> Footer | None:
        """The footer, if it was read."""
        return self._held.get(file.path)

    def of(self, file: StoredFile) -> Footer:
        """DataError when the file cannot be read."""
        with self._lock:
            found = self._held.get(file.path)
        if found is not None:
            return found
        with self.kept_open(file) as opened:
            footer = Footer(opened.metadata)
        with self._lock:
            self._held[file.path] = footer
            while len(self._held) > FOOTERS_MAX:
                self._held.popitem(last=False)
        return footer

    @contextmanager
    def opened(self, file: StoredFile) -> Iterator[pq.ParquetFile]:
        """The file, for a read of much out of an object store, whose memory goes with it. DataError when it cannot be
        read, or a read of it fails."""
        footer = self.known(file)
        with (
            reading(self.place, file),
            self.place.open(file.path) as source,
            pq.ParquetFile(source, metadata=footer and footer.metadata, pre_buffer=True) as opened,
        ):
            yield opened

    @contextmanager
    def kept_open(self, file: StoredFile) -> Iterator[pq.ParquetFile]:
        """As `opened`, for the rest: it stays open for the next read, and is nobody else's meanwhile. Of a disk nothing
        is read ahead by Arrow, whose threads for that take thrice as long as the decoding."""
        with reading(self.place, file):
            with self._lock:
                found = self._open.pop(file.path, None)
            if found is not None and self.place.is_local and not self.place.exists(file.path):
                found = None  # forgotten meanwhile: no longer there for whoever has it open either
            if found is None:
                source, footer = self.place.open(file.path), self.known(file)
                remote = not self.place.is_local
                found = pq.ParquetFile(source, metadata=footer and footer.metadata, pre_buffer=remote)
            try:
                yield found
            except BaseException:
                found.close(force=True)
                raise
        with self._lock:
            self._open[file.path] = found
            spare = [self._open.popitem(last=False)[1] for _ in range(len(self._open) - OPEN_MAX)]
        for one in spare:
            one.close(force=True)

    def ahead(self, file: StoredFile, groups: Sequence[int], columns: Sequence[str]) -> None:
        """Have the disk begin with what these columns of row groups take, and nothing beyond it."""
        if self.place.is_local:
            self.place.ahead(file.path, self.of(file).ranges(groups, columns))


class reading:  # noqa: N801 - reads as the statement it is
    """Turns what goes wrong with a file into a DataError that names it."""

    def __init__(self, place: Place, file: StoredFile) -> None:
        self._address = place.address(file.path)

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, OSError | pa.ArrowException):
            problem = f"cannot be read: {first_line(error)}"
            raise DataError("file", self._address, problem, "ingest the data again") from None

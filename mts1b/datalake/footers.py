"""What files say of themselves, read once: where each name's rows lie, and which row groups hold them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mts1b.datalake.parts import Layout
from mts1b.datalake.schema import first_line
from mts1b.datalake.snapshot import Span, StoredFile
from mts1b.datalake.storage import Place
from mts1b.foundation.errors import DataError

FOOTERS_MAX = 4_096
"""Footers a reader keeps: those of 30 years of minutes with room to spare, some 100 kB each at most."""

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


class Footer:
    """A file's metadata, and the layout of its rows if it has one."""

    def __init__(self, metadata: pq.FileMetaData) -> None:
        self.metadata, self.layout = metadata, Layout.stored(metadata)
        self.columns = {metadata.schema.column(n).path: n for n in range(metadata.num_columns)}
        self.fields = frozenset(path.partition(".")[0] for path in self.columns)
        self.sizes = np.array([metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)], int)
        self.borders = np.concatenate(([0], np.cumsum(self.sizes)))
        self._alike: dict[str, list[str | None]] = {}
        if self.layout is not None:
            self._rows = np.array(self.layout.rows)
            self._starts = np.cumsum(self._rows) - self._rows
            self._place = {name: n for n, name in enumerate(self.layout.symbols)}

    def runs(self, names: frozenset[str] | None, time: str | None, span: Span) -> Runs:
        """Where the rows of `names` lie (None: of all), without row groups that hold no time inside the span."""
        chosen = np.arange(len(self._rows))
        if names is not None:
            chosen = np.array(sorted(self._place[name] for name in names if name in self._place), dtype=np.int64)
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

    def alike(self, name: str, groups: Sequence[int]) -> pa.Scalar | None:
        """What every row of these row groups holds in a column of words, where their statistics tell."""
        if name not in self._alike:
            self._alike[name] = [self._one_word(group, name) for group in range(len(self.sizes))]
        words = {self._alike[name][group] for group in groups}
        word = words.pop() if len(words) == 1 else None
        return None if word is None else pa.scalar(word, self._schema.field(name).type)

    @cached_property
    def _schema(self) -> pa.Schema:
        return self.metadata.schema.to_arrow_schema()

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


class Footers:
    """The footers read last. Files never change, so what was read once holds."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._held: OrderedDict[str, Footer] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, file: StoredFile) -> Footer:
        """DataError when the file cannot be read."""
        with self._lock:
            found = self._held.get(file.path)
        if found is not None:
            return found
        with reading(self.place, file), self.place.open(file.path) as source:
            footer = Footer(pq.read_metadata(source))
        with self._lock:
            self._held[file.path] = footer
            while len(self._held) > FOOTERS_MAX:
                self._held.popitem(last=False)
        return footer


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

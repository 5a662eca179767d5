"""Rows out of the files of a version: only the files, row groups and columns that can hold an answer are touched."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from mts1b.datalake.columns import as_read, nothing
from mts1b.datalake.definitions import Definition
from mts1b.datalake.merge import as_known
from mts1b.datalake.parts import Layout
from mts1b.datalake.schema import first_line
from mts1b.datalake.snapshot import Span, StoredFile
from mts1b.datalake.storage import Place
from mts1b.foundation.clock import to_ns
from mts1b.foundation.errors import DataError

FOOTERS_MAX = 4_096
"""Footers a reader keeps: those of 30 years of minutes with room to spare, some 100 kB each at most."""

NS_PER_US = 1_000


@dataclass(frozen=True, slots=True)
class Footer:
    """What a file says of itself."""

    metadata: pq.FileMetaData
    layout: Layout | None


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
        with reading(self.place, file):
            metadata = pq.read_metadata(self.place.open(file.path))
        footer = Footer(metadata, Layout.stored(metadata))
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


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a table. `names`: in no order, None for all; `columns`: beside the key; `as_of_us`: see
    `mts1b.datalake.definitions`."""

    names: frozenset[str] | None
    span: Span
    columns: tuple[str, ...]
    as_of_us: int | None = None

    def concerns(self, file: StoredFile) -> bool:
        """Whether the file can hold an answer."""
        return file.extent.inside(self.span) and (self.names is None or file.extent.may_hold(self.names))


class Reader:
    """Reads one table."""

    def __init__(self, place: Place, definition: Definition, selected: str) -> None:
        self.footers = Footers(place)
        self._place, self._definition, self._selected = place, definition, selected

    def rows(self, files: Sequence[StoredFile], question: Question) -> pl.DataFrame:
        """Answers sorted by key, the key's columns first. DataError names a file that cannot be read."""
        frames, known = self.answers(files, question)
        shown = list(dict.fromkeys((*self._definition.key, *question.columns)))
        if not frames:
            return pl.DataFrame(schema={name: self._definition.column(name).read for name in shown})
        whole = pl.concat([frame.select(shown) for frame in frames])
        return self._in_order(whole, known, len(frames) > 1)

    def answers(self, files: Sequence[StoredFile], question: Question) -> tuple[list[pl.DataFrame], dict[str, int]]:
        """Answers file by file, in the files' order; in files with a layout names are numbers, which come along."""
        known: dict[str, int] = {}
        return [self._answers(file, question, known) for file in files if question.concerns(file)], known

    def whole(self, file: StoredFile) -> pl.DataFrame:
        """Every row and column of a file, revisions too."""
        footer = self.footers.of(file)
        table = self._table(file, range(footer.metadata.num_row_groups), None)
        return pl.DataFrame([self._series(table, column.name) for column in self._definition.columns])

    def arrays(self, file: StoredFile) -> list[pa.Array]:
        """Every stored column of a file as it is stored."""
        table = self._table(file, range(self.footers.of(file).metadata.num_row_groups), None)
        return [column.combine_chunks() for column in table.columns]

    def names(self, files: Sequence[StoredFile], span: Span = (None, None)) -> set[str]:
        """Every name with a row inside the span."""
        found: set[str] = set()
        for file in files:
            if not file.extent.inside(span):
                continue
            layout = self.footers.of(file).layout
            if layout is not None and _within(file, span):
                found.update(layout.symbols)
            else:
                question = Question(None, span, ())
                found.update(self.rows([file], question)[self._definition.cluster].unique().to_list())
        return found

    def _answers(self, file: StoredFile, question: Question, known: dict[str, int]) -> pl.DataFrame:
        """The answers in one file; names of a laid out file are numbers, kept in `known`."""
        definition, footer = self._definition, self.footers.of(file)
        columns = [*definition.key, *question.columns]
        collapses = definition.known is not None and (file.revised or question.as_of_us is not None)
        if collapses:
            columns += [definition.known]  # type: ignore[list-item]
        if definition.time is not None and not _within(file, question.span):
            columns.append(definition.time)
        columns = list(dict.fromkeys(columns))
        if footer.layout is None:
            frame = self._filtered(file, footer, columns, question)
        else:
            frame = self._laid_out(file, footer, footer.layout, columns, question, known)
        frame = _inside(frame, definition.time, question.span)
        return as_known(frame, definition, self._selected, question.as_of_us) if collapses else frame

    def _laid_out(
        self,
        file: StoredFile,
        footer: Footer,
        layout: Layout,
        columns: Sequence[str],
        question: Question,
        known: dict[str, int],
    ) -> pl.DataFrame:
        """Rows of whole names, found by the layout."""
        names = [n for n, name in enumerate(layout.symbols) if question.names is None or name in question.names]
        pieces = _pieces(footer.metadata, layout, names, _live(footer.metadata, self._definition.time, question.span))
        table = self._table(file, pieces.groups, [name for name in columns if name != self._definition.cluster])
        if pieces.kept is not None:
            table = pa.concat_tables([table.slice(0, 0), *(table.slice(*piece) for piece in pieces.kept)])
        numbers = np.array([known.setdefault(layout.symbols[n], len(known)) for n in pieces.names], dtype=np.uint32)
        named = pl.Series(self._definition.cluster, np.repeat(numbers, pieces.rows))
        return pl.DataFrame(
            [named if name == self._definition.cluster else self._series(table, name) for name in columns]
        )

    def _filtered(self, file: StoredFile, footer: Footer, columns: Sequence[str], question: Question) -> pl.DataFrame:
        """Rows of a file that no name lays out."""
        definition = self._definition
        named = definition.named or definition.cluster
        asked = [*columns, named] if question.names is not None and named not in columns else columns
        live = _live(footer.metadata, definition.time, question.span)
        table = self._table(file, [group for group in range(footer.metadata.num_row_groups) if live(group)], asked)
        frame = pl.DataFrame([self._series(table, name) for name in asked])
        if question.names is None:
            return frame
        names = sorted(question.names)
        if isinstance(frame.schema[named], pl.List):
            return frame.filter(pl.col(named).list.set_intersection(names).list.len() > 0)
        return frame.filter(pl.col(named).is_in(names))

    def _table(self, file: StoredFile, groups: Collection[int], columns: Sequence[str] | None) -> pa.Table:
        footer = self.footers.of(file)
        with reading(self._place, file):
            source = self._place.open(file.path)
            with pq.ParquetFile(source, metadata=footer.metadata, pre_buffer=not self._place.is_local) as opened:
                held = set(opened.schema_arrow.names)
                wanted = None if columns is None else [name for name in columns if name in held]
                return opened.read_row_groups(list(groups), columns=wanted)

    def _series(self, table: pa.Table, name: str) -> pl.Series:
        column = self._definition.column(name)
        if name not in table.column_names:
            return nothing(column, table.num_rows)
        return as_read(table.column(name), column)

    def _in_order(self, frame: pl.DataFrame, known: dict[str, int], several: bool) -> pl.DataFrame:
        """Sorted by key, names as texts."""
        cluster = self._definition.cluster
        if frame.schema[cluster] != pl.UInt32() or not known:
            return frame.sort(self._definition.key) if several else frame
        names = sorted(known)
        place = np.empty(len(names), dtype=np.uint16 if len(names) <= 1 << 16 else np.uint32)
        place[[known[name] for name in names]] = np.arange(len(names))
        codes = place[frame[cluster].to_numpy()]
        if several:  # files are in order of time, and numpy sorts small numbers by counting
            order = np.argsort(codes, kind="stable")
            frame, codes = frame[order], codes[order]
        return frame.with_columns(pl.Series(cluster, names, dtype=pl.String()).gather(codes.astype(np.uint32)))


def _within(file: StoredFile, span: Span) -> bool:
    """Whether every row of the file lies inside the span."""
    first, last = span
    extent = file.extent
    if first is not None and (extent.first_us is None or extent.first_us < first):
        return False
    return last is None or (extent.last_us is not None and extent.last_us <= last)


def _inside(frame: pl.DataFrame, time: str | None, span: Span) -> pl.DataFrame:
    if time is None or time not in frame.columns or span == (None, None):
        return frame
    stamps = frame[time].to_physical().to_numpy()
    kept = np.ones(len(stamps), dtype=bool)
    if span[0] is not None:
        kept &= stamps >= span[0]
    if span[1] is not None:
        kept &= stamps <= span[1]
    return frame if kept.all() else frame.filter(pl.Series(kept))


@dataclass(frozen=True, slots=True)
class Pieces:
    """`groups` to read; `kept` (start, rows) of what they hold, None for all of it; `rows` of `names` in it."""

    groups: list[int]
    kept: list[tuple[int, int]] | None
    names: list[int]
    rows: list[int]


def _pieces(metadata: pq.FileMetaData, layout: Layout, names: list[int], live: Callable[[int], bool]) -> Pieces:
    """Where the rows of `names` lie, numbers of the layout, without the row groups that are not `live`."""
    sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    borders = np.concatenate(([0], np.cumsum(sizes)))
    ends = np.cumsum(layout.rows)
    starts = ends - layout.rows
    first_of, last_of = np.searchsorted(borders, starts, "right") - 1, np.searchsorted(borders, ends)
    needed = sorted({g for n in names for g in range(first_of[n], last_of[n])})
    groups = [group for group in needed if live(group)]
    if len(names) == len(layout.rows) and len(groups) == len(sizes):
        return Pieces(groups, None, names, list(layout.rows))
    before = dict(zip(groups, np.cumsum([0, *(sizes[group] for group in groups)]).tolist(), strict=False))
    kept: list[tuple[int, int]] = []
    owners, rows = [], []
    for n in names:
        for group in range(first_of[n], last_of[n]):
            if group in before:
                first, last = max(starts[n], borders[group]), min(ends[n], borders[group + 1])
                kept.append((int(before[group] + first - borders[group]), int(last - first)))
                owners.append(n)
                rows.append(kept[-1][1])
    return Pieces(groups, kept, owners, rows)


def _live(metadata: pq.FileMetaData, time: str | None, span: Span) -> Callable[[int], bool]:
    """Tells whether a row group can hold a time inside the span, by its statistics."""
    names = [metadata.schema.column(n).path for n in range(metadata.num_columns)]
    if time not in names or span == (None, None):
        return lambda _group: True
    place = names.index(time)

    def live(group: int) -> bool:
        found = metadata.row_group(group).column(place).statistics
        if found is None or not found.has_min_max:
            return True
        first, last = to_ns(found.min) // NS_PER_US, to_ns(found.max) // NS_PER_US
        return (span[1] is None or first <= span[1]) and (span[0] is None or last >= span[0])

    return live

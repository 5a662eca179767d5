"""Rows out of the files of a version: only the files, row groups and columns that can hold an answer are touched.

A file's answers are a block: an Arrow table whose rows go name by name. Nothing is copied before all blocks are there;
then each column is made once, in its final order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from mts1b.datalake.buffers import words
from mts1b.datalake.columns import as_floats, as_read, nothing
from mts1b.datalake.definitions import Definition
from mts1b.datalake.footers import Footer, Footers, Runs, Spell
from mts1b.datalake.layout import Layout, Stays
from mts1b.datalake.merge import as_known
from mts1b.datalake.snapshot import Span, StoredFile
from mts1b.datalake.storage import Place
from mts1b.datalake.workers import shared

VALUES_FOR_THREADS = 1_000_000
"""Values asked for from which two threads share the work: below, waking the second takes longer."""

NAMES_COUNTED_MAX = 16
"""Names whose rows are looked up for that; those of more count as whole files."""

ROWS_FEW = 65_536
"""Rows up to which a read is always asked of the disk ahead; of more only the first time, as pages read before are
likely to be in memory. A file in an object store of which more is read does not stay open: Arrow would keep what it
read ahead."""

RUNS_MAX = 64
"""Runs of names that are narrowed to the span one by one; more of them all at once."""

Numbers = NDArray[np.int64]
Result = TypeVar("Result")


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


@dataclass(frozen=True, slots=True)
class Block:
    """The answers in one file. With a layout `rows[i]` of them are of `names[i]`, and `table` has no column of names;
    without one `names` is empty.

    Where a file tells at which times names have rows, `table` has no column of times: `spell` says which of `times` the
    rows are at, its names being places in `names`. Columns of which all rows hold one word are in `words` then.
    """

    table: pa.Table
    names: tuple[str, ...]
    rows: Numbers
    times: Numbers | None = None
    spell: Spell | None = None
    words: Mapping[str, str] = field(default_factory=dict)

    def stamps(self, time: str) -> Numbers:
        """The time of each row."""
        if self.times is None or self.spell is None:
            return _stamps(self.table.column(time))
        at, rows = self.spell.at, self.spell.rows
        if len(at) == 1:
            return self.times[at[0] : at[0] + rows[0]]
        return self.times[np.repeat(at - np.cumsum(rows) + rows, rows) + np.arange(int(rows.sum()))]


class Reader:
    """Reads one table."""

    def __init__(self, place: Place, definition: Definition, selected: str) -> None:
        self.footers = Footers(place)
        self._place, self._definition, self._selected = place, definition, selected

    def rows(self, files: Sequence[StoredFile], question: Question) -> pl.DataFrame:
        """Answers sorted by key, the key's columns first. DataError names a file that cannot be read."""
        blocks = self.blocks(files, question)
        shown = list(dict.fromkeys((*self._definition.key, *question.columns)))
        if not blocks:
            return pl.DataFrame(schema={name: self._definition.column(name).read for name in shown})
        if self._definition.is_laid_out:
            return self._ordered(blocks, shown)
        frame = pl.DataFrame([self.series([block.table for block in blocks], name) for name in shown])
        return frame.sort(self._definition.key) if len(blocks) > 1 else frame

    def blocks(self, files: Sequence[StoredFile], question: Question) -> list[Block]:
        """The answers file by file, in the files' order, without files that hold none."""
        return self.each(files, question, lambda block: block)

    def each(self, files: Sequence[StoredFile], question: Question, take: Callable[[Block], Result]) -> list[Result]:
        """What `take` makes of each of the `blocks`, in any thread."""
        wanted = [file for file in files if question.concerns(file)]

        def taken(file: StoredFile) -> list[Result]:
            block = self._block(file, question)
            return [take(block)] if block.table.num_rows else []

        values = sum(self._asked(file, question) for file in wanted) * len(question.columns)
        found = shared(wanted, taken) if values >= VALUES_FOR_THREADS else [taken(file) for file in wanted]
        return [one for part in found for one in part]

    def _asked(self, file: StoredFile, question: Question) -> int:
        """How many of a file's rows are asked for; all of them where that is not told cheaply."""
        footer, names = self.footers.known(file), question.names
        if footer is None or footer.layout is None or names is None or len(names) > NAMES_COUNTED_MAX:
            return file.rows
        return footer.rows_of(names)

    def whole(self, file: StoredFile) -> pl.DataFrame:
        """Every row and column of a file, revisions too."""
        table = self._table(file, range(len(self.footers.of(file).sizes)), None)
        return pl.DataFrame([self.series([table], column.name) for column in self._definition.columns])

    def arrays(self, file: StoredFile) -> list[pa.Array]:
        """Every stored column of a file as it is stored."""
        table = self._table(file, range(len(self.footers.of(file).sizes)), None)
        return [column.combine_chunks() for column in table.columns]

    def names(self, files: Sequence[StoredFile], span: Span = (None, None)) -> set[str]:
        """Every name with a row inside the span."""
        found: set[str] = set()
        for file in files:
            if not file.extent.inside(span):
                continue
            layout = self.footers.of(file).layout
            if layout is not None and within(file, span):
                found.update(layout.symbols)
                continue
            for block in self.blocks([file], Question(None, span, ())):
                names = block.names or block.table.column(self._definition.cluster).unique().to_pylist()
                found.update(str(name) for name in names)
        return found

    def series(self, tables: Sequence[pa.Table], name: str, order: Numbers | None = None) -> pl.Series:
        """A column of all these tables, one after the other, or in another order."""
        column = self._definition.column(name)
        if not any(name in table.column_names for table in tables):
            return nothing(column, sum(table.num_rows for table in tables))
        chunks = [
            chunk
            for table in tables
            for chunk in (table.column(name).chunks if name in table.column_names else [pa.nulls(len(table))])
        ]
        if not chunks:
            return nothing(column, 0)
        if column.read == pl.String():
            chunks = [chunk.dictionary_decode() if pa.types.is_dictionary(chunk.type) else chunk for chunk in chunks]
        if column.is_converted:
            return as_floats(chunks, column, order)
        kind = next(chunk.type for chunk in chunks if not pa.types.is_null(chunk.type))
        alike = [chunk if chunk.type == kind else chunk.cast(kind) for chunk in chunks]
        return as_read(pa.chunked_array(alike, kind), column, order)

    def _ordered(self, blocks: Sequence[Block], shown: Sequence[str]) -> pl.DataFrame:
        """The rows of all blocks, sorted by name and time, with the names."""
        names = sorted({name for block in blocks for name in block.names})
        tables, cluster, order = [block.table for block in blocks], self._definition.cluster, None
        if len(names) == 1:
            named = pl.Series(cluster, names).new_from_index(0, sum(table.num_rows for table in tables))
        else:
            codes = codes_of(blocks, names)
            if not (codes[1:] >= codes[:-1]).all():  # files are in order of time, so a stable sort will do
                order = np.argsort(codes, kind="stable")
                codes = codes[order]
            named = pl.Series(cluster, names, dtype=pl.String())[codes.astype(np.uint32)]
        made = {cluster: named}
        if any(block.spell is not None for block in blocks):
            made[str(self._definition.time)] = self._times(blocks, order)
        for name in {name for block in blocks for name in block.words}:
            made[name] = self._words(blocks, name, order)
        others = [name for name in shown if name not in made]

        def take(name: str) -> pl.Series:
            return self.series(tables, name, order)

        found = shared(others, take) if len(made[cluster]) * len(others) >= VALUES_FOR_THREADS else map(take, others)
        made |= dict(zip(others, found, strict=True))
        return pl.DataFrame([made[name] for name in shown])

    def _words(self, blocks: Sequence[Block], name: str, order: Numbers | None) -> pl.Series:
        """A column that is one word in some blocks."""
        if len({block.words.get(name) for block in blocks}) == 1:
            one = pl.Series(name, [blocks[0].words[name]])
            return one.new_from_index(0, sum(block.table.num_rows for block in blocks))
        found = [
            pl.Series(name, [block.words[name]]).new_from_index(0, block.table.num_rows)
            if name in block.words
            else self.series([block.table], name)
            for block in blocks
        ]
        every = pl.concat(found)
        return every if order is None else every[order]

    def _times(self, blocks: Sequence[Block], order: Numbers | None) -> pl.Series:
        time = str(self._definition.time)
        stamps = [block.stamps(time) for block in blocks]
        every = stamps[0] if len(stamps) == 1 else np.concatenate(stamps)
        return pl.Series(time, every if order is None else every[order]).cast(self._definition.column(time).read)

    def _block(self, file: StoredFile, question: Question) -> Block:
        definition, footer = self._definition, self.footers.of(file)
        collapses = definition.known is not None and (file.revised or question.as_of_us is not None)
        beside = [name for name in question.columns if name not in definition.key]
        columns = [*definition.key, *beside]
        columns += [str(definition.known)] if collapses else []
        columns += [] if definition.time is None or within(file, question.span) else [definition.time]
        if footer.layout is None:
            block = self._filtered(file, footer, columns, question)
        elif footer.stays is not None and not collapses and footer.fields.intersection(beside):
            return self._told(file, footer, footer.layout, footer.stays, question, [*definition.key[2:], *beside])
        else:
            block = self._laid_out(file, footer, footer.layout, columns, question)
        return self._collapsed(block, question.as_of_us) if collapses else block

    def _told(
        self,
        file: StoredFile,
        footer: Footer,
        layout: Layout,
        stays: Stays,
        question: Question,
        columns: Sequence[str],
    ) -> Block:
        """Rows of whole names, found by the layout, which tells their times too."""
        times = footer.times
        if times is None:
            told = layout.times
            times = footer.times = self._times_of(file, footer, layout, stays) if told is None else told.all()
        low = 0 if question.span[0] is None else int(np.searchsorted(times, question.span[0]))
        high = len(times) if question.span[1] is None else int(np.searchsorted(times, question.span[1], "right"))
        stay = None
        if question.names is not None and len(question.names) == 1:
            stay = footer.stay(next(iter(question.names)), low, high)
        if stay is not None:
            groups, start, at, count = stay
            words = self._alike(footer, groups, columns)
            table = self._table(file, groups, [name for name in columns if name not in words])
            table = table if count == table.num_rows else table.slice(start, count)
            return Block(table, tuple(question.names or ()), np.array([count]), times[low:high], _one(at, count), words)
        runs, spell = footer.spells(question.names, low, high)
        if not len(runs.rows):
            return _NOTHING
        words = self._alike(footer, runs.groups, columns)
        table = _taken(self._table(file, runs.groups, [name for name in columns if name not in words]), runs)
        first = np.flatnonzero(np.diff(runs.names, prepend=-1))
        which = np.cumsum(np.diff(runs.names, prepend=runs.names[0]) != 0)
        names = tuple(layout.symbols[n] for n in runs.names[first].tolist())
        rows = np.add.reduceat(runs.rows, first)
        return Block(table, names, rows, times[low:high], Spell(which, spell.at, spell.rows), words)

    def _alike(self, footer: Footer, groups: Sequence[int], columns: Sequence[str]) -> dict[str, str]:
        """Columns of which all rows of these groups hold one word, unless no other column would be left."""
        stored = [name for name in columns if name in footer.fields]
        texts = [name for name in stored if self._definition.column(name).read == pl.String()]
        words = {name: word for name in texts if (word := footer.alike(name, groups)) is not None}
        return words if len(words) < len(stored) else {}

    def _times_of(self, file: StoredFile, footer: Footer, layout: Layout, stays: Stays) -> Numbers:
        """Every time of a file: those of the name that has them all."""
        runs = footer.runs(frozenset([layout.symbols[stays.full]]), None, (None, None))
        time = str(self._definition.time)
        return _stamps(_taken(self._table(file, runs.groups, [time]), runs).column(time)).copy()

    def _laid_out(
        self, file: StoredFile, footer: Footer, layout: Layout, columns: Sequence[str], question: Question
    ) -> Block:
        """Rows of whole names, found by the layout."""
        definition = self._definition
        runs = footer.runs(question.names, definition.time, question.span)
        wanted = [name for name in dict.fromkeys(columns) if name != definition.cluster]
        table = self._table(file, runs.groups, wanted or [str(definition.time)])
        if not within(file, question.span):
            runs = _inside(runs, table.column(str(definition.time)), question.span)
        names = tuple(layout.symbols[n] for n in runs.names.tolist())
        return Block(_taken(table, runs), names, runs.rows)

    def _filtered(self, file: StoredFile, footer: Footer, columns: Sequence[str], question: Question) -> Block:
        """Rows of a file that no name lays out."""
        definition = self._definition
        named = definition.named or definition.cluster
        asked = list(dict.fromkeys([*columns, *([] if question.names is None else [named])]))
        groups = [g for g in range(len(footer.sizes)) if footer.can_hold(g, definition.time, question.span)]
        table = self._table(file, groups, asked)
        kept = np.ones(table.num_rows, dtype=bool)
        if definition.time is not None and not within(file, question.span):
            kept &= _inside_mask(_stamps(table.column(definition.time)), question.span)
        if question.names is not None:
            kept &= self._about(table, named, sorted(question.names))
        return Block(table if kept.all() else table.filter(pa.array(kept)), (), np.zeros(0, dtype=np.int64))

    def _about(self, table: pa.Table, named: str, names: list[str]) -> NDArray[np.bool_]:
        if named not in table.column_names:
            return np.zeros(table.num_rows, dtype=bool)
        values = pl.Series(table.column(named))
        if isinstance(values.dtype, pl.List):
            return (values.list.set_intersection(names).list.len() > 0).fill_null(False).to_numpy()
        return values.is_in(names).to_numpy()

    def _collapsed(self, block: Block, as_of_us: int | None) -> Block:
        """The latest row of each key, of those known then."""
        definition = self._definition
        columns = [*definition.key, str(definition.known)]
        known = [
            self.series([block.table], name)
            for name in dict.fromkeys(columns)
            if not (block.names and name == definition.cluster)
        ]
        if block.names:  # numbers will do: a name's rows lie together
            known.insert(0, pl.Series(definition.cluster, np.repeat(np.arange(len(block.names)), block.rows)))
        frame = pl.DataFrame([*known, pl.Series("row", np.arange(block.table.num_rows))])
        rows = as_known(frame, definition, self._selected, as_of_us)["row"].to_numpy()
        counts = np.diff(np.searchsorted(rows, np.concatenate(([0], np.cumsum(block.rows)))))
        return Block(block.table.take(pa.array(rows)), block.names, counts)

    def _table(self, file: StoredFile, groups: Sequence[int], columns: Sequence[str] | None) -> pa.Table:
        footer = self.footers.of(file)
        groups = list(groups)
        rows = sum(footer.sizes[groups].tolist())
        few = rows <= ROWS_FEW
        fresh, footer.was_read = not footer.was_read, True
        with self.footers.kept_open(file) if few or self._place.is_local else self.footers.opened(file) as opened:
            read = None if columns is None else [name for name in columns if name in footer.fields]
            if few or fresh:
                self.footers.ahead(file, groups, list(footer.columns) if read is None else read)
            return opened.read_row_groups(groups, columns=read, use_threads=False)


def _one(at: int, rows: int) -> Spell:
    return Spell(_FIRST, np.array([at]), np.array([rows]))


_FIRST = np.zeros(1, dtype=np.int64)
_NOTHING = Block(pa.table({}), (), np.zeros(0, dtype=np.int64))


def codes_of(blocks: Sequence[Block], names: Sequence[str]) -> NDArray[np.unsignedinteger]:
    """The place in `names` of each row of all blocks; numpy sorts small numbers by counting."""
    kind = np.uint16 if len(names) <= 1 << 16 else np.uint32
    place: Mapping[str, int] = {name: number for number, name in enumerate(names)}
    return np.concatenate(
        [np.repeat(np.array([place[name] for name in block.names], dtype=kind), block.rows) for block in blocks]
    )


def within(file: StoredFile, span: Span) -> bool:
    """Whether every row of the file lies inside the span."""
    first, last = span
    extent = file.extent
    if first is not None and (extent.first_us is None or extent.first_us < first):
        return False
    return last is None or (extent.last_us is not None and extent.last_us <= last)


def _stamps(column: pa.ChunkedArray) -> Numbers:
    return np.asarray(words(column))


def _inside_mask(stamps: Numbers, span: Span) -> NDArray[np.bool_]:
    first, last = span
    kept = np.ones(len(stamps), dtype=bool) if first is None else stamps >= first
    return kept if last is None else kept & (stamps <= last)


def _inside(runs: Runs, times: pa.ChunkedArray, span: Span) -> Runs:
    """The runs without rows outside the span; within a run times rise."""
    stamps = _stamps(times)
    starts, rows = runs.starts, runs.rows
    if len(rows) <= RUNS_MAX:
        ends = np.array([[0, 0]] * len(rows), dtype=np.int64).reshape(-1, 2)
        for n, (start, count) in enumerate(zip(starts.tolist(), rows.tolist(), strict=True)):
            own = stamps[start : start + count]
            ends[n, 0] = 0 if span[0] is None else np.searchsorted(own, span[0])
            ends[n, 1] = count if span[1] is None else np.searchsorted(own, span[1], "right")
    else:
        count_of = np.concatenate(([0], np.cumsum(_inside_mask(stamps, span))))
        before = np.concatenate(([0], np.cumsum(stamps < (span[0] if span[0] is not None else stamps.min()))))
        first = before[starts + rows] - before[starts]
        ends = np.stack([first, first + count_of[starts + rows] - count_of[starts]], axis=1)
    kept = ends[:, 1] > ends[:, 0]
    starts, rows = (starts + ends[:, 0])[kept], (ends[:, 1] - ends[:, 0])[kept]
    return Runs(runs.groups, runs.names[kept], starts, rows, whole=int(rows.sum()) == len(stamps))


def _taken(table: pa.Table, runs: Runs) -> pa.Table:
    """The rows of the runs; neighbouring runs are one piece."""
    if runs.whole or not len(runs.rows):
        return table if runs.whole else table.slice(0, 0)
    ends = runs.starts + runs.rows
    fresh = np.concatenate(([True], runs.starts[1:] != ends[:-1]))
    firsts = np.flatnonzero(fresh)
    lasts = np.concatenate((firsts[1:], [len(ends)])) - 1
    pieces = [
        table.slice(int(runs.starts[a]), int(ends[b] - runs.starts[a])) for a, b in zip(firsts, lasts, strict=True)
    ]
    return pieces[0] if len(pieces) == 1 else pa.concat_tables(pieces)

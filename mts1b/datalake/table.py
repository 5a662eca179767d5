"""One table: its log, its files, and how rows come into it. `Dataset` is what users see of it.

A partition's files never hold the same name at the same time: whatever is written into a region that a file covers
already is merged with that file. So readers need not look for the newest of two rows, and a day added to a month that
lies before it is one small file, until there are too many and they are put together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import polars as pl

from mts1b.datalake import newest, parts
from mts1b.datalake.definitions import Definition
from mts1b.datalake.digests import content_digest
from mts1b.datalake.log import Log, Overtaken, Shape
from mts1b.datalake.merge import alone, is_revised, merged
from mts1b.datalake.order import sorted_by
from mts1b.datalake.reading import Reader
from mts1b.datalake.snapshot import Snapshot, StoredFile
from mts1b.datalake.storage import Place, unwritable
from mts1b.foundation.errors import DataError, StackError

Progress = Callable[[int, int], None]
"""Called with partitions done and partitions in all."""

FILES_PER_PARTITION_MAX = 12
"""Files of a partition that a write leaves: when it would add one more, it puts them together."""

COMMITS_MAX = 50
"""How often a write is done again because other writers came first."""

REFUSE, REPLACE = "refuse", "replace"
"""What becomes of a row whose key is stored already: an error, or the place of the stored one."""


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one partition."""

    add: list[StoredFile]
    remove: list[StoredFile]


class Table:
    """The rows of one definition at one place. `selected`: the interval or whatever chooses among several tables."""

    def __init__(self, place: Place, definition: Definition, selected: str = "") -> None:
        self.place, self.definition, self.selected = place, definition, selected
        self.storage = definition.storage(selected)
        self.name = f"{definition.full_name}/{selected}" if selected else definition.full_name
        name = definition.cluster if definition.is_laid_out else None
        shape = Shape(self.name, definition.columns, name, definition.time, self.storage.partition_columns)
        self.log = Log(place, shape)
        self.reader = Reader(place, definition, selected)

    def put(
        self, rows: pl.DataFrame, note: str, stored_already: str = REPLACE, progress: Progress | None = None
    ) -> Snapshot:
        """Add rows as `checks.checked` gives them. Rows that are stored as they are change nothing and make no version.
        DataError with REFUSE for a key that is stored."""

        def changes(base: Snapshot | None) -> Iterator[Change]:
            split = list(parts.by_partition(rows, self.definition, self.storage))
            for number, (partition, added) in enumerate(split, start=1):
                held = [file for file in base.files if file.partition == partition] if base else []
                yield self._put(partition, added, held, stored_already)
                if progress is not None:
                    progress(number, len(split))

        return self._committed(changes, note)

    def replace(self, rows: pl.DataFrame, note: str) -> Snapshot:
        """Put rows, as `checks.checked` gives them, in the place of everything stored."""

        def changes(base: Snapshot | None) -> Iterator[Change]:
            split = parts.by_partition(rows, self.definition, self.storage)
            added = [file for partition, part in split for file in self._write(partition, part)]
            yield Change(added, list(base.files) if base else [])

        return self._committed(changes, note)

    def compact(self, progress: Progress | None = None) -> Snapshot | None:
        """Put the files of each partition together where it has several that fit into fewer. The rows stay as they
        are, and so does their digest; readers of older versions keep their files."""

        def changes(base: Snapshot | None) -> Iterator[Change]:
            held = self._partitions(base)
            for number, (partition, files) in enumerate(held.items(), start=1):
                if len(files) > -(-sum(file.rows for file in files) // self.storage.rows_per_file):
                    rows = self._rows(files)
                    yield Change(self._write(partition, rows), files)
                if progress is not None:
                    progress(number, len(held))

        if self.log.snapshot() is None:
            return None
        return self._committed(changes, "compact", same_rows=True)

    def verify(self, progress: Progress | None = None) -> int:
        """Read every row and compare it with its file's digest; return their number. DataError names a bad file."""
        held, reader = self.log.read(), Reader(self.place, self.definition, self.selected)
        noted = newest.told(self.place) if self.place.is_local else None
        if noted is not None and noted.number == (held.number if held else None) and noted != held:
            address = self.place.address(newest.NAME)
            raise DataError("file", address, "names other files than the log", "delete it: the log is what counts")
        files = held.files if held else ()
        for number, file in enumerate(files, start=1):
            arrays = reader.arrays(file)
            columns = [column for column in self.definition.columns if column.name not in file.lacks]
            if len(arrays) != len(columns) or content_digest(arrays, columns) != file.content:
                raise DataError("file", file.path, "holds other rows than were written", "ingest the data again")
            if progress is not None:
                progress(number, len(files))
        return held.rows if held else 0

    def _put(self, partition: str, added: pl.DataFrame, held: list[StoredFile], stored_already: str) -> Change:
        touched = self._touched(added, held)
        if stored_already == REFUSE:
            self._refuse_stored(added, touched)
        if not touched and len(held) < FILES_PER_PARTITION_MAX:
            return Change(self._write(partition, alone(added, self.definition, self.selected)), [])
        together = touched or held
        before = self._rows(together)
        after = merged(before, added, self.definition, self.selected)
        if after.height == before.height and after.equals(before, null_equal=True):
            return Change([], [])
        return Change(self._write(partition, after), together)

    def _touched(self, added: pl.DataFrame, held: list[StoredFile]) -> list[StoredFile]:
        """Files whose region the added rows, together with those files, lie in."""
        extent, touched = parts.extent_of(added, self.definition), list[StoredFile]()
        while True:
            met = [file for file in held if file not in touched and file.extent.meets(extent)]
            if not met:
                return touched
            touched += met
            for file in met:
                extent = extent.with_(file.extent)

    def _refuse_stored(self, added: pl.DataFrame, touched: list[StoredFile]) -> None:
        if not touched:
            return
        definition = self.definition
        told = definition.known is not None and not definition.column(definition.known).optional
        again = added.join(self._rows(touched), on=definition.sorted_by if told else definition.key, how="semi")
        if again.height:
            first = again.select(definition.key).row(0, named=True)
            shown = ", ".join(f"{name}={value}" for name, value in first.items())
            problem = f"{again.height} rows are stored already, the first is {shown}"
            raise DataError("rows", self.name, problem, "use upsert to replace them")

    def _rows(self, files: Sequence[StoredFile]) -> pl.DataFrame:
        """Every row of files of one partition, revisions too, sorted."""
        frames = [self.reader.whole(file) for file in files]
        return frames[0] if len(frames) == 1 else sorted_by(pl.concat(frames), self.definition.sorted_by)

    def _write(self, partition: str, rows: pl.DataFrame) -> list[StoredFile]:
        revised = is_revised(rows, self.definition)
        return parts.write(self.place, self.definition, self.storage, partition, rows, revised)

    def _partitions(self, base: Snapshot | None) -> dict[str, list[StoredFile]]:
        held: dict[str, list[StoredFile]] = {}
        for file in base.files if base else ():
            held.setdefault(file.partition, []).append(file)
        return held

    def _committed(
        self, changes: Callable[[Snapshot | None], Iterator[Change]], note: str, same_rows: bool = False
    ) -> Snapshot:
        """Work the changes out and commit them, again from the start when another writer came first."""
        try:
            with self.place.writers_turn():
                for _ in range(COMMITS_MAX):
                    base = self.log.snapshot()
                    found = list(changes(base))
                    add = [file for change in found for file in change.add]
                    remove = [file for change in found for file in change.remove]
                    if base is not None and not add and not remove:
                        return base
                    try:
                        return self.log.commit(base, add, remove, note, same_rows)
                    except Overtaken:
                        for file in add:
                            with suppress(OSError):
                                self.place.remove(file.path)
        except OSError as error:
            raise unwritable(self.place, error) from None
        raise StackError("lake", self.place.root, f"other writers came first {COMMITS_MAX} times", "write again")

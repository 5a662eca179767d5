"""The versions of a table: a Delta log beside its files. The only module that imports `deltalake`.

A commit puts one small file of the next number into the log, which succeeds only if no one else has put one there:
so a version is there as a whole or not at all, on a disk as in an object store, and of two writers one comes second.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Field, Schema
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from mts1b.datalake import newest
from mts1b.datalake.columns import Column
from mts1b.datalake.newest import LOG, entry
from mts1b.datalake.schema import first_line
from mts1b.datalake.snapshot import Extent, Snapshot, StoredFile
from mts1b.datalake.storage import Place, sync, unwritable
from mts1b.foundation.clock import Clock, SystemClock, from_ns, to_ns
from mts1b.foundation.errors import DataError, InputError

OLD_MANIFEST = "manifest.json"
"""What lists the files of a lake that was made before tables had a log."""

CHECKPOINT_EVERY, KEPT = 20, "interval 3650 days"
"""Commits between two summaries of the log: opening a table reads one and what came after, some 0.3 ms a commit.
Entries of the log are kept for ten years; what an old one names may be gone (`Log.forget`)."""

NS_PER_MS = 1_000_000
NS_PER_US = 1_000


class Overtaken(Exception):
    """Another writer's version came first: look at it and commit again."""


@dataclass(frozen=True, slots=True)
class Version:
    """One entry of a table's history. `number` from 0; `note`: what was written, by the writer's words."""

    number: int
    at: datetime
    note: str


@dataclass(frozen=True, slots=True)
class Shape:
    """What a log must know of a table: its columns, the one that names rows, the one of time, those of partitions."""

    table: str
    columns: tuple[Column, ...]
    name: str | None
    time: str | None
    partitions: tuple[str, ...]

    def schema(self) -> Schema:
        """The columns as Delta has them; partitions are whole numbers beside them."""
        frame = pl.DataFrame(schema={column.name: column.stored for column in self.columns})
        fields = list(frame.to_arrow(compat_level=pl.CompatLevel.oldest()).schema)
        return Schema.from_arrow(pa.schema([*fields, *(pa.field(name, pa.int32()) for name in self.partitions)]))


class Log:
    """The log of the table at `place`. Holds no state but what it read last."""

    def __init__(self, place: Place, shape: Shape, clock: Clock | None = None) -> None:
        self.place, self.shape = place, shape
        self._clock = clock or SystemClock()
        self._last: tuple[DeltaTable | None, Snapshot] | None = None

    def snapshot(self) -> Snapshot | None:
        """The newest version, None when there is no table. One look for a next number when nothing has changed.

        DataError: a lake of an older format, or a log that cannot be read.
        """
        if self._last is not None and not self._has_next(self._last[1].number):
            return self._last[1]
        found = newest.told(self.place) if self.place.is_local else None
        if found is None:
            return self.read()
        self._last = None, found
        return found

    def read(self) -> Snapshot | None:
        """As `snapshot`, out of the log whatever stands beside it."""
        table = self.opened()
        if table is None:
            return None
        self._last = table, self._taken(table)
        return self._last[1]

    def at(self, when: int | datetime) -> Snapshot:
        """A version by its number, or the one that was the newest at an instant. InputError when there is none."""
        table = self.opened()
        try:
            if table is None:
                raise InputError("version", str(when), "nothing is stored here yet", "see `mts data status`")
            table.load_as_version(when)
            return self._taken(table)
        except DeltaError as error:
            remedy = "see `versions()` for what there is"
            raise InputError("version", str(when), f"is not kept: {first_line(error)}", remedy) from None

    def versions(self) -> list[Version]:
        """What is kept of the history, oldest first."""
        table = self.opened()
        history = [] if table is None else table.history()
        return [
            Version(
                int(one["version"]),
                from_ns(int(one["timestamp"]) * NS_PER_MS),
                str(one.get("note", one.get("operation", ""))),
            )
            for one in reversed(history)
        ]

    def commit(
        self,
        base: Snapshot | None,
        add: Sequence[StoredFile],
        remove: Sequence[StoredFile],
        note: str,
        same_rows: bool = False,
    ) -> Snapshot:
        """The version after `base`, without the files of `remove`, with those of `add`. `same_rows`: they hold what the
        removed ones did. Overtaken when `base` is no longer the newest; StackError when the log cannot be written."""
        table = self._based_on(base)
        now_ms = self._clock.now_ns() // NS_PER_MS
        actions: list[AddAction | RemoveAction] = [self._added(file, now_ms, not same_rows) for file in add]
        actions += [self._removed(file, now_ms, not same_rows) for file in remove]
        properties = CommitProperties(custom_metadata={"note": note}, max_commit_retries=0)
        try:
            table.create_write_transaction(actions, "append", table.schema(), commit_properties=properties)
        except (CommitFailedError, DeltaError, OSError) as error:
            if self._has_next(table.version()):
                raise Overtaken from error
            raise unwritable(self.place, error) from None
        self._synced(table.version() + 1)
        table.update_incremental()
        return self._noted(table)

    def _noted(self, table: DeltaTable) -> Snapshot:
        """The table's version, which is the newest, told to whoever comes."""
        found = self._taken(table)
        self._last = table, found
        if self.place.is_local:
            newest.leave(self.place, found)
        return found

    def forget(self, older_than_s: float) -> list[str]:
        """Delete files that no version younger than that names, and what crashed writers left; return their paths."""
        table = self.opened()
        if table is None:
            return []
        try:
            gone = table.vacuum(int(older_than_s // 3600), False, enforce_retention_duration=False, full=True)
            table.cleanup_metadata()
            table.update_incremental()
        except (DeltaError, OSError) as error:
            raise unwritable(self.place, error) from None
        self._noted(table)
        return [str(path) for path in gone]

    def _based_on(self, base: Snapshot | None) -> DeltaTable:
        """The table at `base`, made when there is none. Overtaken when it has moved on."""
        if base is None:
            with suppress(DeltaError):  # two may make it at once: one of them does
                self._create()
            table = self.opened()
            if table is None:
                raise unwritable(self.place, OSError("no log was made"))
            if table.version() != 0:
                raise Overtaken
        else:
            if self._last is None or self._last[1].number != base.number:
                raise Overtaken
            held = self._last[0] or self.opened()
            if held is None or held.version() != base.number:
                raise Overtaken
            table = held
        return self._with_new_columns(table)

    def _create(self) -> None:
        try:
            if self.place.is_local:
                self.place.directory.mkdir(parents=True, exist_ok=True)
            DeltaTable.create(
                self.place.root,
                self.shape.schema(),
                partition_by=list(self.shape.partitions),
                name=self.shape.table,
                configuration={"delta.checkpointInterval": str(CHECKPOINT_EVERY), "delta.logRetentionDuration": KEPT},
                storage_options=dict(self.place.options) or None,
                commit_properties=CommitProperties(custom_metadata={"note": "created"}, max_commit_retries=0),
            )
        except OSError as error:
            raise unwritable(self.place, error) from None

    def _with_new_columns(self, table: DeltaTable) -> DeltaTable:
        """The table with the columns that its definition has gained since it was made."""
        stored = {field.name: field for field in table.schema().fields}
        for field in self.shape.schema().fields:
            held = stored.get(field.name)
            if held is not None and held.type != field.type:
                problem = f"column {field.name} is stored as {held.type}, this code writes {field.type}"
                raise DataError("lake", self.place.root, problem, "ingest the data again into an empty lake")
        new = [Field(f.name, f.type, nullable=True) for f in self.shape.schema().fields if f.name not in stored]
        if new:
            table.alter.add_columns(new)
            table.update_incremental()
        return table

    def opened(self) -> DeltaTable | None:
        """The table as `deltalake` has it, None when there is none."""
        if self.place.is_local and not self.place.exists(LOG) and not self.place.exists(OLD_MANIFEST):
            return None
        try:
            return DeltaTable(self.place.root, storage_options=dict(self.place.options) or None)
        except TableNotFoundError:
            if self.place.exists(OLD_MANIFEST):
                problem = "was made by an older version of this program, which kept a manifest in place of a log"
                remedy = "move this directory away and ingest the data again"
                raise DataError("lake", self.place.root, problem, remedy) from None
            return None
        except (DeltaError, OSError) as error:
            problem = f"the log cannot be read: {first_line(error)}"
            raise DataError("lake", self.place.root, problem, "restore _delta_log, or ingest the data again") from None

    def _has_next(self, number: int) -> bool:
        return self.place.exists(entry(number + 1))

    def _synced(self, number: int) -> None:
        if self.place.is_local:
            sync(self.place.directory / entry(number))
            sync(self.place.directory / LOG)

    def _taken(self, table: DeltaTable) -> Snapshot:
        actions = pl.DataFrame(table.get_add_actions(flatten=True))  # Arrow's own rows would import pandas
        files = sorted((self._file(row) for row in actions.iter_rows(named=True)), key=lambda file: file.order)
        return Snapshot(self.shape.table, table.version(), tuple(files))

    def _file(self, row: dict[str, Any]) -> StoredFile:
        shape, path = self.shape, str(row["path"])
        lows, highs = ([row.get(f"{end}.{name}") for name in (shape.name, shape.time)] for end in ("min", "max"))
        extent = Extent(lows[0], highs[0], _us(lows[1]), _us(highs[1]))
        optional = [column.name for column in shape.columns if column.optional]
        lacks = frozenset(name for name in optional if row.get(f"null_count.{name}") == row["num_records"])
        return StoredFile.of(path, int(row["num_records"]), int(row["size_bytes"]), extent, lacks)

    def _added(self, file: StoredFile, now_ms: int, changes: bool) -> AddAction:
        columns, extent = (self.shape.name, self.shape.time), file.extent
        low = {name: end for name, end in zip(columns, (extent.low, _iso(extent.first_us)), strict=True) if name}
        high = {name: end for name, end in zip(columns, (extent.high, _iso(extent.last_us)), strict=True) if name}
        nulls = dict.fromkeys(file.lacks, file.rows)
        stats = {"numRecords": file.rows, "minValues": low, "maxValues": high, "nullCount": nulls}
        return AddAction(file.path, file.bytes, _values(file.partition), now_ms, changes, json.dumps(stats))

    def _removed(self, file: StoredFile, now_ms: int, changes: bool) -> RemoveAction:
        return RemoveAction(file.path, changes, now_ms, file.bytes, _values(file.partition))


def stored_types(place: Place) -> dict[str, pl.DataType] | None:
    """Columns and types of the table at `place`, None when there is none."""
    table = Log(place, Shape("", (), None, None, ())).opened()
    if table is None:
        return None
    return dict(pl.DataFrame(pa.schema(table.schema().to_arrow()).empty_table()).schema)


def _values(partition: str) -> dict[str, str | None]:
    pairs = (part.partition("=") for part in partition.split("/") if part)
    return {name: value for name, _, value in pairs}


def _us(moment: datetime | None) -> int | None:
    return None if moment is None else to_ns(moment) // NS_PER_US


def _iso(us: int | None) -> str | None:
    return None if us is None else from_ns(us * NS_PER_US).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

"""What a dataset is: its columns, what makes a row unique, when it was known, and how its files are laid out.

A definition needs

* `columns`: see `mts1b.datalake.columns`.
* `key`: the columns that make a row unique, in the order its files are sorted by: the name first (a symbol as a rule),
  then the time.
* `named`: the column that `read(symbols=...)` goes by, where that is not the first of the key; it may hold lists.
* `time`: the instant a row is about: `start`, `end` and partitions go by it. None: a table small enough for one file.
* `known`: the instant from which a row was known, for rows that can be revised. A row whose key is stored already, but
  known later and different, is kept *beside* the one before: `read(as_of=...)` gives what was known then, and without
  `as_of` the latest. None: a new row replaces the stored one of its key. Where single rows leave it out (`where_known`)
  a row counts as known `known_after_us` after its time.
* `storages`: how files are compressed and cut, by the value of `selector` (the interval of bars, the sweep of results),
  each of which is a table with versions of its own; under "" for a dataset that is one table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from mts1b.datalake.columns import Column, read_schema, stored_schema
from mts1b.foundation.errors import unknown_name

YEAR, MONTH, WHOLE = "year", "month", ""
"""What a partition holds: a year, a month of a year, everything."""

ROWS_PER_FILE = 16_000_000
"""Rows of one file at most, of whole names where that is possible: 1,000 names' month of minutes is one. Where a name's
month is larger it has files of its own, cut by time, so that name and time still choose among them."""


@dataclass(frozen=True, slots=True)
class Storage:
    """How rows are stored. `by`: partitions. `level`: of the compression. `rows_per_group`: rows of a row group, of
    whole names where it holds several: a reader skips the groups of names it was not asked for."""

    by: str = WHOLE
    compression: str = "zstd"
    level: int | None = 3
    rows_per_group: int = 32_768
    rows_per_file: int = ROWS_PER_FILE

    @property
    def partition_columns(self) -> tuple[str, ...]:
        return {WHOLE: (), YEAR: ("year",), MONTH: ("year", "month")}[self.by]


@dataclass(frozen=True, slots=True)
class Definition:
    """One dataset. See the module."""

    domain: str
    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    storages: Mapping[str, Storage]
    time: str | None = "ts"
    known: str | None = None
    known_after_us: Mapping[str, int] = field(default_factory=dict)
    selector: str | None = None
    named: str | None = None
    about: str = ""

    @property
    def full_name(self) -> str:
        return f"{self.domain}.{self.name}"

    @property
    def cluster(self) -> str:
        """The column that names what a row is about."""
        return self.key[0]

    @property
    def is_laid_out(self) -> bool:
        """Whether files say where each name's rows lie."""
        return self.named is None and self.column(self.cluster).read == pl.String()

    @property
    def sorted_by(self) -> tuple[str, ...]:
        return self.key if self.known is None else (*self.key, self.known)

    def column(self, name: str) -> Column:
        """UnknownNameError when there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise unknown_name("columns", name, [column.name for column in self.columns])

    def storage(self, selected: str) -> Storage:
        """UnknownNameError for a value of the selector that does not exist."""
        if selected in self.storages:
            return self.storages[selected]
        raise unknown_name(self.selector or "table", selected, self.storages)

    @property
    def read_schema(self) -> pl.Schema:
        """What `read` gives with every column asked for."""
        return read_schema(self.columns)

    @property
    def stored_schema(self) -> pl.Schema:
        """What files hold, where they hold every column."""
        return stored_schema(self.columns)

    @property
    def shown(self) -> tuple[str, ...]:
        """Columns that `read` gives unasked: all but the knowledge time."""
        return tuple(column.name for column in self.columns if column.name != self.known)

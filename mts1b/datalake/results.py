"""Results of research: a table for each sweep, whose columns are its parameters and what was measured.

lake.research.results.read("5f0c...")        # one sweep
lake.research.results.of("5f0c...")          # the same as a `Dataset`: scan, upsert, versions, at, compact
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from mts1b.datalake.columns import Column, day, flag, instant, number, text, texts, whole
from mts1b.datalake.dataset import Dataset, Stored
from mts1b.datalake.definitions import Definition, Storage
from mts1b.datalake.log import stored_types
from mts1b.datalake.storage import Place
from mts1b.foundation.errors import InputError, unknown_name

DOMAIN, NAME, SELECTOR = "research", "results", "sweep"
KEY = "combination"
"""The number of a combination in its grid: what makes a row of a sweep unique."""

KINDS = {
    pl.String: text,
    pl.Int64: whole,
    pl.Float64: number,
    pl.Boolean: flag,
    pl.Date: day,
    pl.Datetime: instant,
    pl.List: texts,
}
WIDER = {pl.Categorical: pl.String(), pl.Enum: pl.String(), pl.Float32: pl.Float64()}
"""Types that are stored as others."""


class Results:
    """The results under one place."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def sweeps(self) -> list[str]:
        """The keys of all sweeps that have results here."""
        return [name.partition("=")[2] for name in self.place.folders() if name.startswith(f"{SELECTOR}=")]

    def of(self, sweep: str) -> Dataset:
        """The results of one sweep. UnknownNameError when there are none."""
        found = stored_types(self._place(sweep))
        if found is None:
            raise unknown_name(SELECTOR, sweep, self.sweeps())
        return self._dataset(sweep, found)

    def read(self, sweep: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """A sweep's rows by number: all columns, or those asked for beside the number. As `Dataset.read`."""
        return self.of(sweep).read(columns=columns)

    def scan(self, sweep: str, columns: Sequence[str] | None = None) -> pl.LazyFrame:
        """As `read`, lazily."""
        return self.of(sweep).scan(columns=columns)

    def write(self, sweep: str, rows: pl.DataFrame, source: str = "sweep") -> Stored:
        """Store a sweep's rows in the place of any it has. The same rows again make no version.

        InputError for a name that is no key, rows without a `combination`, or a column of another type than numbers,
        words, flags and times.
        """
        if not sweep.isalnum():
            raise InputError(SELECTOR, sweep, "is not the key of a sweep", "give its key, letters and digits")
        if KEY not in rows.columns:
            raise InputError("rows", sweep, f"have no column {KEY!r}", "number the combinations")
        wide = rows.with_columns(
            pl.col(name).cast(WIDER[type(kind)]) for name, kind in rows.schema.items() if type(kind) in WIDER
        )
        dataset = self._dataset(sweep, wide.schema)
        before = dataset.stored()
        if before is not None and before.rows == wide.height and dataset.read().equals(wide.sort(KEY)):
            return before
        return dataset.write(wide, mode="replace", source=source)

    def all_stored(self) -> list[Stored]:
        """What is stored, of each sweep."""
        return [stored for sweep in self.sweeps() if (stored := self.of(sweep).stored()) is not None]

    def _dataset(self, sweep: str, types: Mapping[str, pl.DataType]) -> Dataset:
        columns = [_column(name, kind) for name, kind in types.items()]
        first = sorted(columns, key=lambda column: column.name != KEY)
        definition = Definition(
            DOMAIN, NAME, tuple(first), (KEY,), {sweep: Storage()}, time=None, selector=SELECTOR, about="of a sweep"
        )
        dataset = Dataset(self.place, definition)
        dataset.default_selected = sweep
        return dataset

    def _place(self, sweep: str) -> Place:
        return self.place / f"{SELECTOR}={sweep}"


def _column(name: str, kind: pl.DataType) -> Column:
    made = KINDS.get(type(kind))
    if made is None:
        raise InputError("column", name, f"holds {kind}", "leave it out, or make numbers or words of it")
    return made(name) if name == KEY else made(name).where_known()

"""Every dataset as SQL: which views there are, and what each of them selects.

`equities.bars` holds the daily bars, as `read()` does without an interval; other intervals have views of their own,
`equities.bars_1m` and so on, so that no average is over a mixture. Where bars are stored but no daily ones, asking
`equities.bars` is an error that names those views.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from mts1b.datalake.columns import TIMESTAMP, Column
from mts1b.datalake.dataset import Dataset, Stored
from mts1b.datalake.definitions import Definition
from mts1b.datalake.results import DOMAIN, KEY, NAME, SELECTOR, Results
from mts1b.datalake.snapshot import StoredFile

SQL_TYPES = {
    pl.String(): "VARCHAR",
    pl.Float64(): "DOUBLE",
    pl.Int64(): "BIGINT",
    pl.Boolean(): "BOOLEAN",
    pl.Date(): "DATE",
    TIMESTAMP: "TIMESTAMPTZ",
    pl.List(pl.String()): "VARCHAR[]",
}


@dataclass(frozen=True, slots=True)
class View:
    """`sql` selects from `{0}`, `{1}`, ...: each stands for the Parquet files of one of `sources`."""

    domain: str
    name: str
    sql: str
    sources: tuple[tuple[Stored, tuple[StoredFile, ...]], ...] = ()


def views(dataset: Dataset) -> Iterator[View]:
    """The views of one dataset."""
    definition = dataset.definition
    if definition.selector is None:
        yield _view(definition, definition.name, dataset.stored())
        return
    stored = {one.interval: one for one in dataset.all_stored()}
    others = [name for name in stored if name != dataset.default_selected]
    if dataset.default_selected not in stored and others:
        yield _refusing(dataset, others)
    else:
        yield _view(definition, definition.name, stored.get(dataset.default_selected), dataset.default_selected)
    for name in others:
        yield _view(definition, f"{definition.name}_{name}", stored[name], name)


def results_view(results: Results) -> View:
    """The results of every sweep, told apart by the column `sweep`; parameters that one does not have are null."""
    stored = results.all_stored()
    if not stored:
        return View(DOMAIN, NAME, f"SELECT NULL::VARCHAR AS {SELECTOR}, NULL::BIGINT AS {KEY} WHERE false")
    selects = [f"SELECT '{one.interval}' AS {SELECTOR}, * FROM {{{n}}}" for n, one in enumerate(stored)]  # noqa: S608
    return View(DOMAIN, NAME, " UNION ALL BY NAME ".join(selects), tuple((one, one.snapshot.files) for one in stored))


def _view(definition: Definition, name: str, stored: Stored | None, selected: str = "") -> View:
    shown = [definition.column(column) for column in definition.shown]
    if stored is None:
        nothing = ", ".join(f'NULL::{_type(column)} AS "{column.name}"' for column in shown if not column.optional)
        return View(definition.domain, name, f"SELECT {nothing}{_selected(definition, selected)} WHERE false")
    shown = [column for column in shown if not column.optional or stored.snapshot.holds(column.name)]
    plain = tuple(file for file in stored.snapshot.files if not file.revised)
    revised = tuple(file for file in stored.snapshot.files if file.revised)
    sources = tuple((stored, files) for files in (plain, revised) if files)
    chosen = [f"{_columns(shown, files)}{_selected(definition, selected)}" for _, files in sources]
    selects = [f"SELECT {columns} FROM {{{n}}}" for n, columns in enumerate(chosen)]  # noqa: S608 - names are our own
    if revised:
        key = ", ".join(f'"{name}"' for name in definition.key)
        selects[-1] += f" QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY {definition.known} DESC) = 1"
    return View(definition.domain, name, " UNION ALL ".join(selects), sources)


def _columns(shown: Sequence[Column], files: Sequence[StoredFile]) -> str:
    """Columns out of some files; null what none of them holds."""
    held = {column.name for column in shown if any(column.name not in file.lacks for file in files)}
    values = [f'"{column.name}"' if column.name in held else "NULL" for column in shown]
    return ", ".join(
        f'{value}::{_type(column)} AS "{column.name}"' for value, column in zip(values, shown, strict=True)
    )


def _refusing(dataset: Dataset, others: Sequence[str]) -> View:
    definition = dataset.definition
    named = ", ".join(f"{definition.full_name}_{name}" for name in others)
    problem = f"{definition.full_name} holds {dataset.default_selected} rows, and none are stored; there is {named}"
    columns = ", ".join(f'NULL::{_type(definition.column(name))} AS "{name}"' for name in definition.shown)
    return View(definition.domain, definition.name, f"SELECT {columns} WHERE error('{problem}')")


def _selected(definition: Definition, selected: str) -> str:
    return f", '{selected}' AS {definition.selector}" if definition.selector else ""


def _type(column: Column) -> str:
    return SQL_TYPES[column.read]

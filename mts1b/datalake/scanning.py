"""A table as a lazy polars frame: filters and columns of whoever asks reach into its files."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from mts1b.datalake.columns import TIMESTAMP
from mts1b.datalake.merge import known_at
from mts1b.datalake.reading import Question
from mts1b.datalake.snapshot import StoredFile
from mts1b.datalake.table import Table


def scan(table: Table, files: Sequence[StoredFile], question: Question) -> pl.LazyFrame:
    """The answers, file by file. Files in which rows are revised are looked through for the latest of each key."""
    definition = table.definition
    shown = list(dict.fromkeys((*definition.key, *question.columns)))
    wanted = [file for file in files if question.concerns(file)]
    if not wanted:
        return pl.LazyFrame(schema={name: definition.column(name).read for name in shown})
    plain = [file for file in wanted if not file.revised]
    lazy = [_files(table, plain)] if plain else []
    lazy += [_files(table, [file]) for file in wanted if file.revised]
    frames = []
    for frame in lazy:
        for condition in _conditions(table, question):
            frame = frame.filter(condition)
        frames.append(frame)
    latest = [frame.unique(definition.key, keep="last", maintain_order=True) for frame in frames[bool(plain) :]]
    return pl.concat([*frames[: bool(plain)], *latest]).select(shown)


def _files(table: Table, files: Sequence[StoredFile]) -> pl.LazyFrame:
    definition = table.definition
    found = pl.scan_parquet(
        [table.place.address(file.path) for file in files],
        hive_partitioning=False,
        schema=definition.stored_schema,
        missing_columns="insert",
        storage_options=dict(table.place.options) or None,
    )
    casts = [column for column in definition.columns if column.read != column.stored]
    return found.with_columns(pl.col(column.name).cast(column.read) for column in casts)


def _conditions(table: Table, question: Question) -> list[pl.Expr]:
    definition, found = table.definition, list[pl.Expr]()
    if question.names is not None:
        column, names = pl.col(definition.named or definition.cluster), sorted(question.names)
        lists = isinstance(definition.read_schema[definition.named or definition.cluster], pl.List)
        found.append(column.list.set_intersection(names).list.len() > 0 if lists else column.is_in(names))
    if definition.time is not None:
        first, last = question.span
        if first is not None:
            found.append(pl.col(definition.time) >= pl.lit(first).cast(TIMESTAMP))
        if last is not None:
            found.append(pl.col(definition.time) <= pl.lit(last).cast(TIMESTAMP))
    if question.as_of_us is not None and definition.known is not None:
        found.append(known_at(definition, table.selected) <= pl.lit(question.as_of_us).cast(TIMESTAMP))
    return found

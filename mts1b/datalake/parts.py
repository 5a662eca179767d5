"""Files of a table: Parquet, named by content, each written once under a name that no version knows yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import uuid4

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from mts1b.datalake.columns import DICTIONARY, PLAIN, Column, as_stored
from mts1b.datalake.definitions import MONTH, YEAR, Definition, Storage
from mts1b.datalake.digests import content_digest
from mts1b.datalake.layout import LAYOUT, Layout, packed
from mts1b.datalake.snapshot import ORDINARY, REVISED, Extent, StoredFile
from mts1b.datalake.storage import Place


def by_partition(rows: pl.DataFrame, definition: Definition, storage: Storage) -> Iterator[tuple[str, pl.DataFrame]]:
    """The rows of each partition, `year=2008` or `year=2024/month=01`, in order; their own order is kept."""
    if not storage.by:
        yield "", rows
        return
    months = rows[str(definition.time)].to_numpy().astype("datetime64[M]")
    keys = (months if storage.by == MONTH else months.astype("datetime64[Y]")).astype(np.int64)
    present, counts = np.unique(keys, return_counts=True)
    if len(present) > 1:
        rows = rows[np.argsort(keys, kind="stable")]
    start = 0
    for key, count in zip(present.tolist(), counts.tolist(), strict=True):
        yield _partition(key, storage.by), rows[start : start + count]
        start += count


def _partition(key: int, by: str) -> str:
    """The partition of a year or month, counted from 1970."""
    if by == YEAR:
        return f"year={1970 + key}"
    return f"year={1970 + key // 12}/month={1 + key % 12:02}"


def write(
    place: Place, definition: Definition, storage: Storage, partition: str, rows: pl.DataFrame, revised: bool = False
) -> list[StoredFile]:
    """Write rows of one partition, sorted, into as many files as they need. OSError passes through."""
    files = []
    start = 0
    runs = rows[definition.cluster].rle().struct.field("len").to_list()
    for count in packed(runs, storage.rows_per_file, alone=True):
        files.append(_write_one(place, definition, storage, partition, rows[start : start + count], revised))
        start += count
    return files


def _write_one(
    place: Place, definition: Definition, storage: Storage, partition: str, rows: pl.DataFrame, revised: bool
) -> StoredFile:
    lacks = frozenset(
        column.name
        for column in definition.columns
        if column.optional and rows[column.name].null_count() == rows.height
    )
    columns = [column for column in definition.columns if column.name not in lacks]
    arrays = [as_stored(rows[column.name], column) for column in columns]
    content = content_digest(arrays, columns)
    kind = REVISED if revised else ORDINARY
    path = f"{partition}/{kind}-{content:032x}-{uuid4().hex[:8]}.parquet".lstrip("/")
    layout = _layout(rows, definition)
    fields = [
        pa.field(column.name, array.type, nullable=not column.required)
        for column, array in zip(columns, arrays, strict=True)
    ]
    table = pa.Table.from_arrays(arrays, schema=pa.schema(fields))
    groups = packed([rows.height], storage.rows_per_group) if layout is None else layout.groups(storage.rows_per_group)
    told = {} if layout is None else {LAYOUT: layout.to_json().encode()}
    size = place.write(path, lambda out: _fill(out, table, columns, storage, groups, told))
    return StoredFile(path, partition, rows.height, size, extent_of(rows, definition), content, revised, lacks)


def _layout(rows: pl.DataFrame, definition: Definition) -> Layout | None:
    if not definition.is_laid_out:
        return None
    return Layout.of(rows, definition.cluster, definition.time, definition.key == (definition.cluster, definition.time))


def extent_of(rows: pl.DataFrame, definition: Definition) -> Extent:
    """What rows, sorted, lie between."""
    names = rows[definition.cluster]
    low, high = (names[0], names[-1]) if definition.is_laid_out else (None, None)
    if definition.time is None:
        return Extent(low, high, None, None)
    stamps = rows[definition.time].to_physical()
    return Extent(low, high, int(stamps.min()), int(stamps.max()))  # type: ignore[arg-type]


def _fill(
    out: Any,
    table: pa.Table,
    columns: Sequence[Column],
    storage: Storage,
    groups: Sequence[int],
    told: Mapping[bytes, bytes],
) -> None:
    encoded = {column.name: column.encoding for column in columns if column.encoding not in (DICTIONARY, PLAIN)}
    with pq.ParquetWriter(
        out,
        table.schema,
        compression=storage.compression,
        compression_level=storage.level,
        use_dictionary=[_leaf(column) for column in columns if column.encoding == DICTIONARY],
        column_encoding=encoded,
        store_decimal_as_integer=True,
        write_statistics=[
            column.name for column in columns if not (column.is_prose or isinstance(column.read, pl.List))
        ],
    ) as file:
        file.add_key_value_metadata(told)  # not with the schema, of which Arrow puts a copy into each file
        start = 0
        for rows in groups:
            file.write_table(table.slice(start, rows), row_group_size=rows)
            start += rows


def _leaf(column: Column) -> str:
    """A list's values lie in a column of their own inside it."""
    return f"{column.name}.list.element" if isinstance(column.read, pl.List) else column.name

"""Rows as they are given, made into rows as they are stored: types, nulls, keys. What breaks a rule is named."""

from __future__ import annotations

import polars as pl

from mts1b.datalake.columns import Column, on_scale
from mts1b.datalake.definitions import Definition
from mts1b.datalake.order import rises, sorted_by
from mts1b.datalake.schema import first_line, refuse
from mts1b.foundation.errors import DataError


def checked(rows: pl.DataFrame, definition: Definition, source: str) -> pl.DataFrame:
    """The rows in the columns and types of the definition and in order, prices on their scale, times as UTC.

    DataError names a missing column, one too many, or the first row that lacks a value or repeats a key.
    """
    names = [column.name for column in definition.columns]
    for name in rows.columns:
        if name not in names:
            raise DataError("column", name, f"is not one of {definition.full_name}", f"it has: {', '.join(names)}")
    found = pl.DataFrame([_cast(rows, column, source) for column in definition.columns])
    if not found.height:
        raise DataError("rows", source, "holds no rows", "give some")
    for column in definition.columns:
        if column.required:
            refuse(found, pl.col(column.name).is_null(), f"{column.name} is missing", source)
        if column.scale:
            refuse(found, ~pl.col(column.name).is_finite(), f"{column.name} is not a finite number", source)
    ordered = sorted_by(found, definition.sorted_by)
    if not rises(ordered, definition.sorted_by):
        refuse(found, pl.struct(definition.sorted_by).is_duplicated(), "another row has the same key", source)
    return ordered


def _cast(rows: pl.DataFrame, column: Column, source: str) -> pl.Series:
    if column.name not in rows.columns:
        if column.required:
            remedy = f"it holds: {', '.join(rows.columns)}"
            raise DataError("rows", source, f"has no column {column.name!r}", remedy)
        return pl.Series(column.name, [None], dtype=column.read).new_from_index(0, rows.height)
    values = rows[column.name]
    try:
        if isinstance(column.read, pl.Datetime):
            return _instants(values, source)
        values = values.cast(column.read)
    except pl.exceptions.PolarsError as error:
        raise DataError("rows", source, f"{column.name} has the wrong type: {first_line(error)}") from None
    return on_scale(values, column.scale) if column.scale else values


def _instants(values: pl.Series, source: str) -> pl.Series:
    """Dates and times without a zone are UTC; texts are ISO 8601."""
    if values.dtype == pl.String():
        return values.str.to_datetime(time_unit="us", time_zone="UTC")
    if values.dtype == pl.Date():
        values = values.cast(pl.Datetime("us"))
    if not isinstance(values.dtype, pl.Datetime):
        raise DataError("rows", source, f"{values.name} holds {values.dtype}, neither dates nor times")
    if values.dtype.time_zone is None:
        values = values.dt.replace_time_zone("UTC")
    return values.dt.convert_time_zone("UTC").cast(pl.Datetime("us", "UTC"))

"""What is put into the lake: files and frames."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from mts1b.datalake.schema import first_line
from mts1b.foundation.errors import DataError, InputError

Source = Path | str | pl.DataFrame
"""A Parquet or CSV file, or a frame."""


def delivered(source: Source) -> pl.DataFrame:
    """The source as a frame. As `read_file`."""
    return source if isinstance(source, pl.DataFrame) else read_file(Path(source))


def label_of(source: Source) -> str:
    """What a source is called in messages and manifests."""
    return "frame" if isinstance(source, pl.DataFrame) else Path(source).name


def read_file(path: Path) -> pl.DataFrame:
    """A Parquet or CSV file as it is. InputError: no such file or other suffix; DataError: cannot be read."""
    if not path.is_file():
        raise InputError("file", str(path), "no such file", "give a .parquet or .csv file, or `sample`")
    if path.suffix not in (".parquet", ".csv"):
        raise InputError("file", str(path), "neither .parquet nor .csv", "convert it first")
    try:
        return pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError("file", str(path), f"cannot be read: {first_line(error)}", "give an undamaged file") from None

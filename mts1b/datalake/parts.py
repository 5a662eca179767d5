"""Files of a dataset: partitioned, content-named Parquet, written aside, then renamed: no reader sees half a file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from mts1b.datalake.manifest import Part, sync_directory
from mts1b.datalake.schema import BARS, DECIMALS, PRICE, STORED, TICKS_PER_UNIT, Interval, first_line
from mts1b.foundation.errors import DataError
from mts1b.foundation.ids import DIGEST_BYTES

ROWS_PER_GROUP = 2_520
"""Rows of a row group: ten names' years of daily bars. A reader skips groups whose symbols it was not asked for."""


def key_of(interval: Interval) -> pl.Expr:
    """The partition of each bar, from its UTC time."""
    year = pl.format("year={}", pl.col("ts").dt.year())
    if not interval.by_month:
        return year
    return pl.format("{}/month={}", year, pl.col("ts").dt.strftime("%m"))


def split(bars: pl.DataFrame, interval: Interval) -> Iterator[tuple[str, pl.DataFrame]]:
    """The bars of each partition, in key order; order within a partition is kept."""
    keyed = bars.with_columns(key_of(interval).alias("key"))
    for key in keyed["key"].unique().sort().to_list():
        yield key, keyed.filter(pl.col("key") == key).drop("key")


def content_digest(bars: pl.DataFrame) -> str:
    """Digest of the values, independent of the file format's version."""
    digest = blake2b(digest_size=DIGEST_BYTES)
    digest.update("\n".join(bars["symbol"].to_list()).encode())
    for name in BARS.names()[1:]:
        values = bars[name].cast(pl.Int64) if name == "ts" else bars[name]
        digest.update(values.to_numpy().tobytes())
    return digest.hexdigest()


def write(directory: Path, key: str, bars: pl.DataFrame, interval: Interval) -> Part:
    """Write one partition, sorted by symbol and time. A file with the same content is left alone."""
    content = content_digest(bars)
    folder = directory / key
    path = folder / f"part-{content}.parquet"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".{path.name}.{os.getpid()}"
        _write_file(temporary, bars, interval)
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
        sync_directory(folder)
    first, last = bars["ts"].min(), bars["ts"].max()
    stamps = pl.Series([first, last]).dt.epoch("ns")
    return Part(
        key, str(path.relative_to(directory)), content, bars.height, path.stat().st_size, int(stamps[0]), int(stamps[1])
    )


def _write_file(path: Path, bars: pl.DataFrame, interval: Interval) -> None:
    deltas = dict.fromkeys([name for name in STORED.names() if name != "symbol"], "DELTA_BINARY_PACKED")
    columns = [_column(bars[name]) for name in STORED.names()]
    pq.write_table(
        pa.Table.from_arrays(columns, names=STORED.names()),
        path,
        compression=interval.compression,
        compression_level=interval.level,
        row_group_size=ROWS_PER_GROUP,
        use_dictionary=["symbol"],
        column_encoding=deltas,
        store_decimal_as_integer=True,
        write_statistics=True,
    )


def _column(values: pl.Series) -> pa.Array:
    """A column as it is stored. Prices: their whole ticks, seen as decimals without a copy."""
    if values.name not in DECIMALS:
        return values.cast(STORED[values.name]).to_arrow()
    ticks = np.rint(values.to_numpy() * TICKS_PER_UNIT).astype(np.int64)
    return pa.Array.from_buffers(pa.decimal64(PRICE.precision, PRICE.scale), len(ticks), [None, pa.py_buffer(ticks)])


def read_whole(directory: Path, part: Part) -> pl.DataFrame:
    """Every bar of one part. DataError when the file is missing, damaged or holds other columns."""
    path = directory / part.file
    try:
        bars = pl.read_parquet(path, hive_partitioning=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError("file", str(path), f"cannot be read: {first_line(error)}", "ingest the data again") from None
    if bars.schema != STORED:
        raise DataError("file", str(path), "columns are not those of a stored bar", "ingest the data again")
    return bars.cast(BARS)


def remove_unlisted(directory: Path, keep: Iterable[Part]) -> None:
    """Delete part files that no kept manifest lists, and what a crashed ingest left behind."""
    listed = {directory / part.file for part in keep}
    for found in [*directory.rglob("part-*.parquet"), *directory.rglob(".part-*")]:
        if found not in listed:
            found.unlink(missing_ok=True)

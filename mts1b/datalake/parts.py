"""Files of a dataset: partitioned, content-named Parquet, written aside, then renamed: no reader sees half a file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
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

LAYOUT = b"mts1b.layout"
"""Key of the layout in a file's own metadata."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each name's bars lie in a file: `rows[i]` of them for `symbols[i]`, one name after the other.

    `same_times`: all names have bars at the same times.
    """

    symbols: tuple[str, ...]
    rows: tuple[int, ...]
    same_times: bool

    @classmethod
    def of(cls, bars: pl.DataFrame) -> Layout:
        """The layout of bars sorted by symbol and time, of which it needs these two columns."""
        counts = bars.group_by("symbol", maintain_order=True).len()
        rows = tuple(counts["len"].to_list())
        same = len(set(rows)) == 1
        if same:
            times = bars["ts"].to_physical().to_numpy().reshape(len(rows), rows[0])
            same = bool((times == times[0]).all())
        return cls(tuple(counts["symbol"].to_list()), rows, same)

    @classmethod
    def stored(cls, metadata: pq.FileMetaData) -> Layout | None:
        """What the file says; None for one that says nothing, written before files did."""
        found = (metadata.metadata or {}).get(LAYOUT)
        if found is None:
            return None
        content = json.loads(found)
        return cls(tuple(content["symbols"]), tuple(content["rows"]), bool(content["same_times"]))

    def to_json(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    def groups(self, rows_per_group: int) -> list[int]:
        """Rows of each row group: whole names as long as they fit in, a name that does not is cut."""
        found: list[int] = []
        room = 0
        for rows in self.rows:
            if rows <= room:
                found[-1] += rows
                room -= rows
                continue
            found += [min(rows_per_group, rows - start) for start in range(0, rows, rows_per_group)]
            room = rows_per_group - found[-1]
        return found


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
    layout = Layout.of(bars)
    table = pa.Table.from_arrays([_column(bars[name]) for name in STORED.names()], names=STORED.names())
    table = table.replace_schema_metadata({LAYOUT: layout.to_json()})
    with pq.ParquetWriter(
        path,
        table.schema,
        compression=interval.compression,
        compression_level=interval.level,
        use_dictionary=["symbol"],
        column_encoding=deltas,
        store_decimal_as_integer=True,
        write_statistics=True,
    ) as out:
        start = 0
        for rows in layout.groups(interval.rows_per_group):
            out.write_table(table.slice(start, rows), row_group_size=rows)
            start += rows


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

"""What every side of `lake` is asked, and how the lake, plain polars over one Parquet file and CSV answer it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import TypeVar

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mts1b.bench.pages import evict, touched
from mts1b.bench.session import Session
from mts1b.datalake import open_lake
from mts1b.datalake.bars import Bars

Floats = NDArray[np.float64]
Result = TypeVar("Result")

COLUMN = "close"
NARROW_RUNS, FILE_RUNS, COLD_RUNS, WIDE_RUNS = 50, 10, 5, 3


@dataclass(frozen=True, slots=True)
class Asked:
    """One `symbol` from `start` to `end`, both days included; COLUMN of all `symbols` as a table [time, name]; the mean
    of it for each name between the same days."""

    symbols: tuple[str, ...]
    symbol: str
    start: datetime
    end: datetime
    interval: str

    @property
    def runs(self) -> int:
        """How often the whole of it is asked for; the best counts."""
        return WIDE_RUNS if self.interval == "daily" else 1

    @property
    def last(self) -> datetime:
        """The last microsecond of the last day."""
        return self.end + timedelta(days=1) - timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Answers:
    """`narrow` [n] COLUMN of the one name; `table` [T, S]; `means` [S]; `seconds` by what was asked."""

    narrow: Floats
    table: Floats
    means: Floats
    seconds: dict[str, float]


def half_year(symbols: Sequence[str], year: int, interval: str) -> Asked:
    """The first name over the first half of a year."""
    first = datetime(year, 1, 1, tzinfo=UTC)
    return Asked(tuple(symbols), symbols[0], first, datetime(year, 6, 30, tzinfo=UTC), interval)


def lake_side(session: Session, root: Path, asked: Asked) -> tuple[Answers, dict[str, float]]:
    """The lake's answers, and the shares of its bytes that the narrow one touched."""
    bars = open_lake(root).equities.bars
    folder = Path(bars.table(asked.interval).place.root)
    files = [path for path in folder.rglob("*") if path.is_file()]

    def narrow(lake: Bars) -> pl.DataFrame:
        return lake.read([asked.symbol], asked.interval, asked.start, asked.last)

    narrow(bars)
    found, _ = touched(files, lambda: narrow(bars))
    seconds = {"narrow_warm": median_s(session, NARROW_RUNS, lambda: narrow(bars))}
    seconds["narrow_cold"] = cold_s(session, files, lambda: narrow(open_lake(root).equities.bars))
    seconds["panel"], arrays = session.best_of(
        asked.runs, lambda: bars.arrays(list(asked.symbols), asked.interval, columns=[COLUMN])
    )
    name = "equities.bars" if asked.interval == "daily" else f"equities.bars_{asked.interval}"
    sql = f"SELECT symbol, AVG({COLUMN}) AS mean FROM {name} WHERE ts BETWEEN ? AND ? GROUP BY symbol ORDER BY symbol"  # noqa: S608
    with open_lake(root).duckdb_session() as conn:
        seconds["group_by"], means = session.best_of(
            WIDE_RUNS, lambda: conn.execute(sql, [asked.start, asked.last]).pl()
        )
    answers = Answers(_floats(narrow(bars)), arrays.fields[COLUMN], _of_all(means, asked), seconds)
    return answers, {"narrow_pages_share": found.page_share, "narrow_asked_share": found.asked_share}


def file_side(session: Session, path: Path, asked: Asked) -> Answers:
    """Plain polars over one file: Parquet or CSV, which is read as a whole whatever is asked."""
    csv = path.suffix == ".csv"

    def scan() -> pl.LazyFrame:
        return pl.scan_csv(path, try_parse_dates=True) if csv else pl.scan_parquet(path)

    within = pl.col("ts").is_between(asked.start, asked.last)

    def narrow() -> pl.DataFrame:
        return scan().filter(pl.col("symbol") == asked.symbol, within).collect()

    def table() -> Floats:
        wide = scan().select("symbol", "ts", COLUMN).collect().pivot("symbol", index="ts", values=COLUMN).sort("ts")
        return wide.select(asked.symbols).fill_null(float("nan")).to_numpy()

    def means() -> pl.DataFrame:
        return (
            scan().filter(within).group_by("symbol").agg(pl.col(COLUMN).mean().alias("mean")).sort("symbol").collect()
        )

    narrow()
    seconds = {"narrow_warm": median_s(session, 2 if csv else FILE_RUNS, narrow)}
    seconds["narrow_cold"] = cold_s(session, [path], narrow, 1 if csv else COLD_RUNS)
    seconds["panel"], found = session.best_of(1 if csv else asked.runs, table)
    seconds["group_by"], grouped = session.best_of(1 if csv else asked.runs, means)
    return Answers(_floats(narrow()), found, _of_all(grouped, asked), seconds)


def write_parquet(path: Path, frames: Iterable[pl.DataFrame]) -> None:
    """Frames one after the other in one Parquet file, a row group for each, compressed as the lake's are."""
    writer: pq.ParquetWriter | None = None
    for frame in frames:
        rows = frame.to_arrow()
        writer = writer or pq.ParquetWriter(path, rows.schema, compression="zstd", compression_level=3)
        writer.write_table(rows)
    if writer is not None:
        writer.close()


def symbol_folders(session: Session, folder: Path, bars: pl.DataFrame, asked: Asked) -> dict[str, float]:
    """What the source pictures, measured: a folder for each symbol and year, read by polars with its partitions."""
    years = bars.with_columns(year=pl.col("ts").dt.year())
    write_s, _ = session.timed(
        lambda: years.lazy().sink_parquet(
            pl.PartitionBy(folder, key=["symbol", "year"]), mkdir=True, compression="snappy"
        )
    )
    files = [path for path in folder.rglob("*.parquet")]
    within = pl.col("ts").is_between(asked.start, asked.last)

    def narrow() -> pl.DataFrame:
        return pl.scan_parquet(folder, hive_partitioning=True).filter(
            pl.col("symbol") == asked.symbol, pl.col("year") == asked.start.year, within
        ).collect()  # fmt: skip

    def table() -> pl.DataFrame:
        long = pl.scan_parquet(folder, hive_partitioning=True).select("symbol", "ts", COLUMN).collect()
        return long.pivot("symbol", index="ts", values=COLUMN).sort("ts")

    narrow_s, panel_s = median_s(session, 5, narrow), session.timed(table)[0]
    figures = {"symbol_folders_files": float(len(files)), "symbol_folders_write_s": write_s}
    figures["symbol_folders_mb"] = sum(path.stat().st_size for path in files) / 1e6
    return figures | {"symbol_folders_narrow_ms": narrow_s * 1e3, "symbol_folders_panel_ms": panel_s * 1e3}


def median_s(session: Session, times: int, call: Callable[[], Result]) -> float:
    """The middle of several runs, after one that does not count."""
    call()
    return median(session.timed(call)[0] for _ in range(session.size(times, 2)))


def cold_s(session: Session, files: Sequence[Path], call: Callable[[], Result], times: int = COLD_RUNS) -> float:
    """The middle of several runs, before each of which the kernel forgets the files."""
    found = []
    for _ in range(session.size(times, 1)):
        evict(files)
        found.append(session.timed(call)[0])
    return median(found)


def _of_all(means: pl.DataFrame, asked: Asked) -> Floats:
    """The mean of each name in their order, NaN for one without a row between the days."""
    every = pl.DataFrame({"symbol": asked.symbols}).join(means, on="symbol", how="left", maintain_order="left")
    return every["mean"].fill_null(float("nan")).to_numpy()


def _floats(rows: pl.DataFrame) -> Floats:
    return rows[COLUMN].to_numpy()

"""The lake beside ArcticDB, plain polars over one Parquet file, and CSV: the same bars, the same questions, one run.

Daily bars of 573 names over 13 years (made up, or a file of real ones: `--data FILE`), and 100 million made-up 1-minute
bars. Equal answers are shown before anything is reported. What a call touches is counted in pages that the kernel
brought in, read-ahead and mapped files included, with none of them there before.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from mts1b.bench.compression import compression
from mts1b.bench.equal import require_equal
from mts1b.bench.lake_market import NAMES, Market, market
from mts1b.bench.lake_peer import arctic_side, by_name, hand_over, handed
from mts1b.bench.lake_sides import (
    COLUMN,
    WIDE_RUNS,
    Answers,
    Asked,
    file_side,
    half_year,
    lake_side,
    symbol_folders,
    write_parquet,
)
from mts1b.bench.minute import DAYS_PER_MONTH, MINUTES_PER_DAY, MONTHS, months_of
from mts1b.bench.pages import touched
from mts1b.bench.result import BenchResult
from mts1b.bench.session import Session
from mts1b.datalake import open_lake
from mts1b.datalake.bars import Bars
from mts1b.datalake.dataset import UnfilteredRead
from mts1b.foundation.clock import NS_PER_S

MINUTE_NAMES, MINUTE_CSV_NAMES = 102, 4
"""102 names over ten years of minutes are 100 million bars; CSV is asked about four of them, and says so."""

MB = 1e6


@dataclass
class Told:
    """Figures as they come in, under the name of the bars they are of."""

    prefix: str
    figures: dict[str, float] = field(default_factory=dict)
    versus: dict[str, float] = field(default_factory=dict)

    def ours(self, **figures: float) -> None:
        self.figures |= {f"{self.prefix}_{name}": value for name, value in figures.items()}

    def beside(self, side: str, answers: Answers, ours: Answers) -> None:
        """What a peer took, and how many times longer that is."""
        for name, seconds in answers.seconds.items():
            self.versus[f"{self.prefix}_{side}_{name}_ms"] = seconds * 1e3
            if name in ours.seconds:
                self.versus[f"{self.prefix}_ratio_{name}_to_{side}"] = seconds / ours.seconds[name]


def lake(session: Session) -> BenchResult:
    """All parts. InvariantBroken when two sides give different answers."""
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="mts1b-lake-") as name:
        warnings.simplefilter("ignore", UnfilteredRead)
        found = compression(session)
        daily = daily_bars(session, Path(name))
        minute = minute_bars(session, Path(name))
    figures = {**daily.figures, **minute.figures, **found}
    return BenchResult("lake", figures, {**daily.versus, **minute.versus})


def daily_bars(session: Session, folder: Path) -> Told:
    """573 names over 13 years."""
    session.tell("daily bars")
    made, told = market(session.size(NAMES, 12), session.data), Told("daily")
    asked, root = half_year(made.symbols, made.year, "daily"), folder / "daily"
    bars, height = open_lake(root).equities.bars, made.bars.height
    write_s, stored = session.timed(lambda: bars.write(made.bars))
    told.ours(rows=height, names=len(made.symbols), stored_mb=stored.bytes / MB, write_rows_per_s=height / write_s)
    ours, shares = lake_side(session, root, asked)
    told.ours(**shares, **{f"{name}_ms": seconds * 1e3 for name, seconds in ours.seconds.items()})
    told.ours(**examples(session, bars, root, asked))
    session.tell("daily bars in one Parquet file, and in CSV")
    single, csv = folder / "daily.parquet", folder / "daily.csv"
    rows = bars.read()
    parquet_s, _ = session.timed(lambda: rows.write_parquet(single, compression="zstd", compression_level=3))
    csv_s, _ = session.timed(lambda: rows.write_csv(csv))
    told.versus |= {"daily_polars_write_rows_per_s": height / parquet_s, "daily_csv_write_rows_per_s": height / csv_s}
    told.versus |= {
        "daily_polars_stored_mb": single.stat().st_size / MB,
        "daily_csv_stored_mb": csv.stat().st_size / MB,
    }
    for name, path in (("polars", single), ("csv", csv)):
        session.tell(f"daily bars: the questions asked of {path.name}")
        found = file_side(session, path, asked)
        same(name, ours, found)
        told.beside(name, found, ours)
    session.tell("daily bars: everything read")
    whole(session, told, bars, single, csv)
    session.tell("daily bars in a folder for each symbol and year")
    told.ours(**symbol_folders(session, folder / "by-symbol", made.bars, asked))
    beside_arctic(session, told, folder, made, bars, asked, ours)
    return told


def examples(session: Session, bars: Bars, root: Path, asked: Asked) -> dict[str, float]:
    """The source's fast, slow and SQL examples, on the last year: milliseconds warm, megabytes touched from cold."""
    files = [path for path in Path(bars.table("daily").place.root).rglob("*") if path.is_file()]
    start, end = asked.start.date().isoformat(), f"{asked.start.year}-06-01"
    within = f"ts BETWEEN '{start}' AND '{end}'"
    sql = f"SELECT symbol, AVG(close) AS avg_close FROM equities.bars WHERE {within} GROUP BY symbol"  # noqa: S608
    figures: dict[str, float] = {}
    opened_s, _ = session.best_of(WIDE_RUNS, lambda: _asked(root, "SELECT 1"))
    with open_lake(root).duckdb_session() as conn:
        calls: dict[str, Callable[[], object]] = {
            "fast": lambda: bars.read(symbols=[asked.symbol], interval="daily", start=start, end=end),
            "slow": lambda: bars.read(symbols=[asked.symbol], interval="daily"),
            "sql": lambda: conn.execute(sql).pl(),
        }
        for name, call in calls.items():
            call()
            found, _ = touched(files, call)
            seconds, _ = session.best_of(WIDE_RUNS, call)
            figures |= {f"example_{name}_ms": seconds * 1e3, f"example_{name}_touched_mb": found.page_bytes / MB}
            figures[f"example_{name}_touched_share"] = found.page_share
    return figures | {"sql_session_open_ms": opened_s * 1e3}


def _asked(root: Path, sql: str) -> None:
    with open_lake(root).duckdb_session() as conn:
        conn.execute(sql)


def whole(session: Session, told: Told, bars: Bars, single: Path, csv: Path) -> None:
    """Everything read: Parquet against CSV."""
    ours_s, rows = session.best_of(WIDE_RUNS, bars.read)
    parquet_s, _ = session.best_of(WIDE_RUNS, lambda: pl.read_parquet(single))
    csv_s, read = session.best_of(session.size(2, 1), lambda: pl.read_csv(csv, try_parse_dates=True))
    require_equal("csv", {COLUMN: rows[COLUMN].to_numpy()}, {COLUMN: read[COLUMN].to_numpy()})
    told.ours(read_all_ms=ours_s * 1e3)
    told.versus |= {"daily_polars_read_all_ms": parquet_s * 1e3, "daily_csv_read_all_ms": csv_s * 1e3}
    told.versus |= {"daily_ratio_read_all_to_csv": csv_s / ours_s, "daily_ratio_read_all_to_polars": parquet_s / ours_s}
    column = pl.col(COLUMN)
    ours_s, _ = session.best_of(WIDE_RUNS, lambda: bars.scan().select(column.mean()).collect())
    csv_s, _ = session.best_of(1, lambda: pl.scan_csv(csv).select(column.mean()).collect())
    told.ours(read_column_ms=ours_s * 1e3)
    told.versus |= {"daily_csv_read_column_ms": csv_s * 1e3, "daily_ratio_read_column_to_csv": csv_s / ours_s}


def beside_arctic(
    session: Session, told: Told, folder: Path, made: Market, bars: Bars, asked: Asked, ours: Answers
) -> None:
    """ArcticDB's answers, then both sides' writes: a later bar of each name, and a month of all names revised."""
    session.tell("daily bars in ArcticDB")
    shared = folder / "arctic-daily"
    shared.mkdir()
    rows = hand_over(shared, "", "daily", _by_name(made.bars), made.bars.height)
    hand_over(shared, "next_", "daily", _by_name(made.later), made.later.height)
    revised = hand_over(shared, "revised_", "daily", _by_name(made.revised, made.symbols), made.revised.height)
    peer = arctic_side(session, shared, asked, rows, revised)
    same("arcticdb", ours, peer.answers)
    told.beside("arcticdb", peer.answers, ours)
    told.versus["daily_ratio_panel_to_arcticdb_batch_read"] = peer.told["batch_read_s"] / ours.seconds["panel"]
    told.versus["daily_arcticdb_write_rows_per_s"] = made.bars.height / peer.told["write_s"]
    told.versus["daily_arcticdb_stored_mb"] = peer.told["bytes"] / MB
    append_s, _ = session.timed(lambda: bars.upsert(made.later))
    upsert_s, _ = session.timed(lambda: bars.upsert(made.revised))
    after = bars.arrays(list(asked.symbols), columns=[COLUMN]).fields[COLUMN]
    require_equal("arcticdb after the writes", {COLUMN: after}, {COLUMN: peer.after})  # type: ignore[dict-item]
    for name, seconds, count in (("append", append_s, made.later.height), ("upsert", upsert_s, made.revised.height)):
        told.ours(**{f"{name}_ms": seconds * 1e3, f"{name}_rows_per_s": count / seconds})
        told.versus[f"daily_ratio_{name}_to_arcticdb"] = peer.told[f"{name}_s"] / seconds


def minute_bars(session: Session, folder: Path) -> Told:
    """100 million bars, in the lake by month, in the others by name."""
    told, root, shared = Told("minute"), folder / "minute", folder / "arctic-minute"
    names, months = session.size(MINUTE_NAMES, 4), session.size(MONTHS, 7)
    symbols = tuple(f"N{number:04d}" for number in range(names))
    bars = open_lake(root).equities.bars
    height = names * months * DAYS_PER_MONTH * MINUTES_PER_DAY
    shared.mkdir()
    arrays = handed(shared, "", "1m", height)
    write_s = 0.0
    for month, made in enumerate(months_of(symbols, months)):
        session.tell(f"minutes: month {month + 1} of {months}")
        write_s += session.timed(lambda made=made: bars.write(made, "1m"))[0]  # type: ignore[misc]
        for name, values in arrays.items():
            values.reshape(names, months, -1)[:, month] = made[name].to_physical().to_numpy().reshape(names, -1)
    stored = bars.stored("1m")
    assert stored is not None and stored.last_ns is not None
    told.ours(rows=height, names=names, stored_mb=stored.bytes / MB, write_rows_per_s=height / write_s)
    asked = half_year(symbols, 1970 + stored.last_ns // (NS_PER_S * 31_556_952), "1m")
    session.tell("minutes: the questions asked of the lake")
    ours, shares = lake_side(session, root, asked)
    told.ours(**shares, **{f"{name}_ms": seconds * 1e3 for name, seconds in ours.seconds.items()})
    session.tell("minutes in one Parquet file, and some names in CSV")
    single, csv = folder / "minute.parquet", folder / "minute.csv"
    write_parquet(single, by_name(arrays, symbols))
    found = file_side(session, single, asked)
    same("polars", ours, found)
    told.beside("polars", found, ours)
    some = Asked(symbols[:MINUTE_CSV_NAMES], asked.symbol, asked.start, asked.end, "1m")
    bars.read(list(some.symbols), "1m").write_csv(csv)
    told.beside(f"csv_of_{len(some.symbols)}", file_side(session, csv, some), ours)
    single.unlink()
    csv.unlink()
    session.tell("minutes in ArcticDB")
    del arrays
    peer = arctic_side(session, shared, asked, [height // names] * names)
    same("arcticdb", ours, peer.answers)
    told.beside("arcticdb", peer.answers, ours)
    told.versus |= {"minute_arcticdb_write_rows_per_s": height / peer.told["write_s"]}
    told.versus["minute_arcticdb_stored_mb"] = peer.told["bytes"] / MB
    session.tell("minutes: a day added, and revised")
    minute_writes(session, told, bars, symbols)
    return told


def minute_writes(session: Session, told: Told, bars: Bars, symbols: tuple[str, ...]) -> None:
    """A day more of all names, and the same day again with other closes: its month is written anew."""
    last = bars.stored("1m")
    assert last is not None and last.last_ns is not None
    day = bars.read(interval="1m", start=str(np.datetime64(last.last_ns, "ns"))[:10])
    later = day.with_columns(pl.col("ts") + pl.duration(days=1))
    revised = later.with_columns(volume=pl.col("volume") + 1)
    for name, rows in (("append", later), ("upsert", revised)):
        seconds, _ = session.timed(lambda rows=rows: bars.upsert(rows, "1m"))  # type: ignore[misc]
        told.ours(**{f"{name}_ms": seconds * 1e3, f"{name}_rows_per_s": rows.height / seconds})
    assert bars.read([symbols[0]], "1m", start=str(later["ts"].min())[:10]).height


def same(name: str, ours: Answers, theirs: Answers) -> None:
    """InvariantBroken unless both sides answered the same."""
    wanted = {"narrow": theirs.narrow, "table": theirs.table, "means": theirs.means}
    require_equal(name, {"narrow": ours.narrow, "table": ours.table, "means": ours.means}, wanted)


def _by_name(rows: pl.DataFrame, names: list[str] | None = None) -> Iterator[pl.DataFrame]:
    parts = {str(key[0]): part for key, part in rows.partition_by("symbol", as_dict=True, maintain_order=True).items()}
    return (parts.get(name, rows.clear()) for name in names or list(parts))

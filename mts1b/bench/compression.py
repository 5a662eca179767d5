"""The source's compression table on real data of each kind: bytes in the lake beside the same rows as CSV."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from mts1b.bench.equal import require_equal
from mts1b.bench.session import Session
from mts1b.datalake import open_lake, sample_path
from mts1b.datalake.dataset import Dataset
from mts1b.datalake.schema import normalise

SAMPLES = Path(__file__).parent / "samples"
"""Small pieces of real data; their PROVENANCE.md lies beside them. Daily bars are the project's own sample."""

RUNS = 5


def compression(session: Session) -> dict[str, float]:
    """Of each kind: how many times smaller than CSV, and rows read a second. InvariantBroken when rows come back other.

    CSV is what polars writes of the columns that the lake gives back.
    """
    session.tell("compression")
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="mts1b-compression-") as name:
        root = Path(name)
        for kind, (dataset, interval, rows) in samples(root).items():
            stored = dataset.write(rows, interval)
            read_s, found = session.best_of(RUNS, lambda: dataset.read(interval=interval))  # noqa: B023
            _require_same(kind, found, rows)
            csv = root / f"{kind}.csv"
            _as_text(found).write_csv(csv)
            figures[f"compression_{kind}_ratio"] = csv.stat().st_size / stored.bytes
            figures |= {f"compression_{kind}_rows": rows.height, f"read_{kind}_rows_per_s": rows.height / read_s}
    return figures


def samples(root: Path) -> Mapping[str, tuple[Dataset, str | None, pl.DataFrame]]:
    """Kind -> where it goes, of which interval, and the rows."""
    lake = open_lake(root)
    intraday = pl.read_parquet(SAMPLES / "us_intraday_1m.parquet")
    news = pl.read_parquet(SAMPLES / "news_2020.parquet").filter(pl.col("ts").dt.year() == 2020)  # one month of them
    return {
        "daily": (lake.equities.bars, "daily", normalise(pl.read_parquet(sample_path()), "sample", "daily")),
        "intraday": (lake.equities.bars, "1m", normalise(intraday, "sample", "1m")),
        "news": (lake.news.articles, None, news.with_columns(known_ts=pl.col("ts"))),
        "options": (lake.options.chains, None, pl.read_parquet(SAMPLES / "goog_chain_20151224.parquet")),
    }


def _require_same(kind: str, found: pl.DataFrame, rows: pl.DataFrame) -> None:
    shared = [name for name in found.columns if name in rows.columns]
    wanted = rows.select(shared).cast({name: found.schema[name] for name in shared})
    equal = float(found.select(shared).equals(wanted.sort(found.columns[: len(shared)][:2], maintain_order=True)))
    require_equal(f"{kind} rows", {"rows": pl.Series([equal]).to_numpy()}, {"rows": pl.Series([1.0]).to_numpy()})


def _as_text(rows: pl.DataFrame) -> pl.DataFrame:
    """Lists as words with spaces between them: CSV has none."""
    lists = [name for name, kind in rows.schema.items() if isinstance(kind, pl.List)]
    return rows.with_columns(pl.col(lists).list.join(" ")) if lists else rows

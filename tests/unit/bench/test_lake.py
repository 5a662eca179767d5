"""The benchmark of the lake, small: what it makes, asks, counts and hands over. Timings are never asserted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mts1b.bench.compression import compression
from mts1b.bench.lake import same
from mts1b.bench.lake_market import market
from mts1b.bench.lake_peer import FIELDS, LOCK, hand_over
from mts1b.bench.lake_sides import file_side, half_year, lake_side, symbol_folders
from mts1b.bench.pages import evict, resident_bytes, touched
from mts1b.bench.session import Session
from mts1b.datalake import open_lake
from mts1b.foundation.clock import SystemClock
from mts1b.foundation.errors import InvariantBroken

QUICK = Session(SystemClock(), quick=True)


def test_all_sides_that_run_here_answer_the_same(tmp_path: Path) -> None:
    made = market(4)
    assert made.symbols[0] == "AAPL" and made.year == 2024 and made.later.height == 4
    asked = half_year(made.symbols, made.year, "daily")
    bars = open_lake(tmp_path / "lake").equities.bars
    bars.write(made.bars)
    ours, shares = lake_side(QUICK, tmp_path / "lake", asked)
    assert len(ours.narrow) == 130 and set(ours.seconds) == {"narrow_warm", "narrow_cold", "panel", "group_by"}
    assert all(0 < share < 1 for share in shares.values())
    rows = bars.read()
    rows.write_parquet(tmp_path / "bars.parquet")
    rows.write_csv(tmp_path / "bars.csv")
    for name in ("bars.parquet", "bars.csv"):
        same(name, ours, file_side(QUICK, tmp_path / name, asked))
    with pytest.raises(InvariantBroken, match="narrow"):
        same("other", ours, replace(ours, narrow=ours.narrow + 1.0))
    folders = symbol_folders(QUICK, tmp_path / "folders", made.bars, asked)
    assert folders["symbol_folders_files"] == made.bars.select(pl.col("symbol"), pl.col("ts").dt.year()).unique().height


def test_pages_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(1 << 22))
    evict([file])
    assert resident_bytes(file) == 0

    def read(size: int) -> bytes:
        with file.open("rb") as opened:
            return opened.read(size)

    few, _ = touched([file], lambda: read(4_096))
    every, _ = touched([file], lambda: read(1 << 22))
    assert 0 < few.page_share < 1 and every.page_share == 1.0 and every.asked_bytes >= 1 << 22


def test_what_is_handed_over_is_name_after_name(tmp_path: Path) -> None:
    made = market(3)
    rows = hand_over(tmp_path, "", "daily", made.bars.partition_by("symbol"), made.bars.height)
    assert sum(rows) == made.bars.height and "arcticdb==6.28.2" in LOCK.read_text()
    for name in ("ts", *FIELDS["daily"]):
        np.testing.assert_array_equal(np.load(tmp_path / f"{name}.npy"), made.bars[name].to_physical().to_numpy())


@pytest.mark.filterwarnings("ignore::mts1b.datalake.dataset.UnfilteredRead")
def test_every_kind_of_the_sources_table_is_measured(tmp_path: Path) -> None:
    found = compression(QUICK)
    assert {f"compression_{kind}_ratio" for kind in ("daily", "intraday", "news", "options")} < set(found)
    assert all(value > 1.5 for name, value in found.items() if name.endswith("_ratio"))

"""The benchmark of the lake: every side that runs here answers the same, SQL in its own process too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from mts1b.bench.lake import same
from mts1b.bench.lake_market import market
from mts1b.bench.lake_sides import file_side, half_year, lake_side, symbol_folders
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

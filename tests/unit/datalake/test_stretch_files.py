"""Stretches of tables whose months lie in several files: times that overlap, names that are in two of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mts1b.datalake import open_lake
from mts1b.datalake.schema import INTERVALS
from tests.unit.datalake.test_stretches import FIELDS, joined, minutes

LATE = datetime(2020, 1, 28, tzinfo=UTC)


@pytest.mark.parametrize("gaps", [0.0, 0.2])
@pytest.mark.parametrize("rows_per_file", [300, 700, 16_000_000])
def test_parts_of_several_files_hold_the_panel(tmp_path: Path, monkeypatch, rows_per_file: int, gaps: float) -> None:
    """A month cut by names, then days added to all of them: files of different names overlap in time, and a name lies
    in several of one part's files."""
    monkeypatch.setitem(INTERVALS, "1m", replace(INTERVALS["1m"], rows_per_group=100, rows_per_file=rows_per_file))
    lake = open_lake(tmp_path)
    everything = minutes(gaps=gaps)
    lake.equities.bars.ingest(everything.filter(pl.col("ts") < LATE), "1m")
    held = lake.equities.bars.ingest(everything.filter(pl.col("ts") >= LATE), "1m")
    assert len(held.snapshot.files) >= 3
    for asked in ({}, {"symbols": ["D", "B"]}, {"start": LATE - timedelta(days=2), "end": LATE + timedelta(days=1)}):
        wanted = lake.equities.bars.panel(interval="1m", **asked)
        symbols, times, fields = joined(lake, **asked)
        assert symbols == wanted.symbols
        np.testing.assert_array_equal(times, wanted.ts_ns)
        for name in FIELDS:
            np.testing.assert_array_equal(fields[name], wanted.field(name), err_msg=name)
    once = open_lake(tmp_path / "once").equities.bars.ingest(everything, "1m")
    assert once.version == held.version

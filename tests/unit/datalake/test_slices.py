"""A few names cut out of large row groups are what is read of whole ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mts1b.datalake import Lake, open_lake, slices
from mts1b.foundation.errors import DataError
from tests.unit.datalake.test_stretches import minutes

LATER = datetime(2020, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Two months of minutes, the second with volume-weighted prices here and there, and a bar that was revised."""
    made = open_lake(tmp_path_factory.mktemp("cut"))
    rows = minutes(gaps=0.2)
    february = rows.filter(pl.col("ts").dt.month() == 2)
    made.equities.bars.ingest(rows.filter(pl.col("ts").dt.month() == 1), "1m")
    made.equities.bars.ingest(february.with_columns(vwap=pl.when(pl.col("volume") > 5_000).then("close")), "1m")
    first = made.equities.bars.read(["B"], "1m", start="2020-02-01")[:1]
    made.equities.bars.upsert(first.with_columns(close=pl.col("high"), known_ts=pl.lit(LATER)), "1m")
    return made


ASKED = [
    {"symbols": ["B"]},
    {"symbols": ["E", "B", "C"]},
    {"symbols": ["A"], "start": "2020-01-20", "end": "2020-02-03"},
    {"symbols": ["D"], "columns": ["close", "vwap"]},
    {"symbols": ["B"], "columns": ["close"], "as_of": "2020-05-01"},
    {"symbols": ["B", "C"], "as_of": "2020-01-31T14:35"},
    {"symbols": ["C"], "start": "2020-03-01"},
]


@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_a_cut_is_what_whole_groups_hold(lake: Lake, asked: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, table = lake.equities.bars.read(interval="1m", **asked), lake.equities.bars.arrays(interval="1m", **asked)
    seen = []
    monkeypatch.setattr(slices, "SKIPPED_VALUES_MIN", 1)
    read_cuts = slices.read_cuts
    monkeypatch.setattr("mts1b.datalake.reading.read_cuts", lambda *given: seen.append(given[2]) or read_cuts(*given))
    found = lake.equities.bars.read(interval="1m", **asked)
    assert found.equals(wanted) and (seen or not found.height)
    arrays = lake.equities.bars.arrays(interval="1m", **asked)
    np.testing.assert_array_equal(arrays.ts_ns, table.ts_ns)
    for name, values in table.fields.items():
        np.testing.assert_array_equal(arrays.fields[name], values, err_msg=name)


def test_most_of_a_group_is_read_as_a_whole(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mts1b.datalake.reading.read_cuts", lambda *_: pytest.fail("nothing is spared here"))
    assert lake.equities.bars.read(["A", "B"], "1m").height


def test_a_damaged_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = open_lake(tmp_path)
    lake.equities.bars.ingest(minutes(days=5), "1m")
    stored = lake.equities.bars.stored("1m")
    assert stored is not None
    file = Path(stored.files()[0])
    lake.equities.bars.read(["B"], "1m")  # its footer is known
    content = bytearray(file.read_bytes())
    content[4:2_000] = bytes(1_996)
    file.write_bytes(content)
    monkeypatch.setattr(slices, "SKIPPED_VALUES_MIN", 1)
    with pytest.raises(DataError, match=file.name):
        lake.equities.bars.read(["B"], "1m", end=minutes()["ts"][0] + timedelta(days=2))

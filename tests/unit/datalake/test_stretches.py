"""A history read in stretches holds the same bars as the panel of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from mts1b.datalake import Lake, open_lake
from mts1b.datalake.layout import LAYOUT, Layout
from mts1b.datalake.schema import INTERVALS
from mts1b.datalake.stretches import Scratch
from mts1b.foundation.errors import DataError, InputError
from tests.unit.datalake.made_bars import bars

FIELDS = ("open", "close", "volume")


def minutes(symbols: str = "ABCDE", days: int = 40, gaps: float = 0.0, seed: int = 5) -> pl.DataFrame:
    """Twenty minutes of every day around two months' ends; with `gaps`, a bar is missing with that probability."""
    random = np.random.default_rng(seed)
    first = datetime(2020, 1, 15, 14, 31, tzinfo=UTC)
    times = [first + timedelta(days=day, minutes=minute) for day in range(days) for minute in range(20)]
    frames = []
    for symbol in symbols:
        price = np.round(50 * np.exp(np.cumsum(random.normal(0, 0.001, len(times)))), 2)
        traded = random.integers(0, 9_999, len(times))
        frame = pl.DataFrame({"symbol": symbol, "ts": times, "close": price, "volume": traded})
        frame = frame.with_columns(open=pl.col("close") + 0.01, high=pl.col("close") + 0.02, low=pl.col("close") - 0.02)
        frames.append(frame.filter(pl.Series(random.random(len(times)) >= gaps)))
    return pl.concat(frames)


def joined(lake: Lake, scratch: Scratch | None = None, **asked: object) -> tuple[tuple[str, ...], np.ndarray, dict]:
    """Names, times and fields [T, S] of all stretches put together."""
    stretches = lake.equities.bars.stretches(interval="1m", **asked)
    times, tables = [], []
    for stretch in stretches:
        table = np.full((len(FIELDS), len(stretches.symbols), len(stretch.ts_ns)), -1.0)
        for batch in stretch.batches:
            loaded = batch.load(FIELDS, scratch)
            table[:, batch.which] = np.stack([loaded[name] for name in FIELDS])
        times.append(stretch.ts_ns)
        tables.append(table)
    whole = np.concatenate(tables, axis=2).swapaxes(1, 2)
    return stretches.symbols, np.concatenate(times), dict(zip(FIELDS, whole, strict=True))


ASKED = [
    {},
    {"symbols": ["D", "B"]},
    {"start": "2020-02-03", "end": "2020-02-10"},
    {"symbols": ["E"], "start": "2020-01-31T14:40", "end": "2020-02-01T14:35"},
    {"symbols": ["LATE", "A"]},
    {"end": "2020-01-20"},
]


@pytest.mark.parametrize("gaps", [0.0, 0.3])
@pytest.mark.parametrize("rows", [25, 1_000, 131_072])
@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_stretches_hold_the_panel(gaps, rows, asked, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(INTERVALS, "1m", replace(INTERVALS["1m"], rows_per_group=rows))
    lake = open_lake(tmp_path)
    lake.equities.bars.ingest(minutes(gaps=gaps), "1m")
    late = minutes("X", 5).with_columns(symbol=pl.lit("LATE"), ts=pl.col("ts") + timedelta(days=34))
    lake.equities.bars.ingest(late, "1m")
    wanted = lake.equities.bars.panel(interval="1m", **asked)
    symbols, times, fields = joined(lake, Scratch(), **asked)
    assert symbols == wanted.symbols
    np.testing.assert_array_equal(times, wanted.ts_ns)
    for name in FIELDS:
        np.testing.assert_array_equal(fields[name], wanted.field(name), err_msg=name)


def test_a_file_without_a_layout_is_read_too(tmp_path: Path, monkeypatch) -> None:
    """As other tools write them: nothing but columns, in groups that know nothing of names."""
    lake = open_lake(tmp_path)
    held = lake.equities.bars.ingest(minutes(), "1m")
    wanted = joined(lake)
    for path in map(Path, held.files()):
        assert LAYOUT in pq.read_metadata(path).metadata
        pq.write_table(pq.read_table(path), path, row_group_size=33, store_decimal_as_integer=True)
        assert LAYOUT not in pq.read_metadata(path).metadata
    found = joined(open_lake(tmp_path))
    assert found[0] == wanted[0] and np.array_equal(found[1], wanted[1])
    assert all(np.array_equal(found[2][name], wanted[2][name]) for name in FIELDS)


def test_other_tools_see_plain_columns(tmp_path: Path) -> None:
    held = open_lake(tmp_path).equities.bars.ingest(minutes(), "1m")
    for path in map(Path, held.files()):
        column = pq.ParquetFile(path).metadata.row_group(0).column(2)
        assert (column.path_in_schema, column.physical_type, column.compression) == ("open", "INT64", "ZSTD")
        assert "DELTA_BINARY_PACKED" in column.encodings
        assert pl.read_parquet(path).schema["open"] == pl.Decimal(18, 4)


def test_row_groups_hold_whole_names() -> None:
    layout = Layout(("A", "B", "C", "D"), (40, 50, 250, 20), False)
    assert layout.groups(100) == [90, 100, 100, 70] and sum(layout.groups(7)) == 360
    found = Layout.of(bars().select("symbol", "ts").sort("symbol", "ts"))
    assert (found.symbols, found.rows, found.same_times) == (("AAPL", "MSFT"), (200, 200), True)


def test_nothing_and_damage(tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    with pytest.raises(InputError, match="holds no 1m bars"):
        lake.equities.bars.stretches(interval="1m")
    held = lake.equities.bars.ingest(minutes(), "1m")
    assert not list(lake.equities.bars.stretches(interval="1m", start="2031-01-01"))
    found = lake.equities.bars.stretches(interval="1m")
    assert len(found) == 2 and found.version == held.version and found.bytes_stored == held.bytes
    first = Path(held.files()[0])
    first.write_bytes(first.read_bytes()[:-40])
    with pytest.raises(DataError, match="cannot be read"):
        list(open_lake(tmp_path).equities.bars.stretches(interval="1m"))
    first.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        open_lake(tmp_path).equities.bars.stretches(interval="1m").__iter__().__next__()

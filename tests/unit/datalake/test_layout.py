"""Layouts: a file tells at which times its names have rows, and what is read by that is what was written."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mts1b.datalake import open_lake
from mts1b.datalake.layout import STEADY_MAX, Layout, Stays, Times
from mts1b.datalake.schema import BARS
from mts1b.datalake.workers import shared

START = datetime(2024, 3, 4)

NAMES = ("AAA", "BBB", "CCC", "DDD")


def bars_at(days: dict[str, list[int]]) -> pl.DataFrame:
    """Daily bars of names on some days after START; every close is another one."""
    rows = [
        {"symbol": name, "ts": START + timedelta(days=day), "close": 1.0 + number * 1000 + day}
        for number, (name, own) in enumerate(days.items())
        for day in own
    ]
    frame = pl.DataFrame(rows, {"symbol": pl.String, "ts": pl.Datetime("us"), "close": pl.Float64})
    same = frame.with_columns(pl.col("close").alias(name) for name in ("open", "high", "low"))
    full = same.with_columns(ts=pl.col("ts").dt.replace_time_zone("UTC"), volume=10.0, adjustment=pl.lit("raw"))
    return full.select(list(BARS)).sort("symbol", "ts")


def layout_of(days: dict[str, list[int]], single: bool = True) -> Layout:
    return Layout.of(bars_at(days), single=single)


def test_unbroken_runs_are_told_among_the_times_of_a_name_that_has_them_all() -> None:
    found = layout_of({"AAA": [1, 2, 4], "BBB": [1, 2, 3, 4], "CCC": [3, 4]})
    assert found.stays == Stays(1, (0, 0, 1, 2), (0, 3, 0, 2), (2, 1, 4, 2))
    assert layout_of({"AAA": [1, 2], "BBB": [1, 2]}).all_stays() == Stays(0, (0, 1), (0, 0), (2, 2))


@given(st.lists(st.integers(1, 3), max_size=20))
def test_times_are_told_as_steady_stretches(steps: list[int]) -> None:
    times = np.cumsum([7, *steps])
    assert Times.of(times).all().tolist() == times.tolist()


def test_times_without_a_rhythm_are_not_told() -> None:
    assert Times.of(np.array([1, 2, 3, 10, 11, 12, 20])) == Times((1, 10, 20), (1, 1, 0), (3, 3, 1))
    assert Times.of(np.arange(3 * STEADY_MAX) ** 2) is None


@pytest.mark.parametrize(
    "days",
    [
        {"AAA": [1, 2], "BBB": [2, 3, 4]},  # nobody has every time
        {"AAA": [1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21], "BBB": list(range(1, 23))[:21] + [22]},  # too many stays
        {"AAA": [1, 1], "BBB": [1, 2, 3]},  # a revised bar
    ],
)
def test_where_times_cannot_be_told_they_are_not(days: dict[str, list[int]]) -> None:
    assert layout_of(days).all_stays() is None


def test_datasets_with_several_rows_of_a_name_at_a_time_are_not_looked_at() -> None:
    assert layout_of({"AAA": [1], "BBB": [1, 2]}, single=False).stays is None


day_sets = st.lists(st.integers(0, 12), min_size=1, max_size=13, unique=True).map(sorted)


@settings(deadline=None, max_examples=30)
@given(st.lists(day_sets, min_size=1, max_size=4), st.integers(0, 12), st.integers(0, 12), st.data())
def test_what_is_read_is_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, held: list[list[int]], one: int, other: int, data: st.DataObject
) -> None:
    given_bars = bars_at(dict(zip(NAMES, held, strict=False)))
    bars = open_lake(tmp_path_factory.mktemp("lake")).equities.bars
    bars.write(given_bars)
    asked = data.draw(st.lists(st.sampled_from(NAMES[: len(held)]), min_size=1, unique=True))
    first, last = (START + timedelta(days=day) for day in sorted((one, other)))
    within = given_bars.filter(
        pl.col("symbol").is_in(asked), pl.col("ts").dt.replace_time_zone(None).is_between(first, last)
    )
    assert bars.read(asked, "daily", first, last).equals(within)
    panel = bars.arrays(asked, "daily", first, last, columns=["close"])
    wide = within.pivot("symbol", index="ts", values="close").sort("ts")
    assert panel.ts_ns.tolist() == wide["ts"].dt.epoch("ns").to_list()
    for number, name in enumerate(panel.symbols):
        own = wide[name].fill_null(np.nan).to_numpy() if name in wide.columns else np.full(wide.height, np.nan)
        np.testing.assert_array_equal(panel.fields["close"][:, number], own)


def test_a_name_has_a_row_group_of_its_own_in_a_month_of_minutes(tmp_path: Path) -> None:
    minutes = pl.datetime_range(START, START + timedelta(minutes=8_189), "1m", time_zone="UTC", eager=True).cast(
        BARS["ts"]
    )
    made = [
        pl.DataFrame({"symbol": name, "ts": minutes}).with_columns(
            *(pl.lit(5.0).alias(column) for column in ("open", "high", "low", "close", "volume")),
            adjustment=pl.lit("raw"),
        )
        for name in ("AAA", "BBB")
    ]
    bars = open_lake(tmp_path).equities.bars
    stored = bars.write(pl.concat(made), "1m")
    metadata = pq.read_metadata(stored.files()[0])
    assert [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)] == [8_190, 8_190]
    assert not metadata.schema.column(2).max_definition_level  # nobody decodes that nothing is missing
    assert bars.read(["BBB"], "1m")["ts"].to_list() == minutes.to_list()


def test_work_is_shared_in_order_and_what_it_raises_passes_through() -> None:
    assert shared(range(50), lambda n: n * n) == [n * n for n in range(50)]
    assert shared([], str) == []
    with pytest.raises(ZeroDivisionError):
        shared([1, 0, 2], lambda n: 1 // n)


def test_the_sources_reads_as_written(tmp_path: Path) -> None:
    lake = open_lake(tmp_path)
    given_bars = bars_at({"AAPL": [-400, -63, 0, 89, 90], "MSFT": [0]}).with_columns(
        pl.col(name) + 1000 for name in ("open", "high", "low", "close")
    )
    lake.equities.bars.write(given_bars)
    # Fast — uses partition pruning
    df = lake.equities.bars.read(
        symbols=["AAPL"],
        interval="daily",
        start="2024-01-01", end="2024-06-01",
    )  # fmt: skip
    assert df["ts"].dt.date().cast(str).to_list() == ["2024-01-01", "2024-03-04", "2024-06-01"]
    # Slow — full scan
    df = lake.equities.bars.read(
        symbols=["AAPL"],
        interval="daily",  # all dates
    )
    assert df.equals(given_bars.filter(pl.col("symbol") == "AAPL"))

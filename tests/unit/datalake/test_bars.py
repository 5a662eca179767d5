"""The lake: what goes in comes out, exactly, atomically, and the same data twice change nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mts1b.datalake import Lake, open_lake, sample_path
from mts1b.datalake.schema import BARS, on_tick
from mts1b.foundation.errors import DataError, InputError, StackError, UnknownNameError
from tests.unit.datalake.made_bars import INTRADAY, bars

DELIVERED = pl.Schema({**BARS, "adj_close": pl.Float64()})
"""Columns of bars that came with adjusted closes."""


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = open_lake(tmp_path / "lake")
    made.equities.bars.ingest(bars())
    return made


@pytest.fixture(scope="module")
def sample_lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    made = open_lake(tmp_path_factory.mktemp("sample") / "lake")
    made.equities.bars.ingest(sample_path())
    return made


def test_the_sources_fast_and_slow_examples_as_written(lake: Lake) -> None:
    df = lake.equities.bars.read(
        symbols=["AAPL"],
        interval="daily",
        start="2024-01-01", end="2024-06-01",
    )  # fmt: skip
    assert df.schema == DELIVERED
    assert (df["ts"].min(), df["ts"].max()) == (datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 6, 1, tzinfo=UTC))
    whole = lake.equities.bars.read(
        symbols=["AAPL"],
        interval="daily", # all dates
    )  # fmt: skip
    assert whole.height == 200 and whole["symbol"].unique().to_list() == ["AAPL"]


def test_the_module_level_lake_follows_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTS_DATA_DIR", str(tmp_path))
    from mts1b.datalake import lake

    assert lake.root == tmp_path / "lake"


def test_prices_are_stored_as_delivered_and_adjusted_on_reading(lake: Lake) -> None:
    given_bars = bars().filter(pl.col("symbol") == "MSFT")
    read = lake.equities.bars.read(symbols=["MSFT"])
    total = lake.equities.bars.read(symbols=["MSFT"], adjust="total")
    factor = read["adj_close"] / read["close"]
    for name in ("open", "high", "low", "close"):
        assert read[name].equals(on_tick(given_bars[name]), null_equal=False)
        assert np.allclose(total[name], read[name] * factor, rtol=1e-15)
    assert read["adj_close"].equals(on_tick(given_bars["adj_close"]).alias("adj_close"))
    assert read["adjustment"].unique().to_list() == ["split"]  # an adj_close came along, and nobody said otherwise
    assert read["volume"].to_list() == given_bars["volume"].to_list() == total["volume"].to_list()
    assert lake.equities.bars.read(symbols=["MSFT"], adjust="split").equals(read)


def test_the_sample_comes_back_whole_and_on_the_tick(sample_lake: Lake) -> None:
    source = pl.read_parquet(sample_path())
    panel = sample_lake.equities.bars.panel()
    assert panel.close.shape == (2518, 100) and not np.isnan(panel.close).any()
    assert panel.symbols == tuple(sorted(source["symbol"].unique()))
    column = source.filter(pl.col("symbol") == "XOM").sort("ts")
    assert np.abs(panel.close[:, panel.symbols.index("XOM")] - column["adj_close"].to_numpy()).max() < 0.0001
    assert panel.lineage is not None and panel.lineage.adjust == "total" and not panel.lineage.undivided
    delivered = sample_lake.equities.bars.panel(adjust=None)
    for field in (panel.open, panel.high, panel.low, panel.close):
        assert field.flags.c_contiguous
    for field in (delivered.open, delivered.high, delivered.low, delivered.close):
        assert field.flags.c_contiguous
        assert all(
            Decimal(repr(price)) == Decimal(repr(price)).quantize(Decimal("0.0001"))
            for price in field[::50].ravel().tolist()
        )
    assert (panel.high >= np.maximum(panel.open, panel.close)).all()
    assert (panel.low <= np.minimum(panel.open, panel.close)).all()


def test_a_reader_opens_only_the_years_it_needs(sample_lake: Lake, tmp_path: Path) -> None:
    copy = open_lake(tmp_path / "lake")
    held = copy.equities.bars.ingest(sample_path())
    for file in held.files():
        if "year=2016" not in file:
            Path(file).unlink()
    read = copy.equities.bars.read(start="2016-01-01", end="2016-12-31")
    assert read.equals(sample_lake.equities.bars.read(start="2016-01-01", end="2016-12-31"))


def test_ingesting_twice_changes_nothing(lake: Lake) -> None:
    before = lake.equities.bars.stored()
    files = {path: path.stat().st_mtime_ns for path in lake.root.rglob("*") if path.is_file()}
    assert lake.equities.bars.ingest(bars()).snapshot == before.snapshot
    assert {path: path.stat().st_mtime_ns for path in lake.root.rglob("*") if path.is_file()} == files


def test_equal_data_have_equal_versions_whatever_their_order(lake: Lake, tmp_path: Path) -> None:
    other = open_lake(tmp_path / "other")
    halves = bars().sample(fraction=1.0, shuffle=True, seed=3)
    other.equities.bars.ingest(halves[:150])
    other.equities.bars.ingest(halves[150:])
    assert other.equities.bars.stored().version == lake.equities.bars.stored().version
    assert other.equities.bars.panel().data_version == lake.equities.bars.panel().data_version


def test_new_bars_replace_old_ones_of_the_same_time_and_keep_the_rest(lake: Lake) -> None:
    before = lake.equities.bars.read()
    correction = before.filter(pl.col("ts") == datetime(2024, 3, 1, tzinfo=UTC), pl.col("symbol") == "AAPL")
    correction = correction.with_columns(pl.col("high") * 2)
    version = lake.equities.bars.stored().version
    lake.equities.bars.ingest(correction)
    after = lake.equities.bars.read()
    assert lake.equities.bars.stored().version != version
    assert after.height == before.height
    assert (after["high"] != before["high"]).sum() == 1
    assert lake.equities.bars.verify() == after.height


def test_files_of_older_versions_stay_until_they_are_forgotten(lake: Lake) -> None:
    read = lake.equities.bars
    old, first = read.stored().files(), read.read()
    read.ingest(bars(seed=2))
    assert all(Path(file).exists() for file in old) and read.at(1).read().equals(first)
    assert read.forget() == [] and read.at(1).read().equals(first)
    assert len(read.forget(older_than_s=0)) == len(old) and not any(Path(file).exists() for file in old)
    with pytest.raises(DataError, match="cannot be read"):
        read.at(1).read()
    assert read.read().height == 400


def test_a_panel_fills_gaps_with_nan_and_keeps_the_order_asked_for(tmp_path: Path) -> None:
    gap = pl.concat([bars(["BBB"], days=5), bars(["AAA"], first=date(2024, 1, 4), days=5)])
    made = open_lake(tmp_path).equities.bars
    made.ingest(gap)
    panel = made.panel(symbols=["BBB", "AAA"])
    assert panel.symbols == ("BBB", "AAA") and len(panel.ts_ns) == 7
    assert np.isnan(panel.close).tolist() == [[False, True]] * 2 + [[False, False]] * 3 + [[True, False]] * 2
    assert panel.ts_ns[0] == int(datetime(2024, 1, 2, tzinfo=UTC).timestamp()) * 10**9


def test_data_version_tells_apart_names_dates_and_values(lake: Lake) -> None:
    read = lake.equities.bars
    versions = [
        read.panel().data_version,
        read.panel(symbols=["AAPL"]).data_version,
        read.panel(symbols=["MSFT", "AAPL"]).data_version,
        read.panel(end="2024-06-01").data_version,
    ]
    assert len(set(versions)) == len(versions) and all(versions)


def test_intraday_bars_lie_by_month_and_a_bare_end_date_includes_its_day(tmp_path: Path) -> None:
    made = open_lake(tmp_path).equities.bars
    held = made.ingest(INTRADAY, interval="1m")
    assert [file.partition for file in held.snapshot.files] == ["year=2019/month=01", "year=2019/month=02"]
    assert made.read(interval="1m", start="2019-02-01", end="2019-02-01").height == 2
    assert made.read(interval="1m", end="2019-02-01T14:31:00").height == 2
    assert made.read(interval="1m", end=datetime(2019, 2, 1, 15, 31, tzinfo=UTC)).height == 3
    assert made.read(interval="1m")["volume"].to_list() == [100.0, 200.0, 300.0]


def day(ts: object, **schema: object) -> pl.DataFrame:
    """One bar at `ts`."""
    return bars(["SPY"], days=1).with_columns(pl.Series("ts", [ts], **schema))


DAILY_TIMES = [
    day("2024-03-01"),
    day("2024-03-01T00:00:00"),
    day("2024-03-01T00:00:00Z"),
    day(date(2024, 3, 1)),
    day(datetime(2024, 3, 1)),
    day(datetime(2024, 3, 1, 5, tzinfo=UTC), dtype=pl.Datetime("us", "UTC")).with_columns(
        pl.col("ts").dt.convert_time_zone("America/New_York")
    ),
]


@pytest.mark.parametrize("delivered", DAILY_TIMES)
def test_a_daily_bar_lies_at_the_date_it_was_delivered_with(tmp_path: Path, delivered: pl.DataFrame) -> None:
    made = open_lake(tmp_path).equities.bars
    made.ingest(delivered)
    assert made.read()["ts"].to_list() == [datetime(2024, 3, 1, tzinfo=UTC)]


BAD_TIMES = [
    (day("03/01/2024"), "not an ISO 8601"),
    (day("2024-13-01"), "cannot be read"),
    (day("2024-03-01T16:00:00"), "not 00:00 of its date"),
    (day("2024-03-01T00:00:00-05:00"), "not 00:00 of its date"),
    (day(20240301), "neither dates nor times"),
]


@pytest.mark.parametrize(("delivered", "words"), BAD_TIMES)
def test_times_that_could_mean_two_things_are_refused(tmp_path: Path, delivered: pl.DataFrame, words: str) -> None:
    with pytest.raises(DataError, match=words):
        open_lake(tmp_path).equities.bars.ingest(delivered)


def test_a_crash_before_the_manifest_leaves_the_old_bars(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    before = lake.equities.bars.read()

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("mts1b.datalake.log.Log.commit", crash)
        lake.equities.bars.ingest(bars(seed=9))
    assert lake.equities.bars.read().equals(before)
    lake.equities.bars.ingest(bars())
    assert lake.equities.bars.read().equals(before)


def test_two_writers_take_turns_and_readers_see_whole_versions(tmp_path: Path) -> None:
    made = open_lake(tmp_path).equities.bars
    made.ingest(bars(["AAA"], days=400))
    names = ["BBB", "CCC", "DDD", "EEE"]
    heights = []
    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(made.ingest, bars([name], days=400)) for name in names]
        while not all(writer.done() for writer in writers):
            heights.append(made.read(symbols=["AAA"]).height)
    assert set(heights) <= {400}
    assert made.read()["symbol"].unique().sort().to_list() == ["AAA", *names]
    assert all(writer.exception() is None for writer in writers)


def test_a_range_without_bars_is_an_empty_frame(lake: Lake) -> None:
    assert lake.equities.bars.read(start="2030-01-01").schema == DELIVERED
    assert lake.equities.bars.read(start="2030-01-01").height == 0


BAD_QUESTIONS = [
    (dict(symbols=["APPL"]), UnknownNameError, "AAPL"),
    (dict(symbols=["aapl"]), UnknownNameError, "did you mean: AAPL"),
    (dict(symbols=[]), InputError, "no symbol given"),
    (dict(symbols="AAPL"), InputError, "write ['AAPL']"),
    (dict(interval="day"), UnknownNameError, "daily"),
    (dict(interval="1m"), InputError, "holds no 1m bars"),
    (dict(start="2024-06-01", end="2024-01-01"), InputError, "is after"),
    (dict(start="yesterday"), InputError, "not a date"),
    (dict(end="2024-13-01"), InputError, "YYYY-MM-DD"),
    (dict(start="2030-01-01"), InputError, "the lake holds 2024-01-02 to 2024-07-19"),
    (dict(symbols=["AAPL", "AAPL"]), InputError, "once"),
]


@pytest.mark.parametrize(("asked", "error", "words"), BAD_QUESTIONS)
def test_bad_questions_are_refused_by_name(lake: Lake, asked: dict, error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        lake.equities.bars.panel(**asked)
    assert words in str(caught.value) and caught.value.exit_code == 2 and "\n" not in str(caught.value)


BAD_ROWS = [
    ({"high": 1.0}, "high is below low"),
    ({"high": 100.0, "low": 90.0, "open": 101.0, "close": 95.0}, "high is below open"),
    ({"high": 120.0, "low": 100.0, "open": 99.0, "close": 110.0}, "low is above open"),
    ({"open": 0.0}, "open is not a positive price"),
    ({"close": -5.0}, "close is not a positive price"),
    ({"close": float("nan")}, "close is not a positive price"),
    ({"high": float("inf")}, "high is not a positive price"),
    ({"open": None}, "a value is missing"),
    ({"volume": -1}, "volume is negative"),
    ({"symbol": "A PL"}, "not a ticker"),
    ({"adj_close": 1e-7}, "below one tick"),
]


@pytest.mark.parametrize(("change", "words"), BAD_ROWS)
def test_a_bad_row_is_named_and_nothing_is_stored(tmp_path: Path, change: dict, words: str) -> None:
    rows = bars(["AAPL"], days=20).to_dicts()
    rows[11].update(change)
    made = open_lake(tmp_path).equities.bars
    with pytest.raises(DataError, match=words) as caught:
        made.ingest(pl.DataFrame(rows, infer_schema_length=None))
    assert caught.value.field == "row" and "2024-01-13" in str(caught.value)
    assert made.stored() is None


def test_a_repeated_bar_is_refused(tmp_path: Path) -> None:
    twice = pl.concat([bars(["AAPL"], days=3)] * 2)
    with pytest.raises(DataError, match="two bars at this time"):
        open_lake(tmp_path).equities.bars.ingest(twice)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    made = open_lake(tmp_path / "lake").equities.bars
    damaged, table, other = tmp_path / "a.parquet", tmp_path / "b.csv", tmp_path / "c.xls"
    damaged.write_bytes(sample_path().read_bytes()[:100_000])
    table.write_text("symbol,date,open\nAAPL,2024-01-01,1\n")
    other.write_text("x")
    cases = [(damaged, DataError, "cannot be read"), (table, DataError, "no column 'high'")]
    cases += [(other, InputError, "neither"), (tmp_path / "none.parquet", InputError, "no such file")]
    for path, error, words in cases:
        with pytest.raises(error, match=words):
            made.ingest(path)


def test_a_csv_file_gives_the_same_bars(tmp_path: Path, lake: Lake) -> None:
    bars().rename({"ts": "date"}).write_csv(tmp_path / "bars.csv")
    made = open_lake(tmp_path / "other").equities.bars
    made.ingest(tmp_path / "bars.csv")
    assert made.read().equals(lake.equities.bars.read())


def test_a_lake_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StackError, match="cannot be written") as caught:
        open_lake(tmp_path / "file" / "lake").equities.bars.ingest(bars(days=3))
    assert caught.value.exit_code == 2


def test_an_empty_lake_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="mts data ingest sample"):
        open_lake(tmp_path).equities.bars.read()


def test_damage_in_the_lake_names_the_file(lake: Lake) -> None:
    part = Path(lake.equities.bars.stored().files()[0])
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(DataError, match=part.name):
        open_lake(lake.root).equities.bars.read()
    for entry in (part.parent.parent / "_delta_log").glob("*1.json"):
        entry.write_text("{")
    with pytest.raises(DataError, match="the log cannot be read"):
        open_lake(lake.root).equities.bars.read()


def test_verify_finds_bars_that_were_changed(lake: Lake) -> None:
    first = lake.equities.bars.stored().files()[0]
    changed = pl.read_parquet(first, hive_partitioning=False)
    changed = changed.with_columns((pl.col("close") + 1).cast(changed.schema["close"]))
    changed.write_parquet(first)
    with pytest.raises(DataError, match="holds other rows"):
        open_lake(lake.root).equities.bars.verify()


def test_progress_counts_the_partitions(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    made = open_lake(tmp_path).equities.bars
    made.ingest(bars(first=date(2022, 12, 1), days=400), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


@given(st.lists(st.integers(1, 10**13), min_size=1, max_size=50), st.floats(-0.4, 0.4))
@settings(max_examples=50, deadline=None)
def test_rounding_to_the_tick_is_exact_and_stable(ticks: list[int], noise: float) -> None:
    exact = [float(Decimal(tick).scaleb(-4)) for tick in ticks]
    moved = pl.Series("close", [price + noise * 1e-4 for price in exact])
    assert on_tick(pl.Series("close", exact)).to_list() == exact
    if max(ticks) < 10**10:  # below a million per share the noise survives in float64
        assert on_tick(moved).to_list() == exact

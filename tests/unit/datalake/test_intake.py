"""Damaged files: every row comes out, as a bar to be stored or in quarantine with its reason."""

from __future__ import annotations

import json
import zipfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mts1b.datalake.actions import ACTIONS, SPLIT
from mts1b.datalake.calendars import calendar
from mts1b.datalake.intake.delivery import Terms
from mts1b.datalake.intake.take import Taken, offences_of, take
from mts1b.foundation.errors import InputError, UnknownNameError
from tests.lean_files import USA, actions, raw_bars

HEADER = "symbol,ts,open,high,low,close,volume"


def daily(days: int = 60, symbol: str = "AAA", seed: int = 1) -> pl.DataFrame:
    """Well-formed bars of the sessions from 2024-01-02 on."""
    random = np.random.default_rng(seed)
    sessions = calendar("XNYS", date(2024, 1, 2), date(2024, 12, 31)).sessions["day"][:days]
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.01, days)))
    open_ = close * np.exp(random.normal(0, 0.005, days))
    return pl.DataFrame(
        {
            "symbol": [symbol] * days,
            "ts": sessions.dt.to_string("%Y-%m-%d"),
            "open": open_.round(2),
            "high": (np.maximum(open_, close) * 1.01).round(2),
            "low": (np.minimum(open_, close) * 0.99).round(2),
            "close": close.round(2),
            "volume": random.integers(900_000, 1_500_000, days),
        }
    )


def minutes(day: str = "2024-07-05", zone: str | None = "America/New_York", end: bool = False) -> pl.DataFrame:
    """The regular session's bars of one day, texts with their offset, or without where `zone` is None."""
    first = datetime.fromisoformat(f"{day} 09:30") + timedelta(minutes=1 if end else 0)
    stamps = pl.Series([first + timedelta(minutes=m) for m in range(390)])
    texts = stamps.dt.to_string("%Y-%m-%d %H:%M:%S")
    if zone is not None:
        texts = stamps.dt.replace_time_zone(zone).dt.convert_time_zone("UTC").dt.to_string("%Y-%m-%dT%H:%M:%SZ")
    return (
        daily(1)
        .drop("ts")
        .join(pl.DataFrame({"ts": texts}), how="cross")
        .select(HEADER.split(","))[:390]
        .with_columns(volume=pl.int_range(100, 490))
    )


def csv(path: Path, rows: pl.DataFrame | str) -> Path:
    file = path / "delivery.csv"
    file.write_text(rows if isinstance(rows, str) else rows.write_csv())
    return file


def assert_nothing_is_lost(taken: Taken, rows: int) -> None:
    assert taken.rows == rows == taken.good.height + taken.offenders.height
    assert taken.offenders["id"].is_unique().all() and taken.offenders["reasons"].is_not_null().all()
    assert taken.offenders["checks"].is_not_null().all()


def test_a_good_file_is_taken_whole(tmp_path: Path) -> None:
    taken = take(csv(tmp_path, daily()), Terms())
    assert_nothing_is_lost(taken, 60)
    assert taken.offenders.height == 0 and taken.good["adjustment"].unique().to_list() == ["raw"]
    assert taken.good["ts"][0] == datetime(2024, 1, 2, tzinfo=UTC)
    assert take(csv(tmp_path, daily()), Terms()).content == taken.content


def changed(column: str, value: object, row: int = 30) -> pl.DataFrame:
    rows = daily().cast(pl.String)
    place = pl.int_range(pl.len()) == row
    return rows.with_columns(pl.when(place).then(pl.lit(value, pl.String)).otherwise(column).alias(column))


DAMAGE = [
    (changed("open", "1O2.5"), "type", "open is not a number: 1O2.5"),
    (changed("volume", "many"), "type", "volume is not a number"),
    (changed("close", ""), "schema", "close is missing"),
    (changed("symbol", "a b"), "schema", "not a ticker"),
    (changed("ts", "03/01/2024"), "time", "no ISO 8601"),
    (changed("ts", "2024-02-30"), "time", "no ISO 8601"),
    (changed("ts", "2024-02-14 16:00"), "time", "--stamps end"),
    (changed("ts", "2024-02-17"), "calendar", "2024-02-17 is no session of XNYS"),
    (changed("ts", "2024-03-29"), "calendar", "2024-03-29 is no session"),
    (changed("close", "0"), "price", "close is 0.0, not above zero"),
    (changed("low", "-3.5"), "price", "low is -3.5, not above zero"),
    (changed("open", "0.00001"), "price", "below one tick"),
    (changed("open", "1e12"), "price", "no price"),
    (changed("open", "inf"), "price", "no price"),
    (changed("volume", "-5"), "volume", "no count of shares"),
    (changed("high", "50"), "high-below-low", "is below low"),
    (changed("low", "400"), "high-below-low", "is below low"),
    (changed("open", "400"), "high-below-low", "high is below open or close"),
    (changed("high", "1000"), "outlier", "far above open and close"),
]


@pytest.mark.parametrize(("rows", "check", "words"), DAMAGE)
def test_one_bad_row_is_named_and_the_rest_is_kept(tmp_path: Path, rows: pl.DataFrame, check: str, words: str) -> None:
    taken = take(csv(tmp_path, rows), Terms())
    assert_nothing_is_lost(taken, 60)
    assert taken.offenders.height == 1 and taken.offenders["checks"][0] == check
    assert words in taken.offenders["reasons"][0] and taken.offenders["line"][0] == 32
    assert json.loads(taken.offenders["raw"][0]) == rows.row(30, named=True)


def test_a_file_cut_off_in_the_middle_of_a_line(tmp_path: Path) -> None:
    text = daily().write_csv()
    taken = take(csv(tmp_path, text[: text.rindex(",") - 4]), Terms())
    assert_nothing_is_lost(taken, 60)
    assert taken.offenders["line"].to_list() == [61] and "may be cut off" in taken.offenders["reasons"][0]
    assert json.loads(taken.offenders["raw"][0])["line"].startswith("AAA,2024-03-27,")


def test_lines_with_too_many_fields_and_quotes(tmp_path: Path) -> None:
    lines = daily(10).write_csv().splitlines()
    lines[4] += ",7"
    lines[6] = lines[6].replace("AAA", '"AAA"')
    taken = take(csv(tmp_path, "\n".join(lines)), Terms())
    assert_nothing_is_lost(taken, 10)
    assert taken.offenders["line"].to_list() == [5] and "8 fields, the header 7" in taken.offenders["reasons"][0]


def test_a_parquet_file_cut_off_is_one_offender(tmp_path: Path) -> None:
    file = tmp_path / "bars.parquet"
    daily().write_parquet(file)
    file.write_bytes(file.read_bytes()[:-100])
    taken = take(file, Terms())
    assert (taken.rows, taken.good.height, taken.offenders.height) == (0, 0, 1)
    assert taken.offenders["checks"][0] == "file" and "cannot be read" in taken.offenders["reasons"][0]


def test_a_zip_cut_off_is_one_offender_and_a_cut_line_inside_another(tmp_path: Path) -> None:
    folder = tmp_path / "equity" / "usa" / "daily"
    folder.mkdir(parents=True)
    whole = (USA / "daily" / "fb.zip").read_bytes()
    (folder / "fb.zip").write_bytes(whole[:20_000])
    taken = take(folder / "fb.zip", Terms())
    assert taken.offenders["checks"].to_list() == ["file"] and taken.good.height == 0
    with zipfile.ZipFile(USA / "daily" / "fb.zip") as archive:
        text = archive.read("fb.csv").decode().strip()
    with zipfile.ZipFile(folder / "fb.zip", "w") as archive:
        archive.writestr("fb.csv", text[:-12])
    taken = take(folder / "fb.zip", Terms())
    assert_nothing_is_lost(taken, 2947)
    assert taken.offenders["line"].to_list() == [2947] and taken.offenders["checks"][0] == "fields"


def test_a_missing_header_is_named_and_columns_may_be_told(tmp_path: Path) -> None:
    body = daily().write_csv(include_header=False)
    taken = take(csv(tmp_path, body), Terms())
    assert_nothing_is_lost(taken, 60)
    assert taken.good.height == 0 and "has no header" in taken.offenders["reasons"][0]
    told = take(csv(tmp_path, body), Terms(columns=tuple(HEADER.split(","))))
    assert_nothing_is_lost(told, 60)
    assert told.good.height == 60 and told.content == taken.content


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    taken = take(csv(tmp_path, daily().drop("low")), Terms())
    assert_nothing_is_lost(taken, 60)
    assert offences_of(taken) == {"columns": 60} and "no column 'low'" in taken.offenders["reasons"][0]


def test_other_spellings_of_columns_and_a_symbol_from_the_files_name(tmp_path: Path) -> None:
    rows = daily().drop("symbol").rename({"ts": "Date", "open": "Open", "close": "Close"})
    file = tmp_path / "aaa.csv"
    file.write_text(rows.with_columns(pl.col("Close").alias("Adj Close")).write_csv())
    taken = take(file, Terms())
    assert taken.good["symbol"].unique().to_list() == ["AAA"] and taken.good["adj_close"].is_not_null().all()
    assert taken.notes == ("the symbol is the file's name: AAA",) and taken.good["adjustment"][0] == "split"


def test_duplicate_days(tmp_path: Path) -> None:
    rows = pl.concat([daily(), daily()[10:13]])
    taken = take(csv(tmp_path, rows), Terms())
    assert_nothing_is_lost(taken, 63)
    assert taken.good.height == 60 and taken.offenders["line"].to_list() == [62, 63, 64]
    assert "a copy of row 11" in taken.offenders["reasons"][0]
    other = daily()[10:11].with_columns(pl.col("high") + 1)
    taken = take(csv(tmp_path, pl.concat([daily(), other])), Terms())
    assert_nothing_is_lost(taken, 61)
    assert taken.good.height == 59 and taken.offenders["line"].to_list() == [12, 62]


def test_a_missing_time_zone_is_asked_for(tmp_path: Path) -> None:
    bare = csv(tmp_path, minutes(zone=None))
    taken = take(bare, Terms(interval="1m"))
    assert_nothing_is_lost(taken, 390)
    assert offences_of(taken) == {"zone": 390} and "--zone" in taken.offenders["reasons"][0]
    told = take(bare, Terms(interval="1m", zone="America/New_York"))
    assert told.good.height == 390 and told.good["ts"][0] == datetime(2024, 7, 5, 13, 30, tzinfo=UTC)
    assert told.good.equals(take(csv(tmp_path, minutes()), Terms(interval="1m")).good)
    clocks_change = minutes(zone=None).with_columns(ts=pl.lit("2024-03-10 02:30:00"))[:1]
    taken = take(csv(tmp_path, clocks_change), Terms(interval="1m", zone="America/New_York", calendar=None))
    assert "as clocks change" in taken.offenders["reasons"][0]


@pytest.mark.parametrize("told", ["start", "end"])
def test_stamps_at_the_wrong_end_are_noticed(tmp_path: Path, told: str) -> None:
    rows = minutes(end=told == "start")
    taken = take(csv(tmp_path, rows), Terms(interval="1m", stamps=told))
    assert_nothing_is_lost(taken, 390)
    assert offences_of(taken) == {"stamps": 390}
    other = "end" if told == "start" else "start"
    assert f"--stamps {other}" in taken.offenders["reasons"][0]
    right = take(csv(tmp_path, rows), Terms(interval="1m", stamps=other))
    assert right.good.height == 390 and right.good["ts"][0] == datetime(2024, 7, 5, 13, 30, tzinfo=UTC)


def test_bars_after_an_early_close(tmp_path: Path) -> None:
    taken = take(csv(tmp_path, minutes("2024-07-03")), Terms(interval="1m"))  # it closed at 13:00
    assert_nothing_is_lost(taken, 390)
    assert taken.good.height == 210 and offences_of(taken) == {"calendar": 180}
    assert "early close of XNYS at 13:00 on 2024-07-03" in taken.offenders["reasons"][0]
    night = minutes()[:1].with_columns(ts=pl.lit("2024-07-05T07:00:00Z"))
    taken = take(csv(tmp_path, pl.concat([minutes(), night])), Terms(interval="1m"))
    assert taken.offenders["reasons"].to_list() == ["outside the hours of XNYS"]


def test_a_close_that_spikes_and_one_that_stays(tmp_path: Path) -> None:
    spike = daily().with_columns(
        pl.when(pl.int_range(pl.len()) == 20).then(pl.col(name) * 10).otherwise(name).alias(name)
        for name in ("open", "high", "low", "close")
    )
    taken = take(csv(tmp_path, spike), Terms())
    assert_nothing_is_lost(taken, 60)
    assert taken.offenders["line"].to_list() == [22] and taken.offenders["checks"][0] == "outlier"
    crash = daily().with_columns(
        pl.when(pl.int_range(pl.len()) >= 20).then(pl.col(name) / 3).otherwise(name).alias(name)
        for name in ("open", "high", "low", "close")
    )
    assert take(csv(tmp_path, crash), Terms()).offenders.height == 0


def test_prices_that_stand_still(tmp_path: Path) -> None:
    rows = daily()
    frozen = pl.concat(
        [rows[:40], rows[40:41].drop("ts").join(rows[40:].select("ts"), how="cross").select(rows.columns)]
    )
    taken = take(csv(tmp_path, frozen), Terms())
    assert_nothing_is_lost(taken, 60)
    assert offences_of(taken) == {"stale": 19} and taken.good.height == 41
    quiet = frozen.with_columns(volume=pl.lit(0))
    assert take(csv(tmp_path, quiet), Terms()).offenders.height == 0  # nobody traded: that is what it looks like


@pytest.mark.parametrize("factor", [10, 100, 0.1])
def test_volumes_times_ten_from_one_day_on(tmp_path: Path, factor: float) -> None:
    after = pl.int_range(pl.len()) >= 40
    rows = daily().with_columns(volume=pl.when(after).then(pl.col("volume") * factor).otherwise("volume").round())
    taken = take(csv(tmp_path, rows), Terms())
    assert_nothing_is_lost(taken, 60)
    assert taken.offenders["line"].to_list() == list(range(42, 62)) and offences_of(taken) == {"unit-break": 20}
    assert f"from {rows['ts'][40]} on" in taken.offenders["reasons"][0]
    head, tail = daily()[:40], rows[40:]
    stored = take(csv(tmp_path, head), Terms()).good
    later = take(
        csv(tmp_path, tail), Terms(), lambda terms, bars: (stored, ACTIONS.to_frame())
    )  # seen beside what is stored already
    assert offences_of(later) == {"unit-break": 20}
    for_a_while = after & (pl.int_range(pl.len()) < 70)
    back = daily(90).with_columns(
        volume=pl.when(for_a_while).then(pl.col("volume") * factor).otherwise("volume").round()
    )
    assert take(csv(tmp_path, back), Terms()).offenders["line"].to_list() == list(range(42, 72))


def test_a_split_is_no_break_of_units(tmp_path: Path) -> None:
    after = pl.int_range(pl.len()) >= 40
    prices = [
        pl.when(after).then(pl.col(n) / 10).otherwise(n).round(2).alias(n) for n in ("open", "high", "low", "close")
    ]
    rows = daily().with_columns(*prices, volume=pl.when(after).then(pl.col("volume") * 10).otherwise("volume"))
    assert take(csv(tmp_path, rows), Terms()).offenders.height == 0


def test_prices_told_raw_that_have_a_split_in_them(tmp_path: Path) -> None:
    day = date.fromisoformat(daily()["ts"][40])
    split = pl.DataFrame({"security": ["AAA"], "ex": [day], "kind": [SPLIT], "value": [4.0], "known": [None]})
    taken = take(csv(tmp_path, daily()), Terms(status="raw"), lambda terms, bars: (bars.clear(), split))
    assert_nothing_is_lost(taken, 60)
    assert (
        offences_of(taken) == {"adjustment": 40}
        and "told raw, but have the split of 4.0" in taken.offenders["reasons"][0]
    )
    assert (
        take(csv(tmp_path, daily()), Terms(status="split"), lambda terms, bars: (bars.clear(), split)).offenders.height
        == 0
    )


def test_leans_bars_are_as_they_should_be() -> None:
    taken = take(USA / "daily" / "fb.zip", Terms())
    assert_nothing_is_lost(taken, 2947)
    assert taken.offenders.height == 0 and taken.good["close"][-1] == 294.53
    spy = take(USA / "minute" / "spy" / "20131011_trade.zip", Terms())
    assert (
        spy.terms.interval == "1m"
        and spy.offenders.height == 0
        and spy.good["ts"][0] == datetime(2013, 10, 11, 8, tzinfo=UTC)
    )


def test_real_bars_of_twenty_years_are_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "raw.parquet"
    raw_bars().with_columns(adjustment=pl.lit("raw")).write_parquet(file)
    taken = take(file, Terms(), lambda terms, bars: (bars.clear(), actions()))
    assert_nothing_is_lost(taken, raw_bars().height)
    assert taken.offenders.height < 30, taken.offenders.select("symbol", "ts", "reasons").rows()


def test_terms_that_make_no_sense() -> None:
    with pytest.raises(InputError, match="no such time zone"):
        Terms(zone="New York")
    with pytest.raises(UnknownNameError, match="daily"):
        Terms(interval="day")
    with pytest.raises(UnknownNameError, match="did you mean: end"):
        Terms(stamps="begin")
    with pytest.raises(InputError, match="no such exchange calendar"):
        take(USA / "daily" / "fb.zip", Terms()) and calendar("NYSE!", date(2020, 1, 1), date(2020, 1, 2))


CELLS = st.one_of(
    st.sampled_from(
        [
            "",
            "0",
            "-1",
            "nan",
            "1e99",
            "abc",
            "2024-01-02",
            "2024-01-06",
            "2024-01-03T00:00:00Z",
            "AAA",
            "x y",
            '"',
            ",",
        ]
    ),
    st.floats(0.5, 200).map(lambda x: f"{x:.2f}"),
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.lists(CELLS, min_size=5, max_size=9), max_size=12),
    good=st.integers(0, 20),
    cut=st.integers(0, 30),
    header=st.booleans(),
)
def test_nothing_is_ever_lost(tmp_path: Path, rows: list, good: int, cut: int, header: bool) -> None:
    body = [*daily(20).write_csv(include_header=False).splitlines()[:good], *(",".join(row) for row in rows)]
    text = "\n".join([HEADER, *body] if header else body)
    text = text[: max(len(text) - cut, 0)]
    taken = take(csv(tmp_path, text), Terms())
    lines = [line for line in text.splitlines() if line.strip()]
    as_a_whole = taken.offenders.filter(pl.col("line") == 0).height
    has_header = bool(lines) and lines[0].startswith("symbol")
    assert taken.rows == (0 if as_a_whole else len(lines) - has_header)
    assert taken.good.height + taken.offenders.height == max(taken.rows, as_a_whole)
    assert taken.offenders["reasons"].is_not_null().all() and taken.offenders["id"].is_unique().all()
    assert taken.offenders.filter(pl.col("line") > 0)["raw"].is_not_null().all()

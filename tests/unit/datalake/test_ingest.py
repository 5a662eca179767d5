"""Files into a lake: nothing lost, resumable, the same file twice is one; rows released and dropped by a person."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mts1b.datalake import Lake, open_lake
from mts1b.datalake.intake import ingest as intake
from mts1b.datalake.intake.delivery import Terms
from mts1b.datalake.intake.ingest import BEFORE, PASSED_OVER, Report, ingest
from mts1b.datalake.intake.quarantine import Quarantine
from mts1b.datalake.intake.reference import ingest_table
from mts1b.datalake.intake.release import release_rows
from mts1b.foundation.errors import DataError, InputError, UnknownNameError
from tests.lean_files import LEAN
from tests.unit.datalake.test_intake import DAMAGE, csv, daily, minutes

NOW_US = int(datetime(2024, 12, 1, tzinfo=UTC).timestamp()) * 10**6
DAY_US = 86_400 * 10**6


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(tmp_path / "lake")


def taken(lake: Lake, path: Path, now_us: int = NOW_US, **terms: object) -> Report:
    return ingest(lake, path, Terms(**terms), now_us)


def quarantine(lake: Lake) -> Quarantine:
    return Quarantine(lake.intake.quarantine)


def assert_nothing_is_lost(lake: Lake, report: Report) -> None:
    """Every row that came in is stored or in quarantine."""
    as_wholes = sum(1 for one in report.files if not one.rows and one.quarantined)
    assert report.total("rows") + as_wholes == report.total("stored") + report.total("quarantined")
    stored = sum(one.rows for one in lake.equities.bars.all_stored())
    assert stored == report.total("stored")
    assert quarantine(lake).rows(state=None).height == report.total("quarantined")


def test_a_file_is_taken_in_once(lake: Lake, tmp_path: Path) -> None:
    bad = daily().with_columns(close=pl.when(pl.int_range(pl.len()) == 7).then(0.0).otherwise("close"))
    report = taken(lake, csv(tmp_path, bad))
    assert_nothing_is_lost(lake, report)
    assert (report.total("stored"), report.total("quarantined")) == (59, 1)
    assert report.files[0].checks == {"price": 1} and "close is 0.0" in report.files[0].reasons[0]
    versions = len(lake.equities.bars.versions())
    again = taken(lake, csv(tmp_path, bad), NOW_US + DAY_US)
    assert again.files[0].status == BEFORE and len(lake.equities.bars.versions()) == versions
    anew = ingest(lake, csv(tmp_path, bad), Terms(), NOW_US + DAY_US, again=True)
    assert anew.files[0].status == "stored" and len(lake.equities.bars.versions()) == versions
    assert_nothing_is_lost(lake, anew)
    other = taken(lake, csv(tmp_path, bad), status="split")  # other terms: another meaning, so not the same
    assert other.files[0].status == "stored"


def test_every_damage_is_in_quarantine_by_its_name_and_the_rest_is_stored(lake: Lake, tmp_path: Path) -> None:
    folder = tmp_path / "deliveries"
    folder.mkdir()
    wanted, text = {}, daily().write_csv()
    for number, (rows, check, _) in enumerate(DAMAGE):
        own = pl.col("symbol").replace("AAA", f"A{number}")
        (folder / f"row-{number}.csv").write_text(rows.with_columns(own).write_csv())
        wanted[f"row-{number}.csv"] = (60, 1, check)
    times_ten = pl.when(pl.int_range(60) >= 40).then(pl.col("volume") * 10).otherwise("volume").alias("volume")
    for name, content, rows, bad, check in [
        ("cut", text.replace("AAA", "CUT")[: -len("1234567\n") - 4], 60, 1, "fields"),
        ("headless", text.replace("AAA", "HDL").partition("\n")[2], 60, 60, "header"),
        ("twice", pl.concat([daily(symbol="TWI"), daily(symbol="TWI")[5:7]]).write_csv(), 62, 2, "duplicate"),
        ("units", daily(symbol="UNI").with_columns(times_ten).write_csv(), 60, 20, "unit-break"),
    ]:
        (folder / f"{name}.csv").write_text(content)
        wanted[f"{name}.csv"] = (rows, bad, check)
    report = taken(lake, folder)
    assert_nothing_is_lost(lake, report)
    held = quarantine(lake).rows(state=None)
    found = {Path(one.source).name: (one.rows, one.quarantined) for one in report.files}
    assert found == {name: (rows, bad) for name, (rows, bad, _) in wanted.items()}
    for name, (_, bad, check) in wanted.items():
        own = held.filter(pl.col("source") == name)
        assert own["checks"].to_list() == [check] * bad, name
        assert own["raw"].is_not_null().all() and own["reasons"].str.len_chars().min() > 0


def test_a_folder_with_leans_layout(lake: Lake, tmp_path: Path) -> None:
    shutil.copytree(LEAN, tmp_path / "Data")
    (tmp_path / "Data" / "equity" / "usa" / "daily" / "broken.zip").write_bytes(b"PK\x03\x04 no more")
    (tmp_path / "Data" / "equity" / "usa" / "minute" / "spy" / "20131011_quote.zip").write_bytes(b"")
    (tmp_path / "Data" / "daily_raw.parquet").unlink()
    (tmp_path / "Data" / "equity" / "usa" / "factor_files" / "bad.csv").write_text("20200102,one,1,1\n20501231,1,1,0\n")
    report = taken(lake, tmp_path / "Data")
    by_name = {one.source: one for one in report.files}
    assert by_name["equity/usa/daily/fb.zip"].stored == 2947
    assert by_name["equity/usa/daily/broken.zip"].quarantined == 1
    assert by_name["equity/usa/minute/spy/20131011_quote.zip"].status == PASSED_OVER
    assert by_name["equity/usa/factor_files/bad.csv"].quarantined == 1
    assert by_name["LICENSE"].status == PASSED_OVER and by_name["equity/usa/map_files/wm.csv"].kind == "map"
    assert lake.equities.bars.stored("1m").rows == 776
    held = quarantine(lake).rows()
    assert held["source"].to_list() == ["equity/usa/daily/broken.zip", "equity/usa/factor_files/bad.csv"]
    first, second = (lake.equities.bars.read([name]) for name in ("FB.1", "FB"))
    assert first["ts"].max().date() <= date(2003, 3, 28) and second["ts"].min().date() == date(2012, 5, 18)
    assert lake.equities.corporate_actions.read(["AAPL"]).filter(pl.col("kind") == "split").height == 4
    again = taken(lake, tmp_path / "Data", NOW_US + DAY_US)
    assert {one.status for one in again.files} == {BEFORE, PASSED_OVER}


def test_a_killed_ingest_goes_on_where_it_was(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(6):
        daily(30, f"N{number}", seed=number).write_csv(folder / f"{number}.csv")
    monkeypatch.setattr(intake, "FILES_PER_BATCH", 2)
    written = intake._write_down
    calls = []

    def killed(*arguments: object) -> None:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        written(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(intake, "_write_down", killed)
        taken(lake, folder)
    assert lake.equities.bars.stored().rows == 4 * 30  # the second batch is stored, but not yet written down
    report = taken(lake, folder, NOW_US + DAY_US)
    assert [one.status for one in report.files] == [BEFORE] * 2 + ["stored"] * 4
    assert lake.equities.bars.stored().rows == 6 * 30
    assert lake.equities.bars.read(as_of="2024-11-01").height == 6 * 30  # nothing counts as revised


def test_a_correction_is_a_revision_and_a_repetition_none(lake: Lake, tmp_path: Path) -> None:
    taken(lake, csv(tmp_path, daily()))
    right = daily().with_columns(close=pl.when(pl.int_range(pl.len()) == 7).then(pl.col("open")).otherwise("close"))
    taken(lake, csv(tmp_path, right), NOW_US + DAY_US)
    day = daily()["ts"][7]
    read = lake.equities.bars.read
    old, new = daily()["close"][7], daily()["open"][7]
    assert read(start=day, end=day)["close"].to_list() == [new]
    assert read(start=day, end=day, as_of="2024-11-30")["close"].to_list() == [old]
    assert read(start=day, end=day, as_of="2024-12-02")["close"].to_list() == [new]
    assert read(as_of="2024-11-30").height == 60


def test_a_delivery_may_say_since_when_it_is_known(lake: Lake, tmp_path: Path) -> None:
    rows = daily().with_columns(known=pl.lit("2024-06-01T12:00:00Z"))
    assert taken(lake, csv(tmp_path, rows)).total("stored") == 60
    assert lake.equities.bars.read(as_of="2024-05-31").height == 0
    assert lake.equities.bars.read(as_of="2024-06-01").height == 60


def test_new_bars_are_judged_beside_those_that_are_stored(lake: Lake, tmp_path: Path) -> None:
    taken(lake, csv(tmp_path, daily()[:40]))
    rows = daily()[40:].with_columns(pl.col("volume") * 10)
    report = taken(lake, csv(tmp_path, rows), NOW_US + DAY_US)
    assert report.files[0].checks == {"unit-break": 20} and lake.equities.bars.stored().rows == 40
    held = quarantine(lake)
    release_rows(lake, held.rows(check="unit-break"), "ann", NOW_US + 2 * DAY_US, {"volume": 0.1})
    assert lake.equities.bars.read()["volume"].to_list() == daily()["volume"].to_list()
    decided = held.rows(state="released")
    assert decided.height == 20 and decided["decided_by"].unique().to_list() == ["ann"] and not held.rows().height
    again = ingest(lake, csv(tmp_path, rows), Terms(), NOW_US + 3 * DAY_US, again=True)
    assert again.total("quarantined") == 20 and not held.rows().height  # what was decided stays decided


def test_splits_that_are_known_tell_raw_from_adjusted(lake: Lake, tmp_path: Path) -> None:
    actions = tmp_path / "actions.csv"
    actions.write_text(f"ticker,ex_date,type,ratio\nAAA,{daily()['ts'][40]},split,4\n")
    assert ingest_table(lake, "equities.corporate_actions", actions) == 1
    report = taken(lake, csv(tmp_path, daily()), status="raw")
    assert report.files[0].checks == {"adjustment": 40}
    assert taken(lake, csv(tmp_path, daily()), status="split").total("stored") == 60


def test_rows_are_dropped_and_released_by_a_person(lake: Lake, tmp_path: Path) -> None:
    rows = daily().cast(pl.String)
    at = pl.int_range(pl.len())
    rows = rows.with_columns(
        high=pl.when(at == 3).then(pl.lit("1000")).otherwise("high"),
        close=pl.when(at == 5).then(pl.lit("x")).otherwise("close"),
        ts=pl.when(at == 9).then(pl.lit("2024-01-15")).otherwise("ts"),
    )
    taken(lake, csv(tmp_path, rows))
    held = quarantine(lake)
    assert held.rows()["checks"].to_list() == ["outlier", "type", "calendar"]
    outlier, text, holiday = held.rows()["id"].to_list()
    with pytest.raises(DataError, match="is no bar: close is missing"):
        release_rows(lake, held.chosen([outlier, text]), "ann", NOW_US)
    assert held.rows().height == 3 and lake.equities.bars.stored().rows == 57
    release_rows(lake, held.chosen([outlier]), "ann", NOW_US + 1)
    held.decide(held.chosen([holiday]), "dropped", "bob", NOW_US + 2)
    assert lake.equities.bars.read()["high"].max() == 1000.0 and held.rows()["id"].to_list() == [text]
    assert held.rows(state="dropped")["decided_by"].to_list() == ["bob"]
    with pytest.raises(UnknownNameError, match="id"):
        held.chosen([outlier])
    with pytest.raises(InputError, match="no column of prices"):
        release_rows(lake, held.chosen([text]), "ann", NOW_US, {"colour": 2.0})
    with pytest.raises(UnknownNameError, match="state"):
        held.rows(state="kept")


def test_intraday_and_other_markets(lake: Lake, tmp_path: Path) -> None:
    report = taken(lake, csv(tmp_path, minutes()), interval="1m")
    assert report.total("stored") == 390 == lake.equities.bars.stored("1m").rows
    coins = daily().with_columns(symbol=pl.lit("BTCUSD"), volume=pl.col("volume") / 7)
    report = taken(lake, csv(tmp_path, coins), market="crypto", calendar=None)
    assert report.total("stored") == 60 == lake.crypto.bars.stored().rows
    assert lake.crypto.bars.read()["volume"][0] == pytest.approx(coins["volume"][0])


def test_tables_about_shares(lake: Lake, tmp_path: Path) -> None:
    file = tmp_path / "sp500.csv"
    file.write_text("ticker,start_date,end_date\nA,2000-06-05,\nAABA,1999-12-08,2017-06-19\n")
    with pytest.raises(DataError, match="--universe"):
        ingest_table(lake, "equities.index_membership", file)
    assert ingest_table(lake, "equities.index_membership", file, "SP500") == 2
    assert lake.equities.known.stays("SP500", intake_now())["name"].to_list() == ["A", "AABA"]
    file.write_text("ticker,start_date,end_date\nA,2000-06-05,1999-01-01\n")
    with pytest.raises(DataError, match="ends before it begins"):
        ingest_table(lake, "equities.index_membership", file, "SP500")
    with pytest.raises(UnknownNameError, match="equities.symbol_history"):
        ingest_table(lake, "equities.history", file)
    history = tmp_path / "history.csv"
    history.write_text("security,ticker,first,last\nMETA,FB,2012-05-18,2022-06-08\nMETA,META,2022-06-09,\n")
    assert ingest_table(lake, "equities.symbol_history", history) == 2


def intake_now() -> object:
    from mts1b.datalake.pointintime import NOW

    return NOW


def test_what_is_no_file(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        taken(lake, tmp_path / "none.csv")
    (tmp_path / "x.xls").write_text("x")
    with pytest.raises(InputError, match="neither .csv"):
        taken(lake, tmp_path / "x.xls")
    same = tmp_path / "same"
    same.mkdir()
    for name in ("a.csv", "b.csv"):
        daily(10).write_csv(same / name)
    report = taken(lake, same)
    assert [one.status for one in report.files] == ["stored", PASSED_OVER] and report.files[1].notes == (
        "the same file as a.csv",
    )


ROW = st.tuples(st.integers(0, 15), st.sampled_from(["AAA", "BBB", "a b", ""]), st.floats(-5, 200), st.booleans())


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROW, max_size=25), cut=st.integers(0, 20), parquet=st.booleans())
def test_rows_in_are_rows_stored_and_rows_in_quarantine(
    tmp_path_factory: pytest.TempPathFactory, rows: list, cut: int, parquet: bool
) -> None:
    place = tmp_path_factory.mktemp("lake")
    lake = open_lake(place / "lake")
    made = [
        (symbol, str(date(2024, 1, 2) + timedelta(days=day)), price, price + spread, price - spread, price, 100.0)
        for day, symbol, price, spread in rows
    ]
    frame = pl.DataFrame(made, ["symbol", "ts", "open", "high", "low", "close", "volume"], orient="row")
    frame = (
        pl.concat([daily(20).select(frame.columns).cast(dict(frame.schema) if made else {}), frame])
        if made
        else daily(20)
    )
    file = place / ("bars.parquet" if parquet else "bars.csv")
    if parquet:
        frame.write_parquet(file)
    else:
        text = frame.write_csv()
        file.write_text(text[: len(text) - cut])
    report = taken(lake, file)
    assert report.total("rows") == (frame.height if parquet else len(file.read_text().splitlines()) - 1)
    assert_nothing_is_lost(lake, report)

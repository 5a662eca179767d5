"""A lake of LEAN's files: names through their tickers, prices through splits and dividends, all as of a moment."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest

from mts1b.datalake import Lake, open_lake
from mts1b.datalake.actions import SPLIT
from mts1b.datalake.intake.storing import store_actions, store_bars, store_history, store_members
from mts1b.datalake.intake.take import BARS
from mts1b.foundation.errors import InputError, UnknownNameError
from tests.lean_files import actions, history, raw_bars
from tests.unit.datalake.test_adjust import bars_of, cash_account
from tests.unit.datalake.test_adjust import read as reference

NOW_US = int(datetime(2021, 4, 1, tzinfo=UTC).timestamp()) * 10**6


def delivered(rows: pl.DataFrame, **columns: object) -> pl.DataFrame:
    """Rows in the columns that intake stores."""
    given = {"adjustment": "raw", "adj_close": None, "vwap": None, "known": None, **columns}
    kinds = {"adj_close": pl.Float64, "vwap": pl.Float64, "known": pl.Datetime("us", "UTC")}
    rows = rows.with_columns(
        pl.col("ts").cast(pl.Datetime("us", "UTC")),
        pl.col("volume").cast(pl.Float64),
        *(pl.lit(value, kinds.get(name)).alias(name) for name, value in given.items()),
    )
    return rows.select(BARS)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    made = open_lake(tmp_path_factory.mktemp("lean"))
    store_bars(made, "equities", "daily", delivered(raw_bars()), "lean", NOW_US)
    store_actions(made, actions().drop("known"), "lean")
    store_history(made, history().drop("known"), "lean")
    members = pl.DataFrame(
        {
            "universe": ["SP"] * 5,
            "symbol": ["AAPL", "GOOG", "AAA", "WM", "ZZZ"],
            "first": [date(2003, 1, 2), date(2006, 4, 3), date(2003, 1, 2), date(2009, 8, 5), date(2004, 1, 2)],
            "last": [None, None, date(2006, 1, 31), None, None],
        }
    )
    store_members(made, members, "made up")
    return made


@pytest.mark.parametrize("name", ["AAPL", "AIG", "USO", "WM", "GOOGL", "AAA.1"])
@pytest.mark.parametrize("adjust", ["split", "total", None])
def test_a_name_is_read_as_the_pure_functions_say(lake: Lake, name: str, adjust: str | None) -> None:
    wanted = reference(bars_of(name), adjust)
    found = lake.equities.bars.read([name], adjust=adjust)
    assert found["ts"].dt.date().to_list() == wanted["day"].to_list() and found["symbol"].unique().to_list() == [name]
    for field in ("open", "close", "volume"):
        assert np.allclose(found[field], wanted[field], rtol=1e-12)
    if adjust == "total":
        worth = cash_account(bars_of(name), name)
        returns = found["close"].to_numpy() / found["close"][0]
        assert np.abs(returns / (worth / worth[0]) - 1.0).max() < 1e-6


def test_a_part_is_read_as_it_is_in_the_whole(lake: Lake) -> None:
    for adjust in ("split", "total"):
        whole = lake.equities.bars.read(["AAPL", "WM"], adjust=adjust)
        part = lake.equities.bars.read(["AAPL", "WM"], start="2004-01-01", end="2014-06-01", adjust=adjust)
        inside = whole.filter(
            pl.col("ts").is_between(datetime(2004, 1, 1, tzinfo=UTC), datetime(2014, 6, 1, tzinfo=UTC))
        )
        assert part.drop("open", "high", "low", "close").equals(inside.drop("open", "high", "low", "close"))
        assert np.allclose(part["close"], inside["close"], rtol=1e-13)


def test_as_of_the_day_before_a_split_the_old_world_is_read(lake: Lake) -> None:
    read = lake.equities.bars.read
    old, new = (read(["AAPL"], adjust="split", as_of=day) for day in ("2014-06-06", "2014-06-09"))
    assert old["close"][-1] == 645.57 and old["ts"][-1].date() == date(2014, 6, 6)
    assert new["close"][-2] == pytest.approx(645.57 / 7)
    latest = read(["AAPL"], adjust="split", end="2014-06-06")
    assert latest["close"][-1] == pytest.approx(645.57 / 28)
    wanted = reference(bars_of("AAPL"), "total", date(2014, 6, 6))
    assert np.allclose(read(["AAPL"], adjust="total", as_of="2014-06-06")["close"], wanted["close"], rtol=1e-12)
    part = read(["AAPL"], end="2010-12-31", adjust="total", as_of="2014-06-06")
    assert np.allclose(part["close"], wanted["close"][: part.height], rtol=1e-12)


def test_tickers_as_of_a_day(lake: Lake) -> None:
    then = lake.equities.bars.read(["GOOG"], as_of="2010-01-01")
    now = lake.equities.bars.read(["GOOG"])
    assert then["ts"].min().date() == date(2004, 8, 19) and now["ts"].min().date() == date(2014, 3, 27)
    with pytest.raises(UnknownNameError, match="ZZZZ"):
        lake.equities.bars.read(["ZZZZ"])
    everything = lake.equities.bars.read(start="1998-01-01")
    assert everything.height == raw_bars().height
    assert {"WM", "WM.OTHER", "AAA.1", "GOOG", "GOOGL"} <= set(everything["symbol"].unique())


def test_arrays_and_panels_are_what_is_read(lake: Lake) -> None:
    for adjust in ("split", "total", None):
        panel = lake.equities.bars.panel(["AAPL", "WM"], start="2003-01-01", adjust=adjust)
        for column, name in enumerate(panel.symbols):
            read = lake.equities.bars.read([name], start="2003-01-01", adjust=adjust)
            own = panel.close[:, column]
            assert np.array_equal(own[np.isfinite(own)], read["close"].to_numpy())
        arrays = lake.equities.bars.arrays(["AAPL", "WM"], start="2003-01-01", columns=["close"], adjust=adjust)
        assert np.array_equal(arrays.fields["close"], panel.close, equal_nan=True)
        assert panel.lineage is not None and panel.lineage.adjust == adjust and not panel.lineage.undivided
    assert lake.equities.bars.scan(["WM"], adjust="total").collect().height == lake.equities.bars.read(["WM"]).height


def test_stretches_are_adjusted_as_panels_are(lake: Lake) -> None:
    for adjust in ("split", "total", None):
        names = ["AAPL", "AIG"]
        panel = lake.equities.bars.panel(names, adjust=adjust)
        close, volume = np.full(panel.close.T.shape, np.nan), np.full(panel.close.T.shape, np.nan)
        for stretch in lake.equities.bars.stretches(names, adjust=adjust):
            place = np.searchsorted(panel.ts_ns, stretch.ts_ns)
            for batch in stretch.batches:
                loaded = batch.load(["close", "volume"])
                close[np.ix_(batch.which, place)], volume[np.ix_(batch.which, place)] = (
                    loaded["close"],
                    loaded["volume"],
                )
        assert np.allclose(close.T, panel.close, rtol=1e-12, equal_nan=True)
        assert np.allclose(volume.T, panel.volume, rtol=1e-12, equal_nan=True)
    with pytest.raises(InputError, match="WM.*other tickers"):
        lake.equities.bars.stretches(["AAPL", "WM"])


def test_a_universe_has_no_survivorship(lake: Lake) -> None:
    panel = lake.equities.bars.panel(universe="SP", start="2005-01-01", end="2010-12-31")
    assert panel.symbols == ("AAA.1", "AAPL", "GOOGL", "WM")
    assert panel.lineage is not None and panel.lineage.universe == "SP" and panel.lineage.missing == ("ZZZ",)
    days = np.array(panel.ts_ns, dtype="datetime64[ns]").astype("datetime64[D]")
    has = {name: days[np.isfinite(panel.close[:, n])] for n, name in enumerate(panel.symbols)}
    assert has["AAA.1"].max() == np.datetime64("2006-01-31")  # it left, and was delisted a year later
    assert has["GOOGL"].min() == np.datetime64("2006-04-03") and has["WM"].min() == np.datetime64("2009-08-05")
    whole = lake.equities.bars.panel(["GOOGL"], start="2005-01-01", end="2010-12-31")
    inside = np.isfinite(panel.close[:, 2])
    assert np.array_equal(panel.close[inside, 2], whole.close[-inside.sum() :, 0])
    then = lake.equities.bars.panel(universe="SP", as_of="2005-06-30")
    assert then.symbols == ("AAA.1", "AAPL") and then.lineage.as_of == "2005-06-30"
    with pytest.raises(UnknownNameError, match="SP"):
        lake.equities.bars.panel(universe="NDX")
    with pytest.raises(InputError, match="no member has a bar"):
        lake.equities.bars.panel(universe="SP", end="1999-01-01")


def test_a_revised_bar_reads_as_it_was_known(tmp_path: object) -> None:
    lake = open_lake(str(tmp_path))
    first = delivered(raw_bars().filter(pl.col("symbol") == "AAPL", pl.col("ts") < date(1998, 3, 1)))
    store_bars(lake, "equities", "daily", first, "first", NOW_US)
    ts = datetime(1998, 2, 2, tzinfo=UTC)
    corrected = first.filter(pl.col("ts") == ts).with_columns(pl.col("close") + 0.25, pl.col("high") + 0.25)
    corrected_us = NOW_US + 10**9
    store_bars(lake, "equities", "daily", corrected, "correction", corrected_us)
    read = lake.equities.bars.read
    before, after = (datetime.fromtimestamp((corrected_us + d) / 1e6, UTC) for d in (-1, 0))
    old, new = (read(["AAPL"], as_of=moment).filter(pl.col("ts") == ts)["close"][0] for moment in (before, after))
    assert new == old + 0.25 and read(["AAPL"]).filter(pl.col("ts") == ts)["close"][0] == new
    assert read(["AAPL"]).height == first.height
    number = lake.equities.bars.stored().snapshot.number
    store_bars(lake, "equities", "daily", corrected, "again", corrected_us + 10**9)
    store_bars(lake, "equities", "daily", first.filter(pl.col("ts") != ts), "again", corrected_us + 10**9)
    assert lake.equities.bars.stored().snapshot.number == number


def test_an_action_that_is_revised_counts_as_it_was_known(tmp_path: object) -> None:
    lake = open_lake(str(tmp_path))
    store_bars(lake, "equities", "daily", delivered(raw_bars().filter(pl.col("symbol") == "AAPL")), "first", NOW_US)
    row = {"security": "AAPL", "ex": date(2014, 6, 9), "kind": SPLIT, "value": 5.0}
    store_actions(lake, pl.DataFrame([row]), "wrong")
    later = datetime(2014, 6, 20, tzinfo=UTC)
    store_actions(lake, pl.DataFrame([{**row, "value": 7.0, "known": later}]), "right")
    read = lake.equities.bars.read
    first = [read(["AAPL"], adjust="split", as_of=day)["close"][0] for day in ("2014-06-10", "2014-06-20")]
    assert first[0] == pytest.approx(16.25 / 5) and first[1] == pytest.approx(16.25 / 7)

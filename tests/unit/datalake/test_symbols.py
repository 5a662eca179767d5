"""Renames, tickers used again, delistings and universes, on LEAN's map files and made-up memberships."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest

from mts1b.datalake.membership import checked_members, inside, member_mask, stays
from mts1b.datalake.symbols import (
    HISTORY,
    checked_history,
    delistings,
    known_history,
    named,
    resolve,
    resolve_all,
    security_of,
)
from mts1b.foundation.errors import DataError, UnknownNameError
from tests.lean_files import history, raw_bars


def bars_of(*names: str, day: date | None = None) -> pl.DataFrame:
    return named(raw_bars(), resolve(history(), names, day), "ts").sort("symbol", "ts")


def us(*day: int) -> int:
    return int(datetime(*day, tzinfo=UTC).timestamp()) * 10**6  # type: ignore[misc]


def test_a_renamed_company_keeps_its_history_and_leaves_that_of_the_one_before() -> None:
    raw = raw_bars()
    waste = bars_of("WM")
    uw, wmi = (raw.filter(pl.col("symbol") == ticker) for ticker in ("UW", "WMI"))
    wm = raw.filter(pl.col("symbol") == "WM", pl.col("ts") > date(2009, 8, 4))
    assert waste.height == uw.height + wmi.height + wm.height
    assert waste["ts"].is_unique().all() and waste["symbol"].unique().to_list() == ["WM"]
    moves = (waste["close"].log().diff().abs()).drop_nulls()
    assert moves.sort(descending=True)[0] < 0.5  # no seam: 1999-07-07 it fell by a third, nothing else comes near
    seams = [waste["ts"].search_sorted(day) for day in (date(1998, 7, 17), date(2009, 8, 5))]
    assert all(moves[int(at) - 1] < 0.1 for at in seams)
    mutual = raw.filter(pl.col("symbol") == "WM", pl.col("ts") <= date(2009, 8, 4))
    everything = named(raw, resolve_all(history(), raw["symbol"].unique().to_list()), "ts")
    assert everything.filter(pl.col("symbol") == "WM.OTHER").sort("ts")["close"].equals(mutual.sort("ts")["close"])
    assert everything.height == raw.height


def test_a_ticker_means_whoever_has_it_on_the_day() -> None:
    assert security_of(history(), "GOOG") == "GOOG" and security_of(history(), "GOOG", date(2010, 1, 1)) == "GOOGL"
    assert bars_of("GOOG")["ts"].min() == date(2014, 3, 27)  # the class C shares, under GOOCV for a week
    assert bars_of("GOOG", day=date(2010, 1, 1))["ts"].min() == date(2004, 8, 19)
    assert bars_of("GOOGL")["ts"].min() == date(2004, 8, 19)
    assert security_of(history(), "UW") == "WM"  # nobody has it now: who had it last
    first, second = bars_of("AAA.1"), bars_of("AAA")
    assert first["ts"].max() == date(2007, 5, 18) and second["ts"].min() >= date(2020, 9, 9)
    assert security_of(history(), "FB", date(2001, 1, 1)) == "FB.1" and security_of(history(), "FB") == "FB"
    assert security_of(history(), "FB", date(2003, 3, 28)) == "FB.1" and security_of(history(), "NONE") is None
    assert resolve(history(), ["ZZZ"]).rows() == [("ZZZ", "ZZZ", None, None)]


def test_what_was_delisted_is_kept_and_told() -> None:
    gone = dict(delistings(history()).rows())
    assert gone["AAA.1"] == date(2007, 5, 18) and gone["TWX.1"] == date(2001, 1, 11) and "AAPL" not in gone
    assert bars_of("AAA.1").height > 1000


def test_a_rename_is_news_of_its_day() -> None:
    before, after = (known_history(history(), moment) for moment in (us(2009, 8, 1), us(2009, 8, 6)))
    assert "WM" not in before["ticker"].to_list() and "WM" in after["ticker"].to_list()
    assert before.filter(pl.col("security") == "WM")["last"].to_list() == [date(1998, 7, 16), None]
    assert resolve(before, ["WM"])["ticker"].to_list() == ["UW", "WMI"]
    assert "AAA.1" not in dict(delistings(known_history(history(), us(2007, 5, 1))).rows())
    assert known_history(history(), None).height == history().height


def test_history_that_breaks_a_rule_is_refused() -> None:
    row = {"security": "A", "ticker": "A", "first": date(2020, 1, 2), "last": date(2020, 1, 1)}
    with pytest.raises(DataError, match="ends before it begins"):
        checked_history(pl.DataFrame([row]), "x.csv")
    with pytest.raises(DataError, match="not a ticker"):
        checked_history(pl.DataFrame([{**row, "ticker": "a b"}]), "x.csv")
    assert checked_history(pl.DataFrame([{**row, "last": None}]), "x.csv").schema == HISTORY


MEMBERS = checked_members(
    pl.DataFrame(
        {
            "universe": ["SP"] * 4 + ["OTHER"],
            "symbol": ["GOOG", "AAA", "AAPL", "AAPL", "AIG"],
            "first": [date(2006, 4, 3), date(2003, 1, 2), date(2000, 1, 3), date(2010, 1, 4), date(2000, 1, 3)],
            "last": [None, date(2006, 1, 31), date(2005, 6, 30), None, None],
        }
    ),
    "members",
)


def test_a_universe_has_the_names_of_each_day() -> None:
    held = stays(MEMBERS, "SP", history())
    assert held["name"].to_list() == ["AAA.1", "AAPL", "AAPL", "GOOGL"]  # each by the ticker of its first day
    assert inside(held, date(2004, 1, 1), date(2004, 12, 31)) == ("AAA.1", "AAPL")
    assert inside(held, None, None) == ("AAA.1", "AAPL", "GOOGL")
    days = np.array([date(2005, 6, 30), date(2005, 7, 1), date(2006, 2, 1), date(2010, 1, 4)], dtype="datetime64[D]")
    mask = member_mask(held, days.astype(np.int64), ("AAPL", "AAA.1", "GOOGL", "AIG"))
    assert mask.tolist() == [
        [True, True, False, False],
        [False, True, False, False],
        [False, False, False, False],
        [True, False, True, False],
    ]
    with pytest.raises(UnknownNameError, match="OTHER, SP"):
        stays(MEMBERS, "XX", history())


def test_a_universe_as_of_then_knows_neither_who_will_join_nor_who_will_leave() -> None:
    then = stays(MEMBERS, "SP", history(), us(2005, 1, 3))
    assert then.rows() == [("AAA.1", date(2003, 1, 2), None), ("AAPL", date(2000, 1, 3), None)]

"""Splits and dividends applied on read, on LEAN's factor and map files."""

from __future__ import annotations

from datetime import date, datetime

import numpy as np
import polars as pl
import pytest

from mts1b.datalake.actions import DIVIDEND, SPLIT, in_force, known_actions
from mts1b.datalake.adjust import DAY, adjusted
from mts1b.datalake.schema import ADJ_CLOSE, STATUS
from mts1b.datalake.symbols import named, resolve
from mts1b.foundation.errors import DataError, InputError
from tests.lean_files import USA, actions, history, raw_bars

NAMES = ("AAPL", "AIG", "USO", "WM", "GOOGL", "AAA.1")


def bars_of(*names: str) -> pl.DataFrame:
    """Raw bars of securities, as `adjusted` takes them."""
    bars = raw_bars().with_columns(
        pl.col("ts").alias(DAY),
        pl.col("volume").cast(pl.Float64),
        pl.lit("raw").alias(STATUS),
        pl.lit(None, pl.Float64).alias(ADJ_CLOSE),
    )
    return named(bars, resolve(history(), names)).sort("symbol", "ts")


def read(bars: pl.DataFrame, adjust: str | None, as_of: date | None = None) -> pl.DataFrame:
    """The bars adjusted, as known at the end of a day."""
    moment = None if as_of is None else int(datetime(as_of.year, as_of.month, as_of.day, 23, 59).timestamp()) * 10**6
    seen = bars if as_of is None else bars.filter(pl.col(DAY) <= as_of)
    closes = seen.select("symbol", DAY, "close", STATUS, ADJ_CLOSE)
    every = known_actions(actions(), None)
    known = in_force(known_actions(actions(), moment), as_of)
    return adjusted(seen, adjust, known, every, closes, as_of is not None)  # type: ignore[arg-type]


def cash_account(bars: pl.DataFrame, security: str) -> np.ndarray:
    """Worth over time of one share: splits change the count, dividends are cash put back in at the day's close."""
    events = actions().filter(pl.col("security") == security).sort("ex")
    days, closes = bars[DAY].to_list(), bars["close"].to_list()
    shares, cash, worth = 1.0, 0.0, []
    todo = [row for row in events.iter_rows(named=True) if row["ex"] > days[0]]
    for day, close in zip(days, closes, strict=True):
        due = [row for row in todo if row["ex"] <= day]
        todo = todo[len(due) :]
        for row in sorted(due, key=lambda row: row["kind"] == DIVIDEND):
            if row["kind"] == SPLIT:
                shares *= row["value"]
            else:
                cash += shares * row["value"]
        shares, cash = shares + cash / close, 0.0
        worth.append(shares * close)
    return np.array(worth)


@pytest.mark.parametrize("name", NAMES)
def test_total_return_is_that_of_an_account_that_gets_its_dividends_as_cash(name: str) -> None:
    bars = bars_of(name)
    total = read(bars, "total")["close"].to_numpy()
    worth = cash_account(bars, name)
    assert np.abs(total / total[0] / (worth / worth[0]) - 1.0).max() < 1e-6
    returns = total[1:] / total[:-1]
    assert np.abs(returns / (worth[1:] / worth[:-1]) - 1.0).max() < 1e-6


@pytest.mark.parametrize("name", ["AAPL", "AIG", "USO"])
def test_an_adjusted_series_is_continuous_over_splits_and_reverse_splits(name: str) -> None:
    raw, split = bars_of(name), read(bars_of(name), "split")
    for event in actions().filter(pl.col("security") == name, pl.col("kind") == SPLIT).iter_rows(named=True):
        at = raw[DAY].search_sorted(event["ex"])
        jump = np.log(raw["close"][at] / raw["close"][at - 1] * event["value"])
        moved = np.log(split["close"][at] / split["close"][at - 1])
        assert abs(moved - jump) < 1e-12 and abs(moved) < 0.25  # AIG fell by a fifth that day
        assert split["volume"][at - 1] == pytest.approx(raw["volume"][at - 1] * _splits_after(name, event["ex"], True))
    assert split["close"][-1] == raw["close"][-1]
    for row in (split, read(raw, "total")):
        assert (row["high"] >= row["low"]).all()


def _splits_after(name: str, day: date, included: bool) -> float:
    events = actions().filter(pl.col("security") == name, pl.col("kind") == SPLIT)
    events = events.filter(pl.col("ex") >= day if included else pl.col("ex") > day)
    return float(np.prod(events["value"].to_numpy()))


def test_before_a_split_the_old_world_is_seen() -> None:
    bars = bars_of("AAPL")
    before, day = date(2014, 6, 6), date(2014, 6, 9)  # 7 for 1 on the 9th
    old, new = read(bars, "split", before), read(bars, "split", day)
    assert old["close"][-1] == 645.57 and new["close"][-1] == pytest.approx(93.7, abs=0.5)
    assert new.filter(pl.col(DAY) == before)["close"][0] == pytest.approx(645.57 / 7)
    latest = read(bars, "split")
    assert latest.filter(pl.col(DAY) == before)["close"][0] == pytest.approx(645.57 / 28)
    for adjust in ("split", "total"):
        then, now = read(bars, adjust, before)["close"].to_numpy(), read(bars, adjust)["close"].to_numpy()
        ratio = now[: len(then)] / then
        assert np.abs(ratio / ratio[0] - 1.0).max() < 1e-12  # returns are the same, only the level is of the day


def test_nothing_is_done_to_prices_as_delivered() -> None:
    bars = bars_of("AAPL", "AIG")
    assert read(bars, None).equals(bars)


def test_actions_of_the_files_give_leans_own_factors() -> None:
    for name, file in (("AAPL", "aapl"), ("AIG", "aig"), ("WM", "wm")):
        rows = [line.split(",") for line in (USA / "factor_files" / f"{file}.csv").read_text().splitlines()]
        closes = {row[0]: float(row[3]) for row in rows}
        events = actions().filter(pl.col("security") == name).sort("ex", "kind").rows(named=True)
        price = split = 1.0
        found = {}
        for event in reversed(events):
            last = max(day for day in closes if day < event["ex"].strftime("%Y%m%d"))
            if event["kind"] == SPLIT:
                split /= event["value"]
            else:
                ratio = next((e["value"] for e in events if e["ex"] == event["ex"] and e["kind"] == SPLIT), 1.0)
                price *= 1.0 - event["value"] * ratio / closes[last]
            found[last] = (price, split)
        for day, factor, shares, _ in rows:
            if day in found:
                assert found[day][0] == pytest.approx(float(factor), rel=1e-6)
                assert found[day][1] == pytest.approx(float(shares), rel=1e-5)  # the file's are rounded to that


def test_delivered_with_splits_in_them_they_come_out_the_same() -> None:
    raw = bars_of("AAPL", "USO", "AIG")
    as_vendors_do = read(raw, "split").with_columns(pl.lit("split").alias(STATUS))
    for adjust in ("split", "total"):
        for as_of in (None, date(2014, 6, 6), date(2020, 4, 27)):
            wanted, found = read(raw, adjust, as_of), read(as_vendors_do, adjust, as_of)
            for field in ("open", "close", "volume"):
                assert np.allclose(wanted[field], found[field], rtol=1e-12)


def test_an_adjusted_close_that_was_delivered_is_taken_as_it_is() -> None:
    raw = bars_of("AAPL", "AIG")
    total = read(raw, "total")["close"]
    delivered = raw.with_columns(total.alias(ADJ_CLOSE))
    split = read(delivered, "split").with_columns(pl.lit("split").alias(STATUS))
    for rows in (delivered, split):
        for as_of in (None, date(2014, 6, 6)):
            wanted, found = read(raw, "total", as_of), read(rows, "total", as_of)
            assert np.allclose(wanted["close"], found["close"], rtol=1e-9)
            assert np.allclose(wanted["volume"], found["volume"], rtol=1e-9)


def test_an_announced_dividend_is_not_paid_before_its_day_and_a_withdrawn_one_never() -> None:
    day = date(2021, 3, 1)
    told = pl.DataFrame(
        {
            "security": ["AAPL"] * 2,
            "ex": [day] * 2,
            "kind": [DIVIDEND] * 2,
            "value": [5.0, None],
            "known": [datetime(2021, 2, 1), datetime(2021, 2, 20)],
        }
    ).with_columns(pl.col("known").dt.replace_time_zone("UTC").cast(pl.Datetime("us", "UTC")))
    before, after = (int(datetime(2021, 2, d).timestamp()) * 10**6 for d in (10, 25))
    assert known_actions(told, before)["value"].to_list() == [5.0]
    assert known_actions(told, after).height == known_actions(told, None).height == 0
    bars = bars_of("AAPL").filter(pl.col(DAY) <= date(2021, 2, 10))
    closes = bars.select("symbol", DAY, "close", STATUS, ADJ_CLOSE)
    announced = known_actions(told, before)
    assert announced.height and in_force(announced, date(2021, 2, 10)).height == 0
    assert adjusted(bars, "total", announced, announced, closes).equals(bars)  # no bar has come after it


def test_what_cannot_be_had_is_refused() -> None:
    bars = bars_of("AAPL").with_columns(pl.lit("total").alias(STATUS))
    with pytest.raises(DataError, match="dividends are in these prices already"):
        read(bars, "split")
    assert read(bars, "total").equals(bars)
    with pytest.raises(InputError, match="no such adjustment"):
        read(bars, "dividends")

"""Replayed sessions: exact prices, missing bars left out, in order."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from mts1b.foundation.errors import DataError, InputError
from mts1b.marketdata.replay import Replay, on_tick
from mts1b.strategy.panel import Panel

DAY = 86_400 * 10**9


def panel(open_: list[list[float]], close: list[list[float]]) -> Panel:
    opens, closes = np.array(open_), np.array(close)
    return Panel(
        ts_ns=np.arange(len(opens), dtype=np.int64) * DAY,
        symbols=tuple("ABC"[: opens.shape[1]]),
        open=opens,
        high=np.fmax(opens, closes),
        low=np.fmin(opens, closes),
        close=closes,
        volume=np.full_like(opens, 1000.0),
    )


NAN = float("nan")


def test_sessions_carry_exact_prices_and_the_same_floats() -> None:
    given = panel([[5.8911, 0.0001], [NAN, 723.7104]], [[6.055, 0.0002], [NAN, 999999.9999]])
    first, second = Replay(given).sessions()
    assert first.opens == {"A": Decimal("5.8911"), "B": Decimal("0.0001")}
    assert first.closes["A"] == Decimal("6.0550") and str(first.closes["A"]) == "6.0550"
    assert second.opens == {"B": Decimal("723.7104")} and second.closes == {"B": Decimal("999999.9999")}
    assert (first.index, second.index, second.ts_ns) == (0, 1, DAY)
    assert np.shares_memory(first.close, given.close) and first.close.tolist() == [6.055, 0.0002]


def test_bars_are_exact_and_skip_the_missing() -> None:
    second = list(Replay(panel([[1.0, 2.0], [NAN, 2.5]], [[1.5, 2.0], [NAN, 2.25]])).sessions())[1]
    (bar,) = second.bars()
    assert (bar.symbol, bar.open, bar.high, bar.low, bar.close) == (
        "B",
        Decimal("2.5"),
        Decimal("2.5"),
        Decimal("2.25"),
        Decimal("2.25"),
    )
    assert bar.volume == 1000 and bar.ts_ns == DAY


def test_a_part_of_the_panel() -> None:
    replay = Replay(panel([[1.0]] * 5, [[1.0]] * 5), start=2, stop=4)
    assert len(replay) == 2 and [session.index for session in replay.sessions()] == [2, 3]


@pytest.mark.parametrize(("start", "stop"), [(-1, None), (3, 3), (4, 2), (0, 6), (5, None)])
def test_rows_the_panel_lacks(start: int, stop: int | None) -> None:
    with pytest.raises(InputError, match="rows 0..5"):
        Replay(panel([[1.0]] * 5, [[1.0]] * 5), start, stop)


@pytest.mark.parametrize(
    ("open_", "close", "words"),
    [
        (1.00005, 1.0, "not a positive multiple"),
        (-1.0, 1.0, "not a positive multiple"),
        (0.0, 1.0, "not a positive multiple"),
        (float("inf"), 1.0, "not a positive multiple"),
        (NAN, 1.0, "only one of open and close"),
    ],
)
def test_prices_the_order_path_cannot_hold(open_: float, close: float, words: str) -> None:
    with pytest.raises(DataError, match=words):
        list(Replay(panel([[open_]], [[close]])).sessions())


def test_vwap_comes_along_where_the_panel_has_it() -> None:
    given = panel([[1.0, 2.0]], [[1.5, 2.0]])
    assert next(Replay(given).sessions()).rows.shape == (5, 2)
    weighed = next(Replay(replace(given, vwap=np.array([[1.25, NAN]]))).sessions())
    np.testing.assert_array_equal(weighed.rows[5], [1.25, NAN])


def test_adjusted_prices_are_rounded_for_an_exchange() -> None:
    given = panel([[1.00004, NAN]], [[2.00006, 2.0]])
    rounded = on_tick(given)
    assert rounded.open[0, 0] == 1.0 and np.isnan(rounded.open[0, 1]) and rounded.close[0].tolist() == [2.0001, 2.0]
    assert rounded.volume is given.volume

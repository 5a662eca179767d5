"""Statistics of round trips, by hand and against sums merged."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mts1b.quantkit.sizing import kelly_bet
from mts1b.quantkit.trades import TRADE_METRICS, TRADE_SUMS, merge_trades, no_trades, trade_statistics, trade_sums

PROFITS = st.lists(st.floats(-0.5, 0.5).map(lambda x: round(x, 5)), max_size=12)


def test_by_hand() -> None:
    found = trade_statistics(trade_sums(np.array([0.10, -0.05, 0.02, -0.03]), np.array([4.0, 2.0, 8.0, 2.0])))
    expected = {
        "closed_trades": 4,
        "win_rate": 0.5,
        "profit_factor": 0.12 / 0.08,
        "expectancy": 0.01,
        "average_win": 0.06,
        "average_loss": 0.04,
        "best_trade": 0.10,
        "worst_trade": -0.05,
        "trade_bars": 4.0,
        "sqn": 2.0 * 0.01 / np.std([0.10, -0.05, 0.02, -0.03], ddof=1),
        "kelly": kelly_bet(0.5, 1.5),
    }
    assert tuple(found) == TRADE_METRICS
    assert {name: float(value) for name, value in found.items()} == pytest.approx(expected)


def test_no_trade_is_all_zeros() -> None:
    found = trade_statistics(no_trades(3))
    assert all((values == 0.0).all() for values in found.values())


def test_only_losers() -> None:
    found = trade_statistics(trade_sums(np.array([-0.02, -0.01]), np.array([1.0, 1.0])))
    assert float(found["best_trade"]) == -0.01 and float(found["win_rate"]) == 0.0 == float(found["profit_factor"])


@given(PROFITS, PROFITS)
def test_sums_merge(first, second) -> None:
    parts = [trade_sums(np.array(part), np.ones(len(part))) for part in (first, second)]
    together = trade_sums(np.array(first + second), np.ones(len(first + second)))
    merged = merge_trades(np.stack(parts, axis=1))
    assert len(merged) == len(TRADE_SUMS)
    for one, other in zip(merged, together, strict=True):
        assert one == other or math.isclose(one, other, rel_tol=1e-12, abs_tol=1e-12)

"""Costs of an order by hand, and the trailing liquidity against a window cut out bar by bar."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mts1b.backtester import Account
from mts1b.backtester.costs import commission, liquidity, most_shares, slippage
from tests.unit.backtester.accounts import NAN
from tests.unit.strategy.panels import made_panel


def row(*values):
    return np.array(values, dtype=float)


COMMISSIONS = [
    ({"commission_bps": 10.0}, 100, 50.0, 5.0),
    ({"commission_bps": 0.0, "commission_per_share": 0.005}, 100, 50.0, 0.5),
    ({"commission_bps": 0.0, "commission_per_share": 0.005, "commission_min": 1.0}, 100, 50.0, 1.0),
    ({"commission_bps": 10.0, "commission_per_share": 0.005, "commission_min": 1.0}, 100, 50.0, 5.5),
    ({"commission_min": 1.0}, 0, 50.0, 0.0),
]


@pytest.mark.parametrize(("options", "shares", "price", "money"), COMMISSIONS)
def test_commission(options, shares, price, money):
    assert commission(row(shares), row(price), Account(**options)) == pytest.approx([money])


def test_slippage_is_the_half_spread_and_the_square_root_law():
    account = Account(half_spread_bps=5.0, impact=0.8)
    known = slippage(row(100, 400, 0), row(10, 10, 10), account, row(1e4, 1e4, 1e4), row(0.02, 0.02, 0.02))
    assert known == pytest.approx([5e-4 + 0.8 * 0.02 * 0.1, 5e-4 + 0.8 * 0.02 * 0.2, 5e-4])
    unknown = slippage(row(100, 100, 100), row(10, 10, 10), account, row(NAN, 0, 1e4), row(0.02, 0.02, NAN))
    assert unknown == pytest.approx([5e-4] * 3)
    most = slippage(row(1e9), row(10), Account(impact=100.0), row(1.0), row(0.5))
    assert most.tolist() == [1.0], "a sale is never below a price of 0"


def test_most_shares_of_a_bar():
    assert most_shares(row(1005, NAN), Account(volume_share_max=0.1)).tolist() == [100, 0]
    assert most_shares(row(1005), Account(volume_share_max=0.1, whole_shares=False)).tolist() == [100.5]
    assert most_shares(row(0, NAN), Account()).tolist() == [math.inf, math.inf]


@pytest.mark.parametrize("gaps", [0.0, 0.3])
@pytest.mark.parametrize("bars", [2, 7])
def test_liquidity_is_the_mean_over_the_last_rows(gaps, bars):
    panel = made_panel(40, 3, gaps)
    found = liquidity(panel, bars)
    for s in range(3):
        last, squares = NAN, []
        for t in range(40):
            price = panel.close[t, s]
            squares.append(math.log(price / last) ** 2)
            last = price if math.isfinite(price) else last
            window = [x for x in squares[max(0, t - bars + 1) :] if math.isfinite(x)]
            volumes = [x for x in panel.volume[max(0, t - bars + 1) : t + 1, s] if math.isfinite(x)]
            assert found.volatility[t, s] == pytest.approx(
                math.sqrt(np.mean(window)) if window else NAN, nan_ok=True, rel=1e-6
            )
            assert found.volume[t, s] == pytest.approx(np.mean(volumes) if volumes else NAN, nan_ok=True)

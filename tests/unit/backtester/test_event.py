"""The event engine by hand: when a decision is filled, at what price, for how many shares, and what that leaves."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mts1b.backtester import METRICS, Account, backtest, metrics_of, statistics
from mts1b.backtester.account import FILLS
from mts1b.foundation.errors import DataError, InputError, MtsError
from mts1b.strategy import close, get_strategy, param, sma, strategy, where
from tests.unit.backtester.accounts import DAY_NS, FREE, NAN, bars_of, run
from tests.unit.strategy.panels import made_panel

INF = math.inf


def test_a_decision_is_filled_at_the_next_open_in_whole_shares():
    found = run([1, 1, 0, 0], bars_of([100, 300, 320, 350], [100, 310, 340, 360]), band=INF)
    assert found.quantity[:, 0].tolist() == [0, 3, 3, 0]
    assert found.equity.tolist() == [1000, 1030, 1120, 1150]
    assert found.cash.tolist() == [1000, 100, 100, 1150]
    trades = found.trades
    assert (trades.entry_bar[0], trades.exit_bar[0], trades.quantity[0]) == (1, 3, 3)
    assert (trades.entry_price[0], trades.exit_price[0], trades.pnl[0]) == (300, 350, 150)
    assert trades.returns[0] == pytest.approx(50 / 300)


def test_fractions_of_shares_when_asked():
    found = run([1, 1, 1], bars_of([100, 300, 300], [100, 300, 300]), whole_shares=False)
    assert found.quantity[:, 0] == pytest.approx([0, 10 / 3, 10 / 3])


def test_the_fill_at_the_close_is_on_the_bar_that_decides():
    found = run([0, 1, 0], bars_of([9, 9, 9], [10, 20, 25]), fill="close")
    assert found.quantity[:, 0].tolist() == [0, 50, 0]
    assert found.equity.tolist() == [1000, 1000, 1250]


def test_the_vwap_of_bars_without_one_is_the_typical_price():
    found = run([1, 1], bars_of([10, 10], [10, 40]), fill="vwap")
    assert found.fills.price.tolist() == [(40 + 10 + 40) / 3]


def test_a_reversal_is_one_order_and_two_trades():
    found = run([1, -1, -1], bars_of([10, 10, 20], [10, 10, 20]), band=INF)
    assert found.fills.quantity.tolist() == [100, -200]
    assert found.quantity[:, 0].tolist() == [0, 100, -100]
    assert found.trades.quantity.tolist() == [100, -100]
    assert found.trades.is_open.tolist() == [False, True]
    assert found.trades.pnl.tolist() == [1000, 0]


@pytest.mark.parametrize(("band", "shares"), [(0.0, 37), (0.16, 37), (0.17, 50), (INF, 50)])
def test_weights_drift_until_they_leave_the_band(band, shares):
    """Half in at 10. At 20 the 50 shares are 1000 of 1500: a sixth away from the half, which is 37 shares."""
    found = run([0.5, 0.5, 0.5], bars_of([10, 10, 20], [10, 10, 20]), band=band)
    assert found.quantity[:, 0].tolist() == [0, 50, shares]


def test_a_changed_target_is_traded_whatever_the_band():
    found = run([0.5, 0.01, 0, -0.01, 0], bars_of([10] * 5, [10] * 5), band=INF)
    assert found.quantity[:, 0].tolist() == [0, 50, 1, 0, -1]


def test_nothing_trades_in_a_gap_and_the_mark_stays():
    found = run([1, 0, 0, 0, 0], bars_of([10, 10, NAN, 15, 15], [10, 12, NAN, 15, 15]))
    assert found.quantity[:, 0].tolist() == [0, 100, 100, 100, 0]
    assert found.equity.tolist() == [1000, 1200, 1200, 1500, 1500]


def test_a_delisted_name_is_closed_at_its_last_price_at_no_cost():
    bars = bars_of([[10, 10]] * 5, [[10, 10], [10, 12], [10, NAN], [10, NAN], [10, NAN]])
    found = run([[0, 1]] * 5, bars, delist_after_bars=2, commission_min=5.0)
    assert found.quantity[:, 1].tolist() == [0, 50, 50, 0, 0]
    assert found.fills.price.tolist() == [10, 12] and found.fills.costs.tolist() == [5, 0]
    assert found.trades.pnl.tolist() == [100 - 5] and found.equity[-1] == 1095


def test_names_share_the_cash_or_keep_sleeves():
    """A doubles. With one purse half of the gain goes to B at the next open; with sleeves B is left with its own."""
    opens = [[10, 10], [10, 10], [20, 10]]
    shared = run([[1, 1]] * 3, bars_of(opens, opens))
    sleeves = run([[1, 1]] * 3, bars_of(opens, opens), capital_by="sleeve")
    assert shared.quantity.tolist() == [[0, 0], [50, 50], [37, 75]]
    assert sleeves.quantity.tolist() == [[0, 0], [50, 50], [50, 50]]
    assert shared.equity.tolist() == sleeves.equity.tolist() == [1000, 1000, 1500]


def test_long_only_takes_no_short():
    assert not run([-1, -1], bars_of([10, 10], [10, 10]), direction="long").quantity.any()


def test_orders_that_open_are_cut_in_proportion_to_the_leverage():
    opens = [[10, 10], [10, 10]]
    assert run([[2, 1]] * 2, bars_of(opens, opens)).quantity[1].tolist() == [66, 33]
    assert run([[2, 1]] * 2, bars_of(opens, opens), leverage_max=1.5).quantity[1].tolist() == [100, 50]
    free = run([[2, 1]] * 2, bars_of(opens, opens), leverage_max=INF)
    assert free.quantity[1].tolist() == [100, 50] and free.cash[1] == -500


def test_an_order_that_cannot_be_paid_with_its_commission_is_smaller_or_lapses():
    found = run([1, 1], bars_of([10, 10], [10, 10]), commission_bps=100.0)
    assert found.quantity[1, 0] == 99 and found.cash[1] == pytest.approx(1000 - 990 * 1.01)
    found = run([1, 1], bars_of([10, 10], [10, 10]), commission_min=2000.0)
    assert found.quantity[1, 0] == 0 and found.cash[1] == 1000


def test_what_the_volume_did_not_allow_is_tried_again_whatever_the_band():
    bars = bars_of([10] * 5, [10] * 5, volume=[[300], [300], [300], [300], [300]])
    found = run([1, 1, 1, 1, 1], bars, volume_share_max=0.1, band=INF)
    assert found.quantity[:, 0].tolist() == [0, 30, 60, 90, 100]


def test_interest_and_borrow_fees_are_of_the_time_that_passed():
    year = bars_of([10, 10, 10], [10, 10, 10], spacing_ns=365 * 86_400 * 10**9)
    idle = run([0, 0, 0], year, cash_rate=0.1)
    assert idle.equity == pytest.approx([1000, 1100, 1210])
    short = run([-0.5, -0.5, -0.5], year, borrow_rate=0.1, band=INF)
    assert short.equity.tolist() == [1000, 1000, 950] and short.borrow_paid == 50


def test_a_ruined_account_is_closed_and_stays_out():
    found = run([-1, -1, -1, -1], bars_of([10, 10, 30, 10], [10, 10, 30, 10]))
    assert found.equity.tolist() == [1000, 1000, -1000, -1000]
    assert found.quantity[:, 0].tolist() == [0, -100, 0, 0]
    assert found.returns.tolist() == [0, 0, -2, 0]


def test_all_is_closed_at_the_last_fill_when_asked():
    found = run([1, 1, 1], bars_of([10, 10, 12], [10, 11, 99]), close_at_end=True)
    assert found.equity[-1] == 1200 and not found.trades.is_open.any()
    gone = run([1, 1, 1], bars_of([10, 10, NAN], [10, 11, NAN]), close_at_end=True)
    assert gone.equity[-1] == 1100 and not gone.trades.is_open.any() and gone.quantity[-1, 0] == 0


def test_impact_needs_a_known_volatility():
    """Flat closes have volatility 0; then a jump of log(1.1) over one of two returns known at the decision."""
    bars = bars_of([100, 100, 110, 110], [100, 110, 110, 110], volume=400.0)
    found = run([0, 0, 0.5, 0.5], bars, impact=1.0, impact_bars=2, band=INF)
    volatility = math.log(1.1) / math.sqrt(2)
    assert found.fills.quantity.tolist() == [4]
    assert found.fills.costs[0] == pytest.approx(440 * volatility * math.sqrt(4 / 400))


BAD_OPTIONS = [
    ({"capital": 0.0}, "capital=0.0"),
    ({"capital": NAN}, "capital=nan"),
    ({"band": -0.1}, "band=-0.1"),
    ({"leverage_max": 0}, "leverage_max=0"),
    ({"commission_bps": -1.0}, "give a cost, not a rebate"),
    ({"commission_min": INF}, "commission_min=inf"),
    ({"volume_share_max": 0.0}, "volume_share_max=0.0"),
    ({"borrow_rate": -0.01}, "borrow_rate=-0.01"),
    ({"impact_bars": 2.5}, "must be a whole number"),
    ({"impact_bars": 1}, "impact_bars=1"),
    ({"delist_after_bars": 0}, "delist_after_bars=0"),
    ({"fill": "next_opne"}, "did you mean: next_open"),
    ({"direction": "short"}, "known: both, long"),
    ({"capital_by": "sleeves"}, "did you mean: sleeve"),
]


@pytest.mark.parametrize(("options", "words"), BAD_OPTIONS, ids=[words for _, words in BAD_OPTIONS])
def test_bad_options_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        Account(**options)


@strategy
def divided(size=param(0.0, 10.0)):
    """Divides by 0 at its lower bound."""
    return where(close > sma(close, 5), 1.0 / size, 0.0)


def spoiled(value, field="close"):
    panel = made_panel(60, 2)
    getattr(panel, field)[17, 1] = value
    return panel


SMA = get_strategy("sma_cross")
REFUSED = {
    "window longer than history": (SMA, {"slow": 100}, made_panel(60, 2), "slow=100.0: window longer"),
    "out of range": (SMA, {"fast": 300}, made_panel(60, 2), "fast=300.0: out of range 5 to 255"),
    "unknown parameter": (SMA, {"fst": 5}, made_panel(60, 2), "did you mean: fast"),
    "no bars": (SMA, {}, made_panel(60, 2).rows(0, 0), "holds no bars"),
    "negative price": (SMA, {}, spoiled(-1.0), "close of N1 at bar 17"),
    "infinite price": (SMA, {}, spoiled(np.inf, "open"), "must be a finite number above 0"),
    "negative volume": (SMA, {}, spoiled(-5.0, "volume"), "volume of N1 at bar 17"),
    "infinite weights": (divided, {"size": 0.0}, made_panel(60, 2), "not finite"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused(case):
    subject, values, panel, words = REFUSED[case]
    with pytest.raises((InputError, DataError)) as caught:
        backtest(subject, values, panel)
    assert words in str(caught.value)


def test_options_as_json():
    assert FREE.to_dict()["volume_share_max"] is None and FREE.to_dict()["capital"] == 1000.0
    assert issubclass(InputError, MtsError)


def test_the_metrics_are_those_of_a_sweep():
    panel = made_panel(60, 2)
    assert tuple(metrics_of(backtest(SMA, {}, panel))) == METRICS


@pytest.mark.parametrize("fill", FILLS)
def test_one_bar_and_a_name_without_bars(fill):
    hold = get_strategy("buy_and_hold")
    one = backtest(hold, {}, bars_of([10], [11]), Account(fill=fill))
    assert one.equity[0] == pytest.approx(1e6) and statistics(one)["total_return"] == pytest.approx(0.0)
    half = backtest(hold, {}, bars_of([[10, NAN]] * 4, [[11, NAN]] * 4), Account(fill=fill))
    assert not half.quantity[:, 1].any() and np.isfinite(half.equity).all()
    assert all(math.isfinite(value) for value in (statistics(half) | metrics_of(half)).values())


@pytest.mark.parametrize("spacing_ns", [10**9, DAY_NS // 7, DAY_NS])
def test_statistics_of_any_spacing_are_numbers(spacing_ns):
    prices = [10, 11, 12, 9, 14, 13, 15, 16, 11]
    found = statistics(run([1] * 9, bars_of(prices, prices, spacing_ns=spacing_ns)))
    assert all(math.isfinite(value) for value in found.values())
    assert found["equity_final"] == run([1] * 9, bars_of(prices, prices)).equity[-1]


def test_a_run_without_a_trade():
    found = statistics(run([0, 0, 0], bars_of([10, 20, 30], [10, 20, 30])))
    assert found.pop("equity_final") == found.pop("equity_peak") == 1000
    assert set(found.values()) == {0.0}

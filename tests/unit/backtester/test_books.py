"""Exact books: those of the event engine, by hand where vectorbt's rules are meant, and blind to the future."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mts1b.backtester import METRICS, NAME_METRICS, Account, Execution, backtest, evaluate, merged, metrics_of, targets
from mts1b.backtester.books import books
from mts1b.backtester.offered import offered
from mts1b.foundation.errors import InputError
from mts1b.quantkit.trades import TRADE_SUMS
from mts1b.strategy import get_strategy
from tests.unit.backtester.accounts import NAN, bars_of, daily
from tests.unit.backtester.executions import EXECUTIONS, OPTIONS, PANELS, assert_same_until, with_vwap
from tests.unit.strategy.panels import changed_after, made_panel, small_values

SUBJECTS = ("sma_cross", "xs_momentum", "rsi_reversion", "trailing_breakout", "adx_trend")


def kept(rows, panel, **options):
    execution = Execution(**{"commission_bps": 0.0, "half_spread_bps": 0.0, "capital": 1000.0, **options})
    return books(np.array(rows, dtype=float).reshape(len(panel.ts_ns), -1), offered(panel, execution), execution)


def both(name, panel, execution):
    """The reference's row and the event engine's run."""
    subject = get_strategy(name)
    values = small_values(subject)
    columns = {key: [value] for key, value in values.items()}
    row = evaluate(subject, columns, panel, execution, "reference", keep_returns=True)
    return row, backtest(subject, values, panel, Account.matching(execution))


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("name", SUBJECTS)
def test_the_row_is_that_of_the_account(name, option):
    """In a portfolio to rounding. In sleeves to 1e-5: the two engines cut an order that costs too much by steps."""
    execution = Execution(**OPTIONS[option])
    row, run = both(name, with_vwap(made_panel(120, 4, 0.1, seed=5)), execution)
    close = 1e-5 if execution.capital_by == "sleeve" else 1e-11
    np.testing.assert_allclose(row.returns[0], run.returns, atol=close)
    for metric, value in metrics_of(run).items():
        scale = max(1.0, abs(value))
        assert row.metrics[metric][0] == pytest.approx(value, abs=100.0 * close * scale), metric
    assert run.changed.sum() > 0


@settings(max_examples=40, deadline=None)
@given(name=st.sampled_from(SUBJECTS), execution=EXECUTIONS, panel=PANELS)
def test_any_portfolio_is_an_account(name, execution, panel):
    row, run = both(name, panel, replace(execution, capital_by="portfolio", band=max(execution.band, 0.01)))
    np.testing.assert_allclose(row.returns[0], run.returns, atol=1e-9)
    assert row.metrics["trades"][0] == run.changed.sum()
    assert row.metrics["costs"][0] == pytest.approx(run.costs.sum(), abs=1e-8)


@settings(max_examples=80, deadline=None)
@given(execution=EXECUTIONS, panel=PANELS, data=st.data())
def test_nothing_after_a_bar_changes_anything_up_to_it(execution, panel, data):
    """Whatever is decided: trades, holdings, costs and equity up to bar t are those of any other future, to the bit."""
    bar = data.draw(st.integers(0, len(panel.ts_ns) - 2))
    rows = np.random.default_rng(3).normal(0.0, 0.7, panel.close.shape).round()
    other = rows.copy()
    other[bar + 1 :] *= -1.0
    futures = (panel, changed_after(panel, bar))
    one, two = (books(r, offered(p, execution), execution) for r, p in zip((rows, other), futures, strict=True))
    assert_same_until(one, two, bar)


def simulated(decided, open_, close, fee):
    """A plain simulation of one column: all in and all out at the next open; what vectorbt's from_signals does."""
    cash, shares, entries, equity = 1.0, 0.0, 0, []
    for t in range(len(open_)):
        if t and decided[t - 1] and not shares:
            shares, cash, entries = cash / (1.0 + fee) / open_[t], 0.0, entries + 1
        elif t and not decided[t - 1] and shares:
            cash, shares = shares * open_[t] * (1.0 - fee), 0.0
        equity.append(cash + shares * close[t])
    returns = np.array(equity) / np.array([1.0, *equity[:-1]]) - 1.0
    return equity[-1] - 1.0, returns.mean() / returns.std(ddof=1) * math.sqrt(252.0), entries


def test_a_sleeve_is_a_column_of_its_own():
    panel = made_panel(400, 6, seed=2)
    subject, execution = get_strategy("sma_cross"), Execution(7.0, 3.0, capital_by="sleeve")
    grid = {"fast": np.array([5.0, 8.0, 12.0]), "slow": np.array([20.0, 30.0, 60.0])}
    found = evaluate(subject, grid, panel, execution, "reference", by_name=True).by_name
    assert found.shape == (len(NAME_METRICS), 3, 6)
    for c in range(3):
        wanted = targets(subject, {name: column[c] for name, column in grid.items()}, panel)
        for s in range(6):
            total, sharpe, entries = simulated(wanted[:, s], panel.open[:, s], panel.close[:, s], 1e-3)
            changes = np.count_nonzero(np.diff(wanted[:-1, s], prepend=0.0))
            assert found[:, c, s] == pytest.approx([total, sharpe, changes, entries], rel=1e-9, abs=1e-12)


def test_a_weight_drifts_with_price_and_nav_until_it_leaves_the_band():
    """Half in at 10. At 20 the 50 shares are 1000 of 1500: a sixth away from the half; at 12, 600 of 1100."""
    bars = bars_of([10, 10, 12, 20, 20], [10, 10, 12, 20, 20])
    held = {band: kept([0.5] * 5, bars, band=band).quantity[:, 0] for band in (0.0, 0.1, math.inf)}
    assert held[0.0].tolist() == pytest.approx([0, 50, 550 / 12, 110 / 3, 110 / 3])
    assert held[0.1].tolist() == [0, 50, 50, 37.5, 37.5]
    assert held[math.inf].tolist() == [0, 50, 50, 50, 50]
    assert kept([0.5, 0.5, 0.6, 0.6, 0.6], bars, band=math.inf).quantity[:, 0].tolist() == [0, 50, 50, 45, 45]


def test_the_close_fills_at_once_and_the_vwap_in_the_next_bar():
    bars = replace(bars_of([9, 11, 13], [10, 12, 14]), vwap=np.array([[9.5], [11.5], [NAN]]))
    assert kept([1, 1, 1], bars, fill="close").quantity[:, 0].tolist() == [100, 100, 100]
    assert kept([1, 1, 1], bars, fill="vwap").quantity[:, 0].tolist() == pytest.approx([0, 1000 / 11.5, 1000 / 11.5])
    assert kept([1, 0, 0], bars, fill="vwap").quantity[2, 0] > 0.0, "a bar without a vwap is not traded"


def test_what_the_volume_did_not_allow_is_tried_again():
    bars = bars_of([10] * 5, [10] * 5, volume=[[200], [200], [0], [2000], [2000]])
    found = kept([1] * 5, bars, volume_share_max=0.1, band=math.inf)
    assert found.quantity[:, 0].tolist() == [0, 20, 20, 100, 100]
    assert found.traded.tolist() == pytest.approx([0, 0.2, 0, 0.8, 0])


def test_interest_fees_and_the_minimum():
    year = bars_of([10, 10, 10], [10, 10, 10], spacing_ns=365 * 86_400 * 10**9)
    idle = kept([0, 0, 0], year, cash_rate=0.05)
    assert idle.returns == pytest.approx([0, 0.05, 0.05])
    short = kept([-0.5] * 3, year, borrow_rate=0.1, band=math.inf)
    assert short.returns == pytest.approx([0, 0, -0.05])
    least = kept([0.5, 0.5, 0.0], bars_of([10] * 3, [10] * 3), commission_min=2.0, band=0.01)
    assert least.paid == pytest.approx([0, 0.002, 0])


def test_a_name_that_ends_is_closed_at_its_last_price():
    bars = bars_of([[10, 10]] * 5, [[10, 10], [10, 12], [10, NAN], [10, NAN], [10, NAN]])
    found = kept([[0, 1]] * 5, bars, delist_after_bars=2)
    assert found.quantity[:, 1].tolist() == [0, 50, 50, 0, 0]
    assert found.gross.tolist() == pytest.approx([0, 600 / 1100, 600 / 1100, 0, 0])
    assert found.trades[0].tolist() == pytest.approx([3.0, 0.2, 2.0])
    assert kept([[0, 1]] * 5, bars).quantity[-1, 1] == 50, "without the option it keeps its last value"


@pytest.mark.parametrize("options", [{}, {"commission_bps": 10.0}, {"commission_min": 1.0}], ids=str)
def test_rounding_is_no_reason_to_trade(options):
    """All in, so that nothing drifts: one order, whatever the rounding of what is left."""
    panel = made_panel(40, 1)
    found = kept(np.ones((40, 1)), panel, capital_by="sleeve", **options)
    assert np.flatnonzero(found.traded).tolist() == [1]


def test_a_sleeve_is_never_moved_to_another_name():
    """One name doubles, the other halves; both are in with all they have."""
    bars = bars_of([[10, 10], [10, 10], [20, 5]], [[10, 10], [10, 10], [20, 5]])
    assert kept([[1, 1]] * 3, bars, capital_by="sleeve").quantity[-1].tolist() == [50, 50]
    assert kept([[1, 1]] * 3, bars).quantity[-1].tolist() == [31.25, 125]


@pytest.mark.parametrize("name", SUBJECTS)
@pytest.mark.parametrize("option", ["band", "sleeve, all"])
def test_blocks_and_periods_join_to_the_whole(name, option):
    panel = with_vwap(made_panel(100, 3, 0.1))
    subject, execution = get_strategy(name), Execution(**OPTIONS[option])
    values = {key: [value] for key, value in small_values(subject).items()}
    found = evaluate(subject, values, panel, execution, "reference", edges=[0, 33, 60, 100], trades=True)
    for metric, value in merged(found.blocks, np.array([33, 27, 40]), [0, 1, 2], execution.cost).items():
        np.testing.assert_allclose(value, found.metrics[metric], rtol=1e-9, atol=1e-12, err_msg=metric)
    part = evaluate(subject, values, panel, execution, "reference", periods=[(33, 60)]).metrics
    for metric, value in merged(found.blocks, np.array([33, 27, 40]), [1], execution.cost).items():
        np.testing.assert_allclose(value, part[metric][0], rtol=1e-9, atol=1e-12, err_msg=metric)


def test_profits_of_trades_are_those_of_the_account():
    """One name, ended without a position: each trade's profit as a fraction of NAV before each of its bars."""
    panel = daily(made_panel(60, 1))
    lasting = np.array(panel.close)
    lasting[-5:] = lasting[-6] * np.linspace(0.9, 0.5, 5)[:, None]
    panel = replace(panel, close=lasting)
    asked = {"fast": [5.0], "slow": [20.0]}, panel, Execution(band=0.1), "reference", None, True, None, True
    found = evaluate(get_strategy("sma_cross"), *asked)
    sums = dict(zip(TRADE_SUMS, found.trades[:, 0, 0], strict=True))
    assert sums["closed"] > 0
    assert sums["gained"] - sums["lost"] == pytest.approx(float(found.returns.sum()), abs=1e-12)


BAD = {
    "fill": "noon",
    "capital_by": "both",
    "capital": 0.0,
    "long_only": 1,
    "band": -0.1,
    "commission_per_share": -0.01,
    "commission_min": -1.0,
    "impact": NAN,
    "impact_bars": 2.5,
    "volume_share_max": 0.0,
    "borrow_rate": -0.1,
    "cash_rate": math.inf,
    "delist_after_bars": 0,
}


@pytest.mark.parametrize("field", BAD)
def test_an_option_out_of_its_range_is_refused(field):
    with pytest.raises(InputError, match=field):
        Execution(**{field: BAD[field]})


def test_bars_without_a_vwap_are_refused():
    with pytest.raises(InputError, match="no vwap"):
        evaluate(get_strategy("sma_cross"), {}, made_panel(150, 2), Execution(fill="vwap"), "reference")


def test_results_by_name_need_sleeves():
    with pytest.raises(InputError, match="capital_by"):
        evaluate(get_strategy("sma_cross"), {}, made_panel(150, 2), Execution(), "reference", by_name=True)


def test_only_the_two_costs_are_plain():
    assert Execution(3.0, 4.0, capital=5.0, impact_bars=7).is_plain
    assert not any(Execution(**options).is_plain for options in OPTIONS.values())
    keys = {Execution(**options).key for options in (*OPTIONS.values(), {})}
    assert len(keys) == len(OPTIONS) + 1
    assert set(METRICS) == set(evaluate(get_strategy("buy_and_hold"), {}, made_panel(9, 1), Execution()).metrics)

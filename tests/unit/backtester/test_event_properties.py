"""Properties of the event engine: it sees no future, it loses nothing, and the sweep is its first order."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mts1b.backtester import Account, Execution, backtest, evaluate, metrics_of, statistics, targets
from mts1b.backtester.account import CAPITALS, DIRECTIONS, FILLS
from mts1b.backtester.execution import moves
from mts1b.strategy import close, get_strategy, sma, strategy
from mts1b.strategy.library import names
from tests.unit.backtester.accounts import daily
from tests.unit.strategy.panels import changed_after, made_panel, small_values


@strategy
def swings():
    """Long and short, never of the same size."""
    return 4.0 * (close / sma(close, 8) - 1.0)


SUBJECTS = st.sampled_from([*(get_strategy(name) for name in names()), swings])
ACCOUNTS = st.builds(
    Account,
    capital=st.sampled_from([3_000.0, 1e6]),
    fill=st.sampled_from(FILLS),
    whole_shares=st.booleans(),
    direction=st.sampled_from(DIRECTIONS),
    capital_by=st.sampled_from(CAPITALS),
    band=st.sampled_from([0.0, 0.1, math.inf]),
    leverage_max=st.sampled_from([0.5, 1.0, 3.0, math.inf]),
    commission_per_share=st.sampled_from([0.0, 0.005]),
    commission_min=st.sampled_from([0.0, 1.0]),
    impact=st.sampled_from([0.0, 1.0]),
    volume_share_max=st.sampled_from([0.05, math.inf]),
    borrow_rate=st.sampled_from([0.0, 0.5]),
    cash_rate=st.sampled_from([0.0, 0.05]),
    delist_after_bars=st.sampled_from([1, 3, 20]),
    close_at_end=st.booleans(),
)
PANELS = st.builds(
    lambda bars, size, gaps, seed: daily(made_panel(bars, size, gaps, seed)),
    st.integers(45, 70),
    st.sampled_from([1, 3]),
    st.sampled_from([0.0, 0.25]),
    st.integers(0, 99),
)


@settings(max_examples=60, deadline=None)
@given(subject=SUBJECTS, account=ACCOUNTS, panel=PANELS, data=st.data())
def test_nothing_after_a_bar_changes_anything_up_to_it(subject, account, panel, data):
    """Decisions, fills, equity, cash and shares up to bar t are those of any other future, to the bit."""
    values = small_values(subject)
    bar = data.draw(st.integers(0, len(panel.ts_ns) - 2))
    one = backtest(subject, values, panel, account, keep_fills=True)
    other = backtest(subject, values, changed_after(panel, bar), account, keep_fills=True)
    for name in ("targets", "quantity", "equity", "cash", "traded", "costs", "changed", "in_market"):
        np.testing.assert_array_equal(getattr(one, name)[: bar + 1], getattr(other, name)[: bar + 1], err_msg=name)
    early, others = (run.fills.bar <= bar for run in (one, other))
    for name in ("bar", "name", "quantity", "price", "costs"):
        np.testing.assert_array_equal(getattr(one.fills, name)[early], getattr(other.fills, name)[others], err_msg=name)


@settings(max_examples=60, deadline=None)
@given(subject=SUBJECTS, account=ACCOUNTS, panel=PANELS)
def test_cash_and_shares_are_conserved(subject, account, panel):
    """Every share and every unit of money is in a fill, a cost, a fee or interest, in the total and trade by trade."""
    run = backtest(subject, small_values(subject), panel, account, keep_fills=True)
    fills, scale = run.fills, 1e-9 * account.capital * max(1.0, np.abs(run.equity).max() / account.capital)
    held = np.zeros(run.quantity.shape)
    np.add.at(held, (fills.bar, fills.name), fills.quantity)
    np.testing.assert_allclose(held.cumsum(axis=0), run.quantity, rtol=1e-9, atol=1e-7)
    spent = (fills.quantity * fills.price + fills.costs).sum()
    assert run.cash[-1] == pytest.approx(account.capital - spent + run.interest_earned - run.borrow_paid, abs=scale)
    assert run.costs_paid == pytest.approx(fills.costs.sum(), abs=scale)
    gained = run.trades.pnl.sum() + run.interest_earned - run.borrow_paid
    assert run.equity[-1] - account.capital == pytest.approx(gained, abs=scale)
    if account.whole_shares:
        np.testing.assert_array_equal(run.quantity, np.rint(run.quantity))
    if account.direction == "long":
        assert (run.quantity >= 0.0).all()
        if account.leverage_max <= 1.0:
            assert (run.cash >= -scale).all(), "a long-only, unlevered account never borrows"
    if account.volume_share_max < 1.0:
        bought = fills.costs > 0.0  # all but the settlement of names that ended
        most = account.volume_share_max * panel.volume[fills.bar, fills.name][bought]
        assert (np.abs(fills.quantity[bought]) <= most + 1e-9).all()
    assert all(math.isfinite(value) for value in (statistics(run) | metrics_of(run)).values())


@settings(max_examples=20, deadline=None)
@given(subject=SUBJECTS, panel=PANELS)
def test_decisions_are_those_of_the_whole_table(subject, panel):
    values = small_values(subject)
    np.testing.assert_array_equal(backtest(subject, values, panel).targets, targets(subject, values, panel))


@pytest.mark.parametrize("name", names())
@settings(max_examples=8, deadline=None)
@given(panel=PANELS)
def test_returns_equal_the_ladders_to_second_order(name, panel):
    """The ladder adds what the books multiply. They differ by products of two moves since a name could be traded.

    With m the largest move of any name between or within these sessions, c the cost of a trade and G the gross weight:
    no return differs by more than 4 (1 + G)**2 (m + c)**2; the trades are the same ones.
    """
    subject = get_strategy(name)
    values = small_values(subject)
    costs = Execution(commission_bps=1.0, half_spread_bps=2.0)
    row = evaluate(subject, {k: [v] for k, v in values.items()}, panel, costs, "reference", keep_returns=True)
    run = backtest(subject, values, panel, Account.matching(costs))
    moved = moves(panel)
    largest = np.maximum(np.abs(moved.overnight), np.abs(moved.intraday))
    largest = largest_since_trading(largest, np.isfinite(panel.close.T)) + costs.cost
    gross = np.abs(targets(subject, values, panel)).max()
    assert (np.abs(run.returns - row.returns[0]) <= 4.0 * (1.0 + gross) ** 2 * largest**2 + 1e-12).all()
    assert metrics_of(run)["trades"] == row.metrics["trades"][0]


def largest_since_trading(moved, priced):
    """The largest move of any name since the last bar before this one at which it could be traded, (bars,).

    A name is traded in a bar when it has a price there and had one in the bar before, to decide on.
    """
    since, largest = moved.copy(), moved.copy()
    for bar in range(1, moved.shape[1]):
        largest[:, bar] = np.maximum(moved[:, bar], since[:, bar - 1])
        traded = priced[:, bar] & priced[:, bar - 1]
        since[:, bar] = np.where(traded, moved[:, bar], largest[:, bar])
    return largest.max(axis=0)


@pytest.mark.parametrize("name", names())
def test_the_ladders_row_is_the_limit_of_small_moves(name):
    """Moves and costs a thousand times smaller: every metric that is a return agrees to 1e-7."""
    subject, panel = get_strategy(name), daily(made_panel(120, 4, seed=3))
    values = small_values(subject)
    small = 1e-3
    fields = {field: np.exp(small * np.log(getattr(panel, field) / 50.0)) for field in ("open", "high", "low", "close")}
    panel = replace(panel, **fields)
    costs = Execution(commission_bps=1.0 * small, half_spread_bps=2.0 * small)
    row = evaluate(subject, {k: [v] for k, v in values.items()}, panel, costs, "reference").metrics
    found = metrics_of(backtest(subject, values, panel, Account.matching(costs)))
    gross = 1.0 + np.abs(targets(subject, values, panel)).max()
    for metric in ("total_return", "max_drawdown", "costs"):
        assert found[metric] == pytest.approx(row[metric][0], abs=1e-7 * gross**2), metric
    assert found["trades"] == row["trades"][0]
    assert found["exposure"] == pytest.approx(row["exposure"][0], rel=1e-2)

"""Every backend equals the readable one; bad input is refused."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mts1b.backtester import METRICS, Execution, backtest, evaluate, merged, targets
from mts1b.foundation.errors import DataError, InputError, MtsError
from mts1b.quantkit.trades import TRADE_SUMS
from mts1b.strategy import close, get_strategy, param, sma, strategy, where
from tests.unit.strategy.panels import made_panel

GAPS = st.sampled_from([0.0, 0.25])
COSTS = Execution(commission_bps=2.0, half_spread_bps=3.0)


def small_grid(subject, points: int = 3) -> dict[str, np.ndarray]:
    """A row-major grid of a few values of each parameter, all warm within 40 bars."""
    axes = []
    for bound in subject.params.values():
        high = min(bound.high, bound.low + 14) if bound.kind == "int" else bound.high
        values = np.linspace(bound.low, high, points)
        axes.append(np.unique(np.rint(values)) if bound.kind == "int" else values)
    table = np.array(list(itertools.product(*axes)))
    return {name: table[:, i] for i, name in enumerate(subject.params)}


def assert_equal(one, other):
    for name in METRICS:
        scale = max(1.0, float(np.abs(other.metrics[name]).max()))
        np.testing.assert_allclose(one.metrics[name], other.metrics[name], rtol=1e-10, atol=1e-10 * scale, err_msg=name)
    np.testing.assert_allclose(one.returns, other.returns, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", ["sma_cross", "rsi_reversion", "trailing_breakout", "xs_momentum", "vol_target_cross"])
@settings(max_examples=6, deadline=None)
@given(
    bars=st.integers(45, 110),
    size=st.sampled_from([1, 2, 5]),
    gaps=st.sampled_from([0.0, 0.25]),
    seed=st.integers(0, 99),
)
def test_cpu_equals_reference(name, bars, size, gaps, seed):
    """Wide grids of a few; every strategy and node on small ones in `test_kernels_equal_reference.py`."""
    subject, panel = get_strategy(name), made_panel(bars, size, gaps, seed)
    grid = small_grid(subject)
    periods = [(0, bars), (7, 31), (30, bars)]
    asked = {"periods": periods, "keep_returns": True, "edges": [0, 9, 31, bars], "trades": True}
    one, other = (evaluate(subject, grid, panel, COSTS, backend, **asked) for backend in ("cpu", "reference"))
    assert_equal(one, other)
    for found, expected in ((one.blocks, other.blocks), (one.trades, other.trades)):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_cpu_equals_reference_over_several_groups_and_blocks():
    """More names than one group, more values than one block, a filtered grid, repeated combinations."""
    subject, panel = get_strategy("sma_cross"), made_panel(120, 40, gaps=0.02)
    pairs = np.array([(f, s) for f in (5, 9, 60) for s in range(20, 91) if f < s] + [(5, 20), (9, 30)], dtype=float)
    grid = {"fast": pairs[:, 0], "slow": pairs[:, 1]}
    assert_equal(*(evaluate(subject, grid, panel, COSTS, backend, None, True) for backend in ("cpu", "reference")))


def test_the_order_of_combinations_does_not_matter():
    subject, panel = get_strategy("vol_target_trend"), made_panel(80, 3)
    grid = small_grid(subject)
    shuffle = np.random.default_rng(3).permutation(len(grid["target"]))
    straight = evaluate(subject, grid, panel, COSTS)
    mixed = evaluate(subject, {name: values[shuffle] for name, values in grid.items()}, panel, COSTS)
    for name in METRICS:
        np.testing.assert_array_equal(mixed.metrics[name], straight.metrics[name][shuffle])


def test_a_combination_alone_equals_itself_in_a_grid():
    subject, panel = get_strategy("sma_cross"), made_panel(90, 4)
    grid = {"fast": np.repeat(np.arange(5.0, 9.0), 30), "slow": np.tile(np.arange(20.0, 50.0), 4)}
    whole = evaluate(subject, grid, panel, COSTS)
    alone = evaluate(subject, {"fast": grid["fast"][77:78], "slow": grid["slow"][77:78]}, panel, COSTS)
    for name in METRICS:
        assert alone.metrics[name][0] == pytest.approx(whole.metrics[name][77], rel=1e-12, abs=1e-14)


def test_no_parameters_is_one_combination():
    result = evaluate(get_strategy("buy_and_hold"), {}, made_panel(30, 2), COSTS)
    assert result.combinations == 1


def test_parameters_left_out_take_their_default():
    subject, panel = get_strategy("rsi_reversion"), made_panel(60, 2)
    short = evaluate(subject, {"entry": [30.0, 40.0]}, panel, COSTS)
    full = evaluate(subject, {"window": [14, 14], "entry": [30.0, 40.0], "leave": [55.0, 55.0]}, panel, COSTS)
    np.testing.assert_array_equal(short.metrics["sharpe"], full.metrics["sharpe"])


def test_periods_give_what_the_cut_history_gives_for_returns():
    subject, panel = get_strategy("sma_cross"), made_panel(100, 2)
    grid = {"fast": [5.0, 8.0], "slow": [20.0, 20.0]}
    cut = evaluate(subject, grid, panel, COSTS, periods=[(10, 90)])
    whole = evaluate(subject, grid, panel, COSTS, keep_returns=True)
    np.testing.assert_allclose(
        cut.metrics["total_return"][0], np.prod(1 + whole.returns[:, 10:90], axis=1) - 1, rtol=1e-12
    )
    assert cut.metrics["sharpe"].shape == (1, 2)


@strategy
def leveraged(size=param(0.0, 10.0)):
    """Divides by 0 at its lower bound."""
    return where(close > sma(close, 5), 1.0 / size, 0.0)


def spoiled(value, field="close"):
    panel = made_panel(60, 2)
    getattr(panel, field)[17, 1] = value
    return panel


SMA = get_strategy("sma_cross")
REFUSED = {
    "window longer than history": (
        SMA,
        {"slow": [20, 100]},
        made_panel(60, 2),
        "slow=100.0: window longer",
    ),
    "value out of range": (SMA, {"fast": [5, 300]}, made_panel(60, 2), "fast=300.0: out of range 5 to 255"),
    "unknown parameter": (SMA, {"fst": [5]}, made_panel(60, 2), "did you mean: fast"),
    "columns of two lengths": (SMA, {"fast": [5, 6], "slow": [30]}, made_panel(60, 2), "same number of values"),
    "no combinations": (SMA, {"fast": [], "slow": []}, made_panel(60, 2), "same number of values"),
    "negative price": (SMA, {}, spoiled(-1.0), "close of N1 at bar 17"),
    "price of 0": (SMA, {}, spoiled(0.0, "open"), "open of N1 at bar 17"),
    "infinite price": (SMA, {}, spoiled(np.inf), "must be a finite number above 0"),
    "negative volume": (SMA, {}, spoiled(-5.0, "volume"), "volume of N1 at bar 17"),
    "infinite weights": (leveraged, {"size": [1.0, 0.0]}, made_panel(60, 2), "not finite"),
}


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused(case, backend):
    subject, combos, panel, words = REFUSED[case]
    with pytest.raises((InputError, DataError)) as caught:
        evaluate(subject, combos, panel, COSTS, backend)
    assert words in str(caught.value)


@pytest.mark.parametrize("case", ["infinite weights", "negative price", "infinite price", "window longer than history"])
def test_bad_input_is_refused_wherever_decisions_are_taken(case):
    """One combination, as whole-table targets and in the event engine."""
    subject, combos, panel, words = REFUSED[case]
    values = {name: column[-1] for name, column in combos.items()}
    for take in (targets, backtest):
        with pytest.raises((InputError, DataError)) as caught:
            take(subject, values, panel)
        assert words in str(caught.value)


@pytest.mark.parametrize("periods", [[(5, 5)], [(-1, 9)], [(0, 61)], []])
def test_wrong_periods_are_refused(periods):
    with pytest.raises(InputError, match="periods"):
        evaluate(SMA, {}, made_panel(60, 2), COSTS, periods=periods)


def test_an_unknown_backend_is_refused():
    with pytest.raises(MtsError, match="known: cpu, gpu, reference"):
        evaluate(SMA, {}, made_panel(60, 2), COSTS, backend="abacus")


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_blocks_join_to_what_the_whole_says(backend):
    panel = made_panel(100, 3, gaps=0.1)
    found = evaluate(SMA, {"fast": [5.0, 8.0], "slow": [20.0, 30.0]}, panel, COSTS, backend, edges=[0, 33, 60, 100])
    joined = merged(found.blocks, np.array([33, 27, 40]), [0, 1, 2], COSTS.cost)
    for name, values in joined.items():
        np.testing.assert_allclose(values, found.metrics[name], rtol=1e-9, atol=1e-12, err_msg=name)
    assert found.trades is None


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("cost", [0.0, 3.0])
def test_profits_of_trades_add_up_to_the_returns(backend, cost):
    """A strategy that ends without a position: its trades earned what the portfolio earned."""
    panel = made_panel(60, 2)
    lasting = np.array(panel.close)
    lasting[-5:] = lasting[-6] * np.linspace(0.9, 0.5, 5)[:, None]  # everything is sold in the end
    panel = replace(panel, close=lasting)
    found = evaluate(SMA, {"fast": [5.0], "slow": [20.0]}, panel, Execution(cost, 0.0), backend, None, True, None, True)
    names = dict(zip(TRADE_SUMS, found.trades[:, 0, 0], strict=True))
    assert names["gained"] - names["lost"] == pytest.approx(float(found.returns.sum()) * 2, abs=1e-12)
    assert 0 < names["won"] <= names["closed"] and names["worst"] <= names["best"]


@pytest.mark.parametrize("edges", [[0], [0, 5, 5], [-1, 9], [0, 61], [9, 0]])
def test_wrong_edges_are_refused(edges):
    with pytest.raises(InputError, match="edges"):
        evaluate(SMA, {}, made_panel(60, 2), COSTS, edges=edges)

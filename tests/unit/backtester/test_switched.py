"""Strategies that switch: the float32 kernel decides as float64 does and adds up to what the reference does."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings

from mts1b.backtester import METRICS, Execution, cpu, evaluate, reference
from mts1b.backtester.switched import switched_of
from mts1b.foundation.errors import UnknownNameError
from mts1b.strategy import close, get_strategy, lag, param, sma, strategy, where
from mts1b.strategy.language import highest, latch, momentum, rsi, std, top_n, universe_size, vol_target
from mts1b.strategy.library import names
from mts1b.strategy.program import program_of
from tests.unit.strategy.panels import changed_after, made_panel, rough_panels

COSTS = Execution(commission_bps=2.0, half_spread_bps=3.0)


@strategy
def crossed(a=param(1, 30), b=param(1, 30)):
    """Either side may be the one with lanes."""
    return where(sma(close, a) >= sma(close, b), 0.7, 0.0)


@strategy
def crossed_below(a=param(1, 30), b=param(1, 30)):
    """The comparison the other way round, a weight that moves."""
    return where(sma(close, a) < sma(close, b), vol_target(close, 0.2, 5), 0.0)


@strategy
def at_most(level=param(-0.5, 0.5), b=param(1, 30)):
    """A number on one side, arithmetic on the other, a weight that is not always known."""
    return where(level >= momentum(close, b) * 2.0, close / lag(close, 3) - 0.5, 0.0)


@strategy
def band(b=param(2, 30), width=param(0.1, 3.0)):
    """One side reads parameters of both kinds."""
    return where(close > sma(close, b) + width * std(close, b), 1.0, 0.0)


@strategy
def target_of_parameters(target=param(0.05, 0.5), a=param(2, 30), b=param(2, 30)):
    """The weight depends on a parameter that varies between jobs."""
    return where(sma(close, a) > highest(close, b) * 0.97, vol_target(close, target, 5), 0.0)


@strategy
def latched(b=param(2, 30), width=param(0.1, 3.0)):
    """A latch; on leaving, all lanes agree."""
    return latch(close < sma(close, b) - width * std(close, b), close > sma(close, b))


@strategy
def latched_by_numbers(window=param(2, 20), entry=param(5.0, 50.0), leave=param(40.0, 95.0)):
    """Numbers against a series on both sides of a latch, worth a part of the whole that depends on the lane."""
    strength = rsi(close, window)
    return latch(strength < entry, strength >= leave) * 20.0 / leave


@strategy
def all_of_them(a=param(2, 30), b=param(2, 30)):
    """Several conditions at once, one of them without parameters."""
    return where((sma(close, a) > sma(close, b)) & (close > lag(close, 1)) & (close > lag(close, a)), 0.5, 0.0)


@strategy
def best(window=param(2, 20), top=param(1, 3)):
    """Places among the names, in shares of their number."""
    return top_n(momentum(close, window), top) * universe_size() / top


LIBRARY = (
    *("sma_cross", "adx_trend", "breakout", "keltner_breakout", "rsi_reversion", "rsi_pullback", "double_seven"),
    *("bollinger_reversion", "stochastic_reversion", "xs_momentum", "high_52_week", "low_volatility", "buy_and_hold"),
)

SWITCHING = {
    found.name: found
    for found in (
        *(get_strategy(name) for name in LIBRARY),
        *(crossed, crossed_below, at_most, band, target_of_parameters),
        *(latched, latched_by_numbers, all_of_them, best),
    )
}


def few(subject):
    axes = []
    for bound in subject.params.values():
        span = (1.0, 2.0, 3.0, 7.0) if bound.kind == "int" else (0.1, 0.5, 0.9)
        axes.append(
            [
                min(bound.high, bound.low + step)
                if bound.kind == "int"
                else bound.low + step * (bound.high - bound.low)
                for step in span
            ]
        )
    table = np.array(list(itertools.product(*axes)))
    return {name: table[:, i] for i, name in enumerate(subject.params)}


@pytest.mark.parametrize("name", SWITCHING)
def test_the_form_is_found(name):
    subject = SWITCHING[name]
    assert switched_of(program_of(subject.root), subject.root, few(subject), 3) is not None


@pytest.mark.parametrize("name", [name for name in names() if name not in LIBRARY])
def test_the_form_is_not_forced(name):
    subject = get_strategy(name)
    columns = subject.check_combos(few(subject))
    assert switched_of(program_of(subject.root), subject.root, columns, 3) is None


VOLATILITY_MIN = 0.02
"""A year, from which on a ratio to it is more than the last digit of a few bars."""


def assert_close(got, expected):
    """To what float32 sums of a few bars and names can give."""
    np.testing.assert_allclose(got.returns, expected.returns, rtol=1e-5, atol=2e-7)
    for metric in METRICS:
        scale = max(1.0, float(np.abs(expected.metrics[metric]).max()))
        exact = metric in ("trades", "max_drawdown_bars")
        if metric in ("skew", "kurtosis", "sortino", "calmar", "max_drawdown_bars"):
            continue  # ratios of what is checked; on a few flat bars they magnify the last digit
        if metric == "sharpe":
            moved = expected.metrics["volatility"] > VOLATILITY_MIN
            found, wanted = got.metrics[metric][moved], expected.metrics[metric][moved]
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-3, err_msg=metric)
            continue
        np.testing.assert_allclose(
            got.metrics[metric],
            expected.metrics[metric],
            rtol=0 if exact else 1e-5,
            atol=0 if exact else 1e-5 * scale,
            err_msg=metric,
        )


@pytest.mark.parametrize("name", SWITCHING)
@settings(max_examples=15, deadline=None)
@given(panel=rough_panels())
def test_the_kernel_equals_the_reference(name, panel):
    subject = SWITCHING[name]
    bars = len(panel.ts_ns)
    columns = subject.check_combos(few(subject))
    periods = [(0, bars), (bars // 2, bars)]
    edges = np.unique([0, bars // 3, bars])
    got = cpu.evaluate(subject, columns, panel, COSTS, periods, True, edges, precision="single")
    expected = reference.evaluate(subject, columns, panel, COSTS, periods, True, edges)
    assert_close(got, expected)
    np.testing.assert_allclose(got.blocks[-3:], expected.blocks[-3:], rtol=1e-5, atol=1e-6)


def test_a_wide_grid_over_many_names():
    """Several blocks and batches of jobs, more names than go together: the decisions of the float64 kernel."""
    panel = made_panel(320, 70, gaps=0.02)
    fast, slow = np.meshgrid(np.arange(5.0, 60.0), np.arange(20.0, 290.0), indexing="ij")
    grid = {"fast": fast.ravel(), "slow": slow.ravel()}
    subject = get_strategy("sma_cross")
    got, expected = (evaluate(subject, grid, panel, COSTS, precision=precision) for precision in ("single", "double"))
    np.testing.assert_array_equal(got.metrics["trades"], expected.metrics["trades"])
    np.testing.assert_allclose(got.metrics["exposure"], expected.metrics["exposure"], rtol=1e-12)
    for metric in ("total_return", "volatility", "turnover", "sharpe"):
        np.testing.assert_allclose(got.metrics[metric], expected.metrics[metric], rtol=1e-5, atol=1e-6, err_msg=metric)


@pytest.mark.parametrize("name", SWITCHING)
def test_no_return_knows_what_comes_after(name):
    subject = SWITCHING[name]
    panel = made_panel(70, 3, gaps=0.1)
    columns = subject.check_combos(few(subject))
    before = cpu.evaluate(subject, columns, panel, COSTS, [(0, 70)], True, precision="single").returns
    for bar in (20, 50, 68):
        changed = changed_after(panel, bar)
        after = cpu.evaluate(subject, columns, changed, COSTS, [(0, 70)], True, precision="single").returns
        np.testing.assert_array_equal(after[:, : bar + 1], before[:, : bar + 1])


def test_unknown_precision():
    panel = made_panel(30, 1)
    with pytest.raises(UnknownNameError, match="precision"):
        evaluate(get_strategy("buy_and_hold"), {}, panel, COSTS, precision="half")

"""The kernel of exact books equals the readable ones: every option, every kind of strategy, on the worst panels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from mts1b.backtester import METRICS, Execution, book_cpu, evaluate, reference
from mts1b.foundation.errors import InputError
from mts1b.strategy import get_strategy
from tests.unit.backtester.executions import EXECUTIONS, OPTIONS, ROUGH_PANELS, with_vwap
from tests.unit.backtester.test_backends import leveraged
from tests.unit.backtester.test_kernels_equal_reference import few
from tests.unit.strategy.panels import changed_after, made_panel
from tests.unit.strategy.subjects import SUBJECTS

CHOSEN = ("xs_momentum", "trailing_breakout", "sizing")
"""One across names, one with a memory of its own, one of any weight."""


def blurred(metrics):
    """The relative error that rounding of returns makes of ratios: where they are interest and hardly anything else, it
    is a part of what they spread, lose and fall."""
    by_spread = 1e-12 / np.maximum(metrics["volatility"], 1e-12)
    with np.errstate(divide="ignore", invalid="ignore"):
        losses = np.abs(metrics["volatility"] * metrics["sharpe"] / metrics["sortino"])
    losses = np.where(np.isfinite(losses), losses, 1.0)
    by_losses, by_fall = 1e-13 / np.maximum(losses, 1e-12), 1e-13 / np.maximum(-metrics["max_drawdown"], 1e-12)
    return dict.fromkeys(("sharpe", "skew", "kurtosis"), by_spread) | {"sortino": by_losses, "calmar": by_fall}


def assert_equal(one, other):
    """To 1e-10, and to what rounding makes of ratios."""
    blur = blurred(other.metrics)
    for metric in METRICS:
        found, wanted = one.metrics[metric], other.metrics[metric]
        limit = 1e-10 * np.abs(wanted) + 1e-10 * max(1.0, float(np.abs(wanted).max()))
        limit += blur.get(metric, 0.0) * (1.0 + np.abs(wanted))
        assert (np.abs(found - wanted) <= limit).all(), metric
    for name, tolerance in (("returns", 1e-13), ("blocks", 1e-12), ("trades", 1e-12), ("by_name", 1e-8)):
        found, wanted = getattr(one, name), getattr(other, name)
        assert (found is None) == (wanted is None)
        if found is not None:
            np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=tolerance, err_msg=name)


def both(subject, columns, panel, execution):
    """Straight to the backends: a panel shorter than the look-back is theirs to survive, if not to be asked for."""
    bars = len(panel.ts_ns)
    periods, edges = [(0, bars), (bars // 2, bars)], np.unique([0, bars // 3, bars])
    asked = periods, True, edges, True, "double", execution.capital_by == "sleeve"
    return [m.evaluate(subject, columns, panel, execution, *asked) for m in (book_cpu, reference)]


@pytest.mark.parametrize("name", CHOSEN)
@settings(max_examples=15, deadline=None)
@given(panel=ROUGH_PANELS, execution=EXECUTIONS)
def test_the_kernel_equals_the_books(name, panel, execution):
    subject = SUBJECTS[name]
    assert_equal(*both(subject, subject.check_combos(few(subject)), panel, execution))


@pytest.mark.parametrize("option", ["band", "sleeve"])
def test_pieces_of_a_wide_grid_are_the_whole(option, monkeypatch):
    """More values than a block of lanes, tables that do not fit at once, a filtered grid."""
    subject, panel = get_strategy("sma_cross"), with_vwap(made_panel(100, 9, 0.05))
    pairs = np.array([(f, s) for f in (5, 9, 60) for s in range(20, 70) if f < s], dtype=float)
    columns = {"fast": pairs[:, 0], "slow": pairs[:, 1]}
    execution = Execution(**OPTIONS[option])
    whole, wanted = both(subject, columns, panel, execution)
    assert_equal(whole, wanted)
    monkeypatch.setattr("mts1b.backtester.cpu.BLOCK_BYTES_MAX", 8 * 900 * 2 * 50)
    assert book_cpu._piece(subject, panel) == 48
    assert_equal(both(subject, columns, panel, execution)[0], wanted)


@pytest.mark.parametrize("name", CHOSEN)
@pytest.mark.parametrize("option", OPTIONS)
def test_no_return_knows_what_comes_after(name, option):
    subject, execution = SUBJECTS[name], Execution(**OPTIONS[option])
    panel = with_vwap(made_panel(70, 3, gaps=0.1))
    columns = subject.check_combos(few(subject))
    before = book_cpu.evaluate(subject, columns, panel, execution, [(0, 70)], True, None, True).returns
    for bar in (20, 50, 68):
        changed = changed_after(panel, bar)
        after = book_cpu.evaluate(subject, columns, changed, execution, [(0, 70)], True, None, True).returns
        np.testing.assert_array_equal(after[:, : bar + 1], before[:, : bar + 1])


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("option", ["band", "sleeve"])
def test_infinite_weights_are_refused(option, backend):
    with pytest.raises(InputError, match="not finite"):
        evaluate(leveraged, {"size": [1.0, 0.0]}, with_vwap(made_panel(60, 2)), Execution(**OPTIONS[option]), backend)


def test_bars_without_a_vwap_are_refused():
    with pytest.raises(InputError, match="no vwap"):
        evaluate(get_strategy("sma_cross"), {}, made_panel(150, 2), Execution(fill="vwap"))

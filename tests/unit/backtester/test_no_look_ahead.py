"""No look-ahead, for every node, library strategy and engine: what comes after bar t changes nothing up to it.

The subjects use every registered operation (`tests/unit/strategy/test_parity.py` fails for one that is left out), so a
new operation or strategy is covered as soon as there is one. Decisions of the whole-table evaluation and of the live
step are shown there; here are the engines: returns by bar of the two sweeps, and decisions, fills and books of the
event engine.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mts1b.backtester import Account, Execution, backtest, cpu, reference
from mts1b.strategy import Panel, Strategy
from tests.unit.backtester.accounts import daily
from tests.unit.strategy.panels import changed_after, made_panel, small_values
from tests.unit.strategy.subjects import SUBJECTS, WINDOWS

COSTS = Execution(commission_bps=2.0, half_spread_bps=3.0)
SWEEPS = {"reference": reference.evaluate, "cpu": cpu.evaluate}
BARS = 70


def panel_of(bars: int, seed: int) -> Panel:
    """Three names with gaps, a vwap and two sectors."""
    panel = made_panel(bars, 3, gaps=0.1, seed=seed)
    return replace(panel, vwap=panel.close * 1.001, sectors=("A", "B", "A"))


def few(subject: Strategy) -> dict[str, np.ndarray]:
    """At most four combinations, the windows as short as they may be."""
    axes = []
    for name, bound in subject.params.items():
        far = min(bound.high, bound.low + 3) if bound.kind == "int" else bound.high
        axes.append(np.array(WINDOWS) if name == "n" else np.array([bound.low, far]))
    table = np.array(list(itertools.product(*axes)))
    return {name: table[:4, i] for i, name in enumerate(subject.params)}


@pytest.mark.parametrize("engine", SWEEPS)
@pytest.mark.parametrize("name", SUBJECTS)
@settings(max_examples=3, deadline=None)
@given(bar=st.integers(1, BARS - 2), seed=st.integers(0, 99))
def test_no_return_of_a_sweep_knows_what_comes_after(name, engine, bar, seed):
    subject, panel = SUBJECTS[name], panel_of(BARS, seed)
    columns = subject.check_combos(few(subject))

    def returns(bars: Panel) -> np.ndarray:
        found = SWEEPS[engine](subject, columns, bars, COSTS, [(0, BARS)], True).returns
        return np.broadcast_to(found, (found.shape[0], BARS))

    before, after = returns(panel), returns(changed_after(panel, bar, seed + 1))
    np.testing.assert_array_equal(after[:, : bar + 1], before[:, : bar + 1])


@pytest.mark.parametrize("name", SUBJECTS)
@settings(max_examples=3, deadline=None)
@given(bar=st.integers(1, BARS - 2), seed=st.integers(0, 99))
def test_no_book_of_the_event_engine_knows_what_comes_after(name, bar, seed):
    subject, panel = SUBJECTS[name], daily(panel_of(BARS, seed))
    account, values = Account(impact=0.5, volume_share_max=0.5), small_values(subject)
    one = backtest(subject, values, panel, account, keep_fills=True)
    other = backtest(subject, values, changed_after(panel, bar, seed + 1), account, keep_fills=True)
    for field in ("targets", "quantity", "equity", "cash", "traded", "costs"):
        np.testing.assert_array_equal(getattr(one, field)[: bar + 1], getattr(other, field)[: bar + 1], err_msg=field)
    early, others = (run.fills.bar <= bar for run in (one, other))
    for field in ("bar", "name", "quantity", "price", "costs"):
        np.testing.assert_array_equal(getattr(one.fills, field)[early], getattr(other.fills, field)[others])


@pytest.mark.parametrize("engine", SWEEPS)
def test_the_property_can_fail(engine):
    """The changed bars do change what comes after them, in the returns of nearly every subject."""
    differs = []
    for subject in SUBJECTS.values():
        panel, columns = panel_of(BARS, 3), subject.check_combos(few(subject))
        one, other = (
            SWEEPS[engine](subject, columns, bars, COSTS, [(0, BARS)], True).returns
            for bars in (panel, changed_after(panel, 40))
        )
        differs.append(not np.array_equal(one[:, 41:], other[:, 41:]))
    assert np.mean(differs) > 0.9

"""One definition: the table and the live step agree to the bit, and neither sees the future."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mts1b.backtester import targets
from mts1b.foundation.errors import InputError
from mts1b.strategy import close, get_strategy, rank, sector, sma, strategy, vwap, where
from mts1b.strategy.library import names
from mts1b.strategy.ops import OPS, Kind
from mts1b.strategy.program import program_of
from tests.unit.strategy.panels import changed_after, made_panel, rough_panels, small_values
from tests.unit.strategy.subjects import SUBJECTS

LEAVES = (Kind.CONST, Kind.PARAM, Kind.FIELD)


def as_strategy(root):
    @strategy
    def node():
        return root

    return node


def follow(subject, values, panel):
    stepper = subject.stepper(values, panel.symbols, panel.sectors)
    rows = zip(*(getattr(panel, name) for name in panel.fields), strict=True)
    return np.array([stepper.step(*row) for row in rows])


def test_the_subjects_use_every_operation():
    used = {node.op for subject in SUBJECTS.values() for node in subject.root.walk()}
    assert {name for name, op in OPS.items() if op.kind not in LEAVES} <= used


@pytest.mark.parametrize("name", SUBJECTS)
@settings(max_examples=8, deadline=None)
@given(panel=rough_panels(), seed=st.integers(0, 99))
def test_steps_equal_the_table_and_the_past_does_not_change(name, panel, seed):
    subject = SUBJECTS[name]
    values, program = small_values(subject), program_of(subject.root)
    table = program.targets(values, panel)
    np.testing.assert_array_equal(follow(subject, values, panel), table)
    for bar in {0, len(table) // 2, max(len(table) - 2, 0)}:
        after = program.targets(values, changed_after(panel, bar, seed))
        np.testing.assert_array_equal(after[: bar + 1], table[: bar + 1])


@pytest.mark.parametrize("name", names())
def test_a_warmed_stepper_goes_on_where_the_table_ends(name):
    subject, panel = get_strategy(name), made_panel(80, 3, gaps=0.1)
    values = small_values(subject)
    stepper = subject.stepper(values, panel.symbols)
    whole = targets(subject, values, panel)
    np.testing.assert_array_equal(stepper.warm(panel.rows(0, 60)), whole[:60])
    for t in range(60, 80):
        row = stepper.step(panel.open[t], panel.high[t], panel.low[t], panel.close[t], panel.volume[t])
        np.testing.assert_array_equal(row, whole[t])


@pytest.mark.parametrize("name", ["xs_momentum", "trailing_breakout", "groups"])
def test_a_state_saved_between_bars_goes_on_from_there(name):
    subject, panel = SUBJECTS[name], replace(made_panel(60, 3, gaps=0.1), sectors=("A", "B", "A"))
    values = small_values(subject)
    bars = np.stack([getattr(panel, field) for field in panel.fields], axis=1)
    state = subject.stepper(values, panel.symbols, panel.sectors)
    for row in bars[:40]:
        _, state = subject.step(state, row)
    saved = pickle.dumps(state)
    straight = [subject.step(state, row)[0] for row in bars[40:]]
    again = pickle.loads(saved)
    np.testing.assert_array_equal([subject.step(again, row)[0] for row in bars[40:]], straight)


def test_a_stepper_refuses_other_names():
    with pytest.raises(InputError, match="other names"):
        get_strategy("buy_and_hold").stepper({}, ("A", "B")).warm(made_panel(5, 2))


def test_a_stepper_refuses_other_sectors_and_a_bar_without_vwap():
    panel = made_panel(5, 2)
    by_sector = as_strategy(rank(close, sector)).stepper({}, panel.symbols, ("A", "B"))
    with pytest.raises(InputError, match="other sectors"):
        by_sector.warm(panel)
    with pytest.raises(InputError, match="there are 2 names"):
        as_strategy(rank(close, sector)).stepper({}, panel.symbols, ("A",))
    with pytest.raises(InputError, match="use typical_price"):
        as_strategy(where(close > vwap, 1.0, 0.0)).stepper({}, panel.symbols).step(*np.ones((5, 2)))


@pytest.mark.parametrize(
    ("root", "words"), [(vwap / close, "use typical_price"), (rank(close, sector), "mts data sectors")]
)
def test_a_field_that_the_panel_lacks_is_named(root, words):
    with pytest.raises(InputError, match=words):
        targets(as_strategy(root), {}, made_panel(5, 2))


def test_one_bar_of_one_name():
    panel = made_panel(1, 1)
    assert targets(get_strategy("buy_and_hold"), {}, panel).tolist() == [[1.0]]


def test_what_is_not_known_holds_nothing():
    panel = made_panel(40, 2, gaps=0.3)
    held = targets(get_strategy("buy_and_hold"), {}, panel)
    np.testing.assert_array_equal(held, np.where(np.isnan(panel.close), 0.0, 1.0))


def test_where_is_unknown_until_its_condition_is_known():
    """An unwarmed comparison is neither true nor false: the else branch is not taken by default."""
    panel = made_panel(12, 1)
    decided = targets(as_strategy(where(close > sma(close, 10), 1.0, -1.0)), {}, panel)
    assert (decided[:9] == 0.0).all()
    assert (decided[9:] != 0.0).all()


def test_a_program_is_compiled_once():
    root = get_strategy("sma_cross").root
    assert program_of(root) is program_of(root)


def test_generated_decisions_ask_machine_comparisons():
    """The cross is one comparison over all lanes, not a number that is compared with 0 again."""
    assert "(1.0 if (a0[s, t] > a1[s, t]) else 0.0)" in program_of(get_strategy("sma_cross").root).source

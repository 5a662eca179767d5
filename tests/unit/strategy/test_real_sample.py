"""Every library strategy over the real sample, at its defaults: bar by bar it decides what the whole table says."""

from __future__ import annotations

import numpy as np
import pytest

from mts1b.backtester import targets
from mts1b.strategy import get_strategy
from mts1b.strategy.library import names
from tests.unit.strategy.real import sample_panel


@pytest.mark.parametrize("name", names())
def test_steps_equal_the_table_on_real_bars(name):
    subject, panel = get_strategy(name), sample_panel()
    table = targets(subject, {}, panel)
    assert np.isfinite(table).all()
    assert (table != 0.0).any()
    stepper = subject.stepper({}, panel.symbols)
    for t, row in enumerate(zip(*(getattr(panel, field) for field in panel.fields), strict=True)):
        np.testing.assert_array_equal(stepper.step(*row), table[t])

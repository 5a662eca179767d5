"""One combination fed stretch by stretch equals `evaluate` on the whole panel, for every strategy and every node."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mts1b.backtester import METRICS, Execution, evaluate, reference
from mts1b.backtester.streaming import Stream
from mts1b.foundation.errors import InputError
from mts1b.strategy import Strategy, close, get_strategy
from mts1b.strategy.panel import Panel
from tests.unit.strategy.panels import made_panel, rough_panels, small_values
from tests.unit.strategy.subjects import SUBJECTS

COSTS = Execution(commission_bps=2.0, half_spread_bps=3.0)


def fed(stream: Stream, panel: Panel, cuts: list[int], group: int) -> np.ndarray:
    """The sum of returns of all names, from stretches between `cuts` and `group` names at a time."""
    names = np.arange(len(panel.symbols))
    groups = [names] if stream.together else [names[i : i + group] for i in range(0, len(names), group)]
    sums = []
    for start, stop in zip(cuts[:-1], cuts[1:], strict=True):
        total = np.zeros(stop - start)
        for which in groups:
            rows = {name: np.ascontiguousarray(panel.field(name)[start:stop, which].T) for name in stream.fields}
            total += stream.advance(which, rows)
        sums.append(total)
    return np.concatenate(sums)


@pytest.mark.parametrize("name", SUBJECTS)
@settings(max_examples=8, deadline=None)
@given(panel=rough_panels(), data=st.data())
def test_stretches_equal_the_whole(name, panel, data):
    subject, bars = SUBJECTS[name], len(panel.ts_ns)
    values = small_values(subject)
    inner = data.draw(st.lists(st.integers(1, bars), max_size=3))
    group = data.draw(st.integers(1, 4))
    stream = Stream(subject, values, panel.symbols, COSTS, panel.sectors)
    got = fed(stream, panel, sorted({0, bars, *inner}), group)
    columns = subject.check_combos(values)
    wanted = reference.evaluate(subject, columns, panel, COSTS, [(0, bars)], True)
    np.testing.assert_allclose(got / len(panel.symbols), wanted.returns[0], rtol=1e-10, atol=1e-13)
    if int(subject.lookback(values)) < bars:
        found = stream.metrics(got)
        assert tuple(found) == METRICS
        for metric, value in found.items():
            assert value == pytest.approx(wanted.metrics[metric][0, 0], rel=1e-10, abs=1e-10), metric


def test_a_longer_history_equals_the_cpu_backend():
    panel, subject = made_panel(4_000, 9, gaps=0.02), get_strategy("sma_cross")
    stream = Stream(subject, {"fast": 20, "slow": 60}, panel.symbols, COSTS)
    found = stream.metrics(fed(stream, panel, [0, 1, 37, 1_500, 4_000], 4))
    wanted = evaluate(subject, {"fast": np.array([20.0]), "slow": np.array([60.0])}, panel, COSTS).metrics
    for metric in METRICS:
        assert found[metric] == pytest.approx(wanted[metric][0], rel=1e-10, abs=1e-12), metric


def test_only_what_is_used_is_asked_for():
    def fields(name: str) -> set[str]:
        return set(Stream(get_strategy(name), {}, ["A"], COSTS).fields)

    assert fields("sma_cross") == {"open", "close"}
    assert fields("stochastic_reversion") == {"open", "high", "low", "close"}


def test_what_cannot_be():
    panel = made_panel(30, 2)
    short = Stream(get_strategy("sma_cross"), {"slow": 60}, panel.symbols, COSTS)
    with pytest.raises(InputError, match="window longer than history"):
        short.metrics(fed(short, panel, [0, 30], 2))
    with pytest.raises(InputError, match="out of range"):
        Stream(get_strategy("sma_cross"), {"slow": 6_000}, panel.symbols, COSTS)
    endless = Strategy("endless", {}, close / (close - close))
    stream = Stream(endless, {}, panel.symbols, COSTS)
    with pytest.raises(InputError, match="not finite"):
        stream.metrics(fed(stream, panel, [0, 30], 2))
    with pytest.raises(InputError, match="next open"):
        Stream(get_strategy("sma_cross"), {}, panel.symbols, Execution(fill="close"))
    with pytest.raises(InputError, match="sector"):
        Stream(SUBJECTS["groups"], {}, panel.symbols, COSTS)

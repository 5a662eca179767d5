"""Every node and every library strategy: the cpu kernel equals the reference, on the worst panels that can be."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from mts1b.backtester import METRICS, Execution, cpu, evaluate, reference
from mts1b.backtester.collect import summary_filler
from mts1b.backtester.evaluation import RETURN_METRICS
from mts1b.backtester.summary import SPREAD_MIN, SUMMARY_ROWS
from mts1b.quantkit import metrics as formulas
from mts1b.strategy import Strategy, close, rank, sector
from tests.unit.strategy.panels import made_panel, rough_panels
from tests.unit.strategy.subjects import SUBJECTS, WINDOWS, as_strategy

COSTS = Execution(commission_bps=2.0, half_spread_bps=3.0)


def few(subject: Strategy) -> dict[str, np.ndarray]:
    """At most eight combinations, the windows as short as they may be."""
    axes = []
    for name, bound in subject.params.items():
        if name == "n":
            axes.append(np.array(WINDOWS))
        else:
            far = min(bound.high, bound.low + 3) if bound.kind == "int" else bound.high
            axes.append(np.array([bound.low, far]))
    table = np.array(list(itertools.product(*axes)))
    return {name: table[:8, i] for i, name in enumerate(subject.params)}


def both(subject, panel, periods):
    """Straight to the backends: a panel shorter than the look-back is theirs to survive, if not to be asked for."""
    columns = subject.check_combos(few(subject))
    return [module.evaluate(subject, columns, panel, COSTS, periods, True) for module in (cpu, reference)]


@pytest.mark.parametrize("name", SUBJECTS)
@settings(max_examples=8, deadline=None)
@given(panel=rough_panels())
def test_the_kernel_equals_the_reference(name, panel):
    bars = len(panel.ts_ns)
    got, wanted = both(SUBJECTS[name], panel, [(0, bars), (bars // 2, bars)])
    np.testing.assert_allclose(got.returns, wanted.returns, rtol=1e-10, atol=1e-13)
    for metric in METRICS:
        scale = max(1.0, float(np.abs(wanted.metrics[metric]).max()))
        np.testing.assert_allclose(
            got.metrics[metric], wanted.metrics[metric], rtol=1e-10, atol=1e-10 * scale, err_msg=metric
        )


def test_the_kernel_of_metrics_takes_rounding_for_no_loss():
    returns = np.array([[1e-3, 0.0], [-1.1e-16, -1e-9], [2e-3, 1e-3]])
    found = np.empty((SUMMARY_ROWS, 2))
    summary_filler()(returns, 0, 3, 252.0, SPREAD_MIN, found)
    for row in (4, 5, 6, 7):  # Sortino, Calmar, drawdown and its bars
        metric = getattr(formulas, RETURN_METRICS[row])
        assert found[row].tolist() == pytest.approx([0.0, float(metric(returns[:, 1]))])
        assert found[row, 1] != 0.0


def test_groups_are_compared_over_all_names():
    """More names than are worked on together otherwise: each sector still sees all of its members."""
    panel = made_panel(60, 90)
    panel = replace(panel, sectors=tuple("AB"[s % 2] for s in range(90)))
    subject = as_strategy(lambda n: rank(close, sector) > 1.0 - 1.0 / n)
    grid = {"n": np.array(WINDOWS)}
    one, other = (evaluate(subject, grid, panel, COSTS, backend, None, True) for backend in ("cpu", "reference"))
    np.testing.assert_allclose(one.returns, other.returns, rtol=1e-10, atol=1e-14)

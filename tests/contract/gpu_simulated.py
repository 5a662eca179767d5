"""The GPU backend, host driver and kernels, under numba's CUDA simulator. Run by `test_gpu_simulator.py`, in a process
whose numba was told to simulate before it was imported."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from mts1b.backtester import METRICS, Execution, evaluate, gpu, reference
from mts1b.backtester.gpu_device import SimulatedDevice
from mts1b.foundation.errors import InputError
from mts1b.strategy import get_strategy
from tests.unit.backtester.test_kernels_equal_reference import few
from tests.unit.strategy.panels import changed_after, made_panel, rough_panels
from tests.unit.strategy.subjects import SUBJECTS

COSTS = Execution(commission_bps=2.0, half_spread_bps=3.0)

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # Python's threads divide by zero aloud


def some(subject, count: int = 4) -> dict[str, np.ndarray]:
    """A few combinations, spread over those of the other backends' test, since every thread is run by Python."""
    columns = few(subject)
    size = len(next(iter(columns.values()))) if columns else 1
    chosen = np.unique(np.linspace(0, size - 1, count).astype(int))
    return subject.check_combos({name: values[chosen] for name, values in columns.items()})


def assert_equal(got, wanted):
    np.testing.assert_allclose(got.returns, wanted.returns, rtol=1e-10, atol=1e-13)
    for metric in METRICS:
        scale = max(1.0, float(np.abs(wanted.metrics[metric]).max()))
        np.testing.assert_allclose(
            got.metrics[metric], wanted.metrics[metric], rtol=1e-10, atol=1e-10 * scale, err_msg=metric
        )
    np.testing.assert_allclose(got.blocks, wanted.blocks, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(got.trades, wanted.trades, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", SUBJECTS)
@settings(max_examples=3, deadline=None)
@given(panel=rough_panels(bars_max=24))
def test_the_gpu_equals_the_reference(name, panel):
    """And so the cpu, which is compared in `tests/unit/backtester/test_kernels_equal_reference.py`."""
    subject, bars = SUBJECTS[name], len(panel.ts_ns)
    given_ = (subject, some(subject), panel, COSTS, [(0, bars), (bars // 2, bars)], True)
    edges = np.unique(np.array([0, bars // 3, bars]))
    got = gpu.evaluate(*given_, edges, True)
    assert_equal(got, reference.evaluate(*given_, edges, True))


@pytest.mark.parametrize("name", SUBJECTS)
def test_no_return_knows_what_comes_after(name):
    subject, panel = SUBJECTS[name], made_panel(24, 2, gaps=0.1)
    panel = replace(panel, vwap=panel.close * 1.001, sectors=("A", "B"))
    before, after = (
        gpu.evaluate(subject, some(subject, 2), bars, COSTS, [(0, 24)], True).returns
        for bars in (panel, changed_after(panel, 13))
    )
    np.testing.assert_array_equal(after[:, :14], before[:, :14])


def grid_of(fast: list[int], slow: list[int]) -> dict[str, np.ndarray]:
    table = np.array(list(itertools.product(fast, slow)), dtype=float)
    return {"fast": table[:, 0], "slow": table[:, 1]}


@pytest.mark.parametrize(
    ("name", "columns"), [("sma_cross", grid_of([5, 7], [20, 23, 24])), ("short_term_reversal", {})]
)
def test_what_fits_into_memory_changes_no_bit(name, columns, monkeypatch):
    """Slabs of few combinations, few names at once, tables filled anew: the same sums in the same order."""
    subject, panel = get_strategy(name), made_panel(30, 37, gaps=0.02)
    columns = subject.check_combos(columns or {"window": np.array([2.0, 3.0, 5.0, 2.0])})
    asked = (subject, columns, panel, COSTS, [(0, 30), (4, 20)], True, np.array([0, 11, 30]), True)
    whole = gpu.evaluate(*asked, device=SimulatedDevice())
    shapes: list[tuple[int, int]] = []
    plan = gpu.plan_slabs
    monkeypatch.setattr(gpu, "plan_slabs", lambda *given: noted(plan(*given), shapes))
    for free_bytes in (100_000, 40_000) if name == "sma_cross" else (220_000, 110_000):
        cut = gpu.evaluate(*asked, device=SimulatedDevice(free_bytes))
        for metric in METRICS:
            np.testing.assert_array_equal(cut.metrics[metric], whole.metrics[metric])
        for one, other in ((cut.returns, whole.returns), (cut.blocks, whole.blocks), (cut.trades, whole.trades)):
            np.testing.assert_array_equal(one, other)
    assert len(set(shapes)) == 2 and max(count for count, _ in shapes) > 1, shapes
    assert_equal(whole, reference.evaluate(*asked))


def noted(planned, shapes):
    slabs, together = planned
    shapes.append((len(slabs), together))
    return planned


def test_one_function_for_every_backend():
    subject, panel = get_strategy("sma_cross"), made_panel(40, 3, gaps=0.1)
    one, other = (evaluate(subject, grid_of([5, 9], [20, 31]), panel, COSTS, name) for name in ("gpu", "reference"))
    assert one.returns is None and one.blocks is None and one.trades is None
    for metric in METRICS:
        np.testing.assert_allclose(one.metrics[metric], other.metrics[metric], rtol=1e-10, atol=1e-12)


def test_weights_that_are_not_finite_are_refused():
    from mts1b.strategy import close, param, strategy

    @strategy
    def broken(n=param(0, 5)):
        return close / n

    with pytest.raises(InputError, match="not finite"):
        evaluate(broken, {"n": [1.0, 0.0]}, made_panel(20, 2), COSTS, "gpu")


def test_too_little_memory_is_said():
    with pytest.raises(InputError, match="gpu memory"):
        gpu.evaluate(
            get_strategy("sma_cross"),
            grid_of([5], [20]),
            made_panel(30, 2),
            COSTS,
            [(0, 30)],
            False,
            device=SimulatedDevice(1000),
        )

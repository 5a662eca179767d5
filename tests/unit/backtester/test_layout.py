"""Every combination has its lane, whatever the grid looks like."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest

from mts1b.backtester import Execution, cpu, evaluate, tables
from mts1b.backtester.layout import LANES_MAX, plan, widest, width
from mts1b.strategy import get_strategy
from tests.unit.strategy.panels import made_panel

GRIDS = {
    "full": list(itertools.product(range(10), range(100))),
    "filtered": [(a, b) for a in range(40) for b in range(100) if a < b],
    "short inner axis": list(itertools.product(range(30), range(9), range(4))),
    "wide inner axis": list(itertools.product(range(2), range(401))),
    "scattered": np.random.default_rng(1).integers(0, 10_000, (300, 3)).tolist(),
    "repeated": [(1, 2)] * 5,
    "one": [(3,)],
}


@pytest.mark.parametrize("case", GRIDS)
def test_every_combination_has_its_lane(case):
    table = np.array(GRIDS[case], dtype=float)
    columns = {f"p{i}": table[:, i] for i in range(table.shape[1])}
    laid = plan(columns)
    for c in range(len(table)):
        block, outer = laid.jobs[laid.job[c]]
        for name, values in columns.items():
            inner = name in laid.inner
            found = laid.inner_values[name][block, laid.lane[c]] if inner else laid.outer_values[name][outer]
            assert found == values[c]


@pytest.mark.parametrize(
    ("case", "waste"),
    [("full", 1.13), ("short inner axis", 1.2), ("wide inner axis", 1.2), ("filtered", 1.5), ("scattered", 1.5)],
)
def test_few_lanes_are_wasted(case, waste):
    table = np.array(GRIDS[case], dtype=float)
    laid = plan({f"p{i}": table[:, i] for i in range(table.shape[1])})
    assert len(laid.jobs) * laid.lanes <= waste * len(np.unique(table, axis=0))


def test_no_parameters_is_one_lane_of_one_job():
    laid = plan({})
    assert (laid.jobs, laid.job.tolist(), laid.lane.tolist()) == (((0, 0),), [0], [0])


@pytest.mark.parametrize("size", [1, 8, 9, 16, 100, 128, 129, 401, 1000])
def test_width_holds_the_values_in_few_blocks(size):
    lanes = width(size)
    assert lanes <= LANES_MAX
    assert -(-size // lanes) == -(-size // LANES_MAX)


@pytest.mark.parametrize(
    ("lane_bytes", "lanes"), [(0, 128), (1, 128), (10, 96), (20, 48), (60, 16), (70, 8), (9_999, 8)]
)
def test_the_widest_block_fits_into_its_memory(lane_bytes, lanes) -> None:
    assert widest(1_000, lane_bytes) == lanes
    assert all(width(size, lanes) <= lanes for size in (1, 8, 9, 100, 1_000))


def test_compared_names_are_held_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """All names of a cross-section go together: where memory is short there are fewer lanes, and the same results."""
    subject, panel = get_strategy("xs_momentum"), made_panel(260, 60)
    combos = {"window": np.arange(10.0, 138.0)}
    peaks, found = [], []
    evaluate(subject, combos, panel, Execution())  # compiled
    for bytes_max in (cpu.BLOCK_BYTES_MAX, 2 << 20):
        monkeypatch.setattr(cpu, "BLOCK_BYTES_MAX", bytes_max)
        monkeypatch.setattr(tables, "KEPT_BYTES_MAX", 1 << 20)
        evaluate(subject, combos, panel, Execution())
        tracemalloc.start()
        found.append(evaluate(subject, combos, panel, Execution(), keep_returns=True).returns)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12, atol=1e-15)
    assert peaks[1] < 12 << 20 < peaks[0]

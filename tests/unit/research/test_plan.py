"""The plan of a sweep: its key holds all that decides its numbers, its chunks cover the grid once."""

from __future__ import annotations

import dataclasses
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mts1b.backtester import Execution
from mts1b.foundation.limits import CHUNK_COMBINATIONS_MAX, CHUNK_COMBINATIONS_MIN
from mts1b.research import plan as plan_module
from mts1b.research.folds import rolling_folds
from mts1b.research.grid import Axis, Condition, Grid
from mts1b.research.plan import SweepSpec, _chunks, chunk_size, code_version, plan_sweep, tasks
from mts1b.strategy import get_strategy
from tests.unit.research.made_panels import random_panel

STRATEGY = get_strategy("sma_cross")
PANEL = random_panel()
SPEC = SweepSpec(STRATEGY, Grid.parse({"fast": "5:15:1", "slow": "20:60:10"}, STRATEGY.params), Execution())


def test_the_same_sweep_has_the_same_plan() -> None:
    first, again = plan_sweep(SPEC, PANEL), plan_sweep(SPEC, random_panel())
    assert first == again and first.combinations == 40


OTHERS = {
    "strategy": (dataclasses.replace(SPEC, strategy=get_strategy("vol_target_cross")), PANEL),
    "grid": (dataclasses.replace(SPEC, grid=Grid.parse({"fast": "5:16:1"}, STRATEGY.params)), PANEL),
    "condition": (
        dataclasses.replace(
            SPEC, grid=Grid.parse({"fast": "5:15:1", "slow": "20:60:10"}, STRATEGY.params, "fast < slow")
        ),
        PANEL,
    ),
    "costs": (dataclasses.replace(SPEC, execution=Execution(commission_bps=9.0)), PANEL),
    "backend": (dataclasses.replace(SPEC, backend="reference"), PANEL),
    "folds": (dataclasses.replace(SPEC, folds=rolling_folds(120, 60, 20)), PANEL),
    "bars": (SPEC, PANEL.rows(0, 119)),
    "values": (SPEC, random_panel(seed=1)),
    "one price": (SPEC, dataclasses.replace(PANEL, open=PANEL.open * 1.0000001)),
    "names": (SPEC, dataclasses.replace(PANEL, symbols=("N0", "N1", "N9"))),
}


@pytest.mark.parametrize("name", OTHERS)
def test_whatever_decides_the_numbers_changes_the_key(name) -> None:
    assert plan_sweep(*OTHERS[name]).key != plan_sweep(SPEC, PANEL).key


def test_how_many_are_reported_does_not_change_the_key() -> None:
    assert plan_sweep(dataclasses.replace(SPEC, top_k=3), PANEL).key == plan_sweep(SPEC, PANEL).key


SIZES = st.integers(1, 40)


@given(SIZES, SIZES, st.booleans(), st.integers(1, 50), st.sampled_from([16, 32, 256]))
def test_chunks_cover_the_grid_once(outer, inner, filtered, size, columns) -> None:
    axes = (Axis("a", tuple(map(float, range(outer)))), Axis("b", tuple(map(float, range(inner)))))
    grid = Grid(axes, Condition("a", "<=", "b") if filtered else None)
    with mock.patch.object(plan_module, "CHUNK_COLUMNS_MAX", columns):
        chunks = list(_chunks(grid, size, "key"))
    parts = [chunk.numbers(grid) for chunk in chunks]
    assert sorted(int(number) for part in parts for number in part) == grid.numbers(0, grid.full_size).tolist()
    assert [len(part) for part in parts] == [chunk.combinations for chunk in chunks]
    assert all(0 < len(part) <= size for part in parts)
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
    assert len({chunk.key for chunk in chunks}) == len(chunks)


@given(st.integers(1, 100_000), st.integers(1, 3_000))
def test_chunk_sizes_stay_in_bounds(bars, names) -> None:
    grid = Grid((Axis("a", tuple(map(float, range(1_000)))), Axis("b", tuple(map(float, range(100))))))
    assert CHUNK_COMBINATIONS_MIN <= chunk_size(grid, bars, names) <= CHUNK_COMBINATIONS_MAX


def test_tasks_are_neighbours_and_leave_each_worker_its_share() -> None:
    grid = Grid((Axis("a", tuple(map(float, range(250)))), Axis("b", tuple(map(float, range(400))))))
    chunks = list(_chunks(grid, chunk_size(grid, 2_520, 1_000), "key"))
    for workers, most in ((1, 32_000), (2, 31_250), (3, 20_834), (100, 12_800)):
        grouped = tasks(chunks, 2_520, 1_000, workers)
        assert [chunk for group in grouped for chunk in group] == chunks
        for group in grouped:
            assert len({chunk.first for chunk in group}) == 1
            assert sum(chunk.combinations for chunk in group) <= most
    assert [len(group) for group in tasks(chunks, 2_520, 1_000, 2)] == [3, 3, 3, 3]


def test_small_sweeps_are_not_grouped() -> None:
    grid = Grid((Axis("a", tuple(map(float, range(100)))), Axis("b", tuple(map(float, range(100))))))
    chunks = list(_chunks(grid, chunk_size(grid, 2_520, 100), "key"))
    assert tasks(chunks, 2_520, 100, 1) == [(chunk,) for chunk in chunks]


def test_code_version_is_stable() -> None:
    assert code_version() == code_version.__wrapped__()

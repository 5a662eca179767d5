"""`auto`: a piece of the sweep is timed, the choice is recorded, and rows are those of the backend that was chosen."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from mts1b.backtester import Execution
from mts1b.backtester.choice import Machine
from mts1b.foundation.clock import NS_PER_S, SystemClock
from mts1b.research.calibration import PIECE_RUNS, measured_rates, with_chosen_backend
from mts1b.research.grid import Grid
from mts1b.research.ladder import run_sweep
from mts1b.research.plan import SweepSpec, plan_sweep
from mts1b.research.runner import LocalRunner
from mts1b.strategy import get_strategy
from tests.unit.research.made_panels import random_panel

CROSS = get_strategy("sma_cross")
PANEL = random_panel(120, 3)
SPEC = SweepSpec(CROSS, Grid.parse({"fast": "5:30:1", "slow": "20:60:2"}, CROSS.params, "fast < slow"), Execution())


class Ticks:
    """A clock on which every look takes a second, the first run's an hour."""

    def __init__(self) -> None:
        self.looks = 0

    def now_ns(self) -> int:
        return 0

    def monotonic_ns(self) -> int:
        self.looks += 1
        return self.looks * NS_PER_S + (3_600 * NS_PER_S if self.looks > 1 else 0)


def test_the_rate_is_bar_steps_over_the_fastest_run_s_time() -> None:
    clock = Ticks()
    found = measured_rates(SPEC, PANEL, clock)
    assert clock.looks == 2 * (1 + PIECE_RUNS)
    assert found.cpu_per_s == 120 * 3 * 128  # one second by this clock; the first, which compiles, does not count
    assert "3 names x 120 bars x 128 combinations" in found.cpu_from and "assumed" in found.gpu_from


@pytest.mark.parametrize("where", ["fast > slow", None])
def test_a_small_or_filtered_grid_is_timed_whole(where) -> None:
    grid = Grid.parse({"fast": "5,30", "slow": "20,25"}, CROSS.params, where)
    rates = measured_rates(dataclasses.replace(SPEC, grid=grid), PANEL, Ticks())
    assert rates.cpu_per_s == 120 * 3 * grid.size()


def test_a_long_history_is_timed_on_fewer_names() -> None:
    found = measured_rates(SPEC, random_panel(20_000, 9), Ticks())
    assert "7 names x 20,000 bars" in found.cpu_from


def test_the_choice_is_in_the_manifest_and_the_rows_are_the_real_backend_s(tmp_path: Path) -> None:
    chosen = with_chosen_backend(SPEC, PANEL, "daily", Machine(2, 0), SystemClock())
    assert chosen.backend == "cpu" and chosen.choice is not None
    assert plan_sweep(chosen, PANEL).key == plan_sweep(SPEC, PANEL).key
    summary = run_sweep(chosen, PANEL, LocalRunner(), tmp_path, SystemClock())
    manifest = json.loads((Path(summary.folder) / "manifest.json").read_text())
    assert manifest["backend"] == summary.backend == "cpu"
    assert manifest["backend_choice"]["reason"] == "there is no GPU to use"
    assert manifest["backend_choice"]["rates"]["cpu_per_s"] > 0
    again = run_sweep(SPEC, PANEL, LocalRunner(), tmp_path, SystemClock())
    assert again.chunks_computed == 0  # asked for by name: the same rows

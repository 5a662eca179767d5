"""The ladder on a small panel: equal to the backtester asked directly, resumable, the same every time."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mts1b.backtester import METRICS, Execution, evaluate
from mts1b.foundation.clock import SystemClock
from mts1b.foundation.errors import DataError, InputError, StackError, UnknownNameError
from mts1b.quantkit.overfitting import deflated_sharpe
from mts1b.research import plan as plan_module
from mts1b.research.accounting import Sample
from mts1b.research.folds import rolling_folds
from mts1b.research.grid import Grid
from mts1b.research.ladder import Progress, run_sweep, sweep_task
from mts1b.research.plan import SweepSpec
from mts1b.research.runner import LocalRunner
from mts1b.research.store import heat_map, read_table
from mts1b.research.summary import SweepSummary
from mts1b.strategy import get_strategy
from tests.unit.research.made_panels import random_panel

CROSS = get_strategy("sma_cross")
PANEL = random_panel(bars=160)
RANGES = {"fast": "5:13:1", "slow": "20:60:10"}
SPEC = SweepSpec(CROSS, Grid.parse(RANGES, CROSS.params), Execution(), backend="reference", top_k=3)
FOLDED = dataclasses.replace(SPEC, folds=rolling_folds(160, 80, 30))


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "CHUNK_COMBINATIONS_MAX", 8)
    monkeypatch.setattr(plan_module, "CHUNK_COMBINATIONS_MIN", 8)


class CountingRunner(LocalRunner):
    """Counts the chunks it is given, and may die after some of them."""

    def __init__(self, dies_after: int | None = None) -> None:
        self.ran, self._dies_after = 0, dies_after

    def run(self, function, shared, items):
        for item, result in super().run(function, shared, items):
            if self.ran == self._dies_after:
                raise KeyboardInterrupt
            self.ran += function is sweep_task and not isinstance(item, Sample)
            yield item, result


class BackwardRunner(LocalRunner):
    """Finishes the last chunk first."""

    def run(self, function, shared, items):
        yield from super().run(function, shared, reversed(list(items)))


def sweep(root: Path, spec: SweepSpec = SPEC, runner: LocalRunner | None = None, listener=None) -> SweepSummary:
    return run_sweep(spec, PANEL, runner or LocalRunner(), root, SystemClock(), listener)


def figures(summary: SweepSummary) -> dict:
    run_fields = {*SweepSummary.RUN_FIELDS, "table", "folder"}
    return {name: value for name, value in summary.to_dict().items() if name not in run_fields}


def test_the_table_holds_what_the_backtester_says(tmp_path: Path) -> None:
    summary = sweep(tmp_path)
    table = read_table(summary.table)
    combos = SPEC.grid.combinations(np.arange(32))
    expected = evaluate(CROSS, combos, PANEL, SPEC.execution, backend="reference").metrics
    assert table["combination"].to_list() == list(range(32))
    assert table["fast"].dtype == pl.Int64 and table["fast"].to_list() == combos["fast"].tolist()
    for name in METRICS:
        np.testing.assert_array_equal(table[name].to_numpy(), expected[name])
    assert set(table["code_version"].cast(str)) == {summary.code_version}
    assert set(table["data_version"].cast(str)) == {PANEL.data_version}
    assert json.loads(table["execution"].cast(str)[0]) == SPEC.execution.to_dict()


def test_the_summary_is_the_best_of_the_table(tmp_path: Path) -> None:
    summary = sweep(tmp_path)
    table = read_table(summary.table).sort("sharpe", "combination", descending=[True, False])
    assert [row["combination"] for row in summary.top] == table["combination"][:3].to_list()
    best, variance = table.row(0, named=True), float(table["sharpe"].var())
    assert summary.best == {"fast": best["fast"], "slow": best["slow"]} and summary.sharpe == best["sharpe"]
    assert summary.trials == 32 and summary.sharpe_deviation == pytest.approx(math.sqrt(variance))
    expected = deflated_sharpe(best["sharpe"] / math.sqrt(252), 32, variance / 252, 160, best["skew"], best["kurtosis"])
    assert summary.deflated_sharpe == pytest.approx(expected)
    assert json.loads(summary.to_json()) == json.loads((Path(summary.folder) / "summary.json").read_text())
    assert json.loads((Path(summary.folder) / "manifest.json").read_text())["strategy"]["name"] == "sma_cross"


def test_again_computes_nothing_and_says_the_same(tmp_path: Path) -> None:
    first, runner = sweep(tmp_path), CountingRunner()
    again = sweep(tmp_path, runner=runner)
    assert (first.chunks_computed, first.chunks_skipped) == (4, 0)
    assert (again.chunks_computed, again.chunks_skipped, runner.ran) == (0, 4, 0)
    assert figures(again) == figures(first)


@pytest.mark.parametrize("spec", [SPEC, FOLDED], ids=["sweep", "folds"])
def test_the_order_in_which_chunks_finish_does_not_matter(tmp_path: Path, spec: SweepSpec) -> None:
    forward, backward = sweep(tmp_path / "a", spec), sweep(tmp_path / "b", spec, BackwardRunner())
    assert figures(forward) == figures(backward)
    assert read_table(forward.table).equals(read_table(backward.table))


def test_a_killed_sweep_computes_only_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        sweep(tmp_path, runner=CountingRunner(dies_after=2))
    runner, told = CountingRunner(), []
    resumed = sweep(tmp_path, runner=runner, listener=told.append)
    assert (resumed.chunks_computed, resumed.chunks_skipped, runner.ran) == (2, 2, 2)
    assert [progress.combinations_done for progress in told] == [16, 24, 32]
    assert figures(resumed) == figures(sweep(tmp_path / "whole"))
    assert not list(Path(resumed.folder).rglob(".*"))  # nothing half-written is left


def test_progress_goes_from_nothing_to_everything(tmp_path: Path) -> None:
    told: list[Progress] = []
    sweep(tmp_path, listener=told.append)
    assert [(step.chunks_done, step.combinations_done) for step in told] == [(0, 0), (1, 8), (2, 16), (3, 24), (4, 32)]
    assert {(step.chunks_total, step.combinations_total) for step in told} == {(4, 32)}


def test_a_condition_leaves_combinations_out(tmp_path: Path) -> None:
    grid = Grid.parse({"fast": "5:60:5", "slow": "20:60:10"}, CROSS.params, "fast < slow")
    summary = sweep(tmp_path, dataclasses.replace(SPEC, grid=grid))
    table = read_table(summary.table)
    assert summary.trials == grid.size() == table.height < 44 and (table["fast"] < table["slow"]).all()


def test_a_strategy_without_parameters(tmp_path: Path) -> None:
    spec = dataclasses.replace(SPEC, strategy=get_strategy("buy_and_hold"), grid=Grid.parse({}, {}))
    summary = sweep(tmp_path, spec)
    assert summary.trials == 1 and summary.best == {} and 0.0 <= summary.deflated_sharpe <= 1.0


def test_a_damaged_chunk_is_named(tmp_path: Path) -> None:
    damaged = sorted((Path(sweep(tmp_path).folder) / "chunks").iterdir())[1]
    damaged.write_bytes(b"PAR1 no more")
    with pytest.raises(DataError, match=damaged.name):
        sweep(tmp_path)


def test_results_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file where the folder should be")
    with pytest.raises(StackError, match="cannot be written"):
        sweep(tmp_path / "results")


def test_a_window_longer_than_history_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    spec = dataclasses.replace(SPEC, grid=Grid.parse({"slow": "20:420:10"}, CROSS.params))
    with pytest.raises(InputError, match=r"slow=410\.0: window longer than history"):
        sweep(tmp_path, spec)
    assert not list(tmp_path.iterdir())


def test_an_execution_that_no_gpu_kernel_knows_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    spec = dataclasses.replace(SPEC, backend="gpu", execution=Execution(band=0.1))
    with pytest.raises(InputError, match=r"band=0\.1.*--backend cpu"):
        sweep(tmp_path, spec)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("top_k", [0, 1_001])
def test_top_out_of_range(tmp_path: Path, top_k: int) -> None:
    with pytest.raises(InputError, match="top="):
        sweep(tmp_path, dataclasses.replace(SPEC, top_k=top_k))


def test_a_heat_map_takes_the_best_over_the_other_parameters() -> None:
    table = pl.DataFrame(
        {"fast": [5, 5, 9, 9], "slow": [20, 20, 30, 20], "target": [0.1, 0.2, 0.1, 0.1], "sharpe": [1.0, 2.0, 3.0, 4.0]}
    )
    found = heat_map(table, "fast", "slow")
    assert (found.x, found.y) == ((5, 9), (20, 30))
    np.testing.assert_array_equal(found.values, [[2.0, 4.0], [math.nan, 3.0]])
    with pytest.raises(UnknownNameError, match="did you mean: fast"):
        heat_map(table, "fats", "slow")

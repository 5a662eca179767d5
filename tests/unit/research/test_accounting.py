"""Accounting for trials: from stored sums to probabilities, the same whoever asks and whenever."""

from __future__ import annotations

import dataclasses
import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from mts1b.backtester import Execution, evaluate
from mts1b.foundation.clock import SystemClock
from mts1b.foundation.errors import DataError, InputError
from mts1b.quantkit import metrics
from mts1b.quantkit.cscv import block_edges
from mts1b.quantkit.overfitting import deflated_sharpe, independent_trials, minimum_track_record, probabilistic_sharpe
from mts1b.research import plan as plan_module
from mts1b.research.accounting import sampled_numbers
from mts1b.research.caveats import (
    ADJUSTED,
    AS_DELIVERED,
    LATECOMERS,
    SPLITS_ONLY,
    SURVIVORSHIP,
    UNDIVIDED,
    panel_warnings,
)
from mts1b.research.folds import Validation
from mts1b.research.grid import Grid
from mts1b.research.ladder import run_sweep
from mts1b.research.plan import SweepSpec, plan_sweep
from mts1b.research.runner import LocalRunner
from mts1b.research.store import read_table
from mts1b.strategy import get_strategy
from mts1b.strategy.panel import Lineage
from tests.unit.research.made_panels import random_panel

CROSS = get_strategy("sma_cross")
PANEL = random_panel(bars=300, seed=3)
GRID = Grid.parse({"fast": "5:13:1", "slow": "20:60:10"}, CROSS.params)
SPEC = SweepSpec(CROSS, GRID, Execution(), "reference", top_k=3)
COMBOS = GRID.combinations(np.arange(32))


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "CHUNK_COMBINATIONS_MAX", 8)
    monkeypatch.setattr(plan_module, "CHUNK_COMBINATIONS_MIN", 8)


def sweep(root: Path, spec: SweepSpec = SPEC):
    return run_sweep(spec, PANEL, LocalRunner(), root, SystemClock())


@pytest.fixture(scope="module")
def returns():
    return evaluate(CROSS, COMBOS, PANEL, SPEC.execution, "reference", keep_returns=True).returns


def test_it_is_what_the_formulas_say_of_the_returns(tmp_path, returns) -> None:
    summary = sweep(tmp_path)
    found, best = summary.accounting, returns[int(summary.top[0]["combination"])]
    per_bar, shape = summary.sharpe / math.sqrt(252), (float(metrics.skewness(best)), float(metrics.kurtosis(best)))
    assert found.probabilistic_sharpe == pytest.approx(probabilistic_sharpe(per_bar, 0.0, 300, *shape))
    assert found.independent_trials == pytest.approx(independent_trials(returns, 32))
    assert 1.0 < found.independent_trials < 16 and found.trials_sampled == 32
    variance = float(np.var(metrics.sharpe(returns), ddof=1)) / 252
    expected = deflated_sharpe(per_bar, found.independent_trials, variance, 300, *shape)
    assert found.deflated_sharpe == pytest.approx(expected) and found.deflated_sharpe >= summary.deflated_sharpe
    needed = minimum_track_record(per_bar, 0.0, *shape)
    assert found.track_record_bars == (pytest.approx(needed) if math.isfinite(needed) else None)


def test_pbo_is_the_definition_over_the_whole_grid(tmp_path, returns) -> None:
    found = sweep(tmp_path).accounting.overfitting
    assert (found.blocks, found.splits, found.trials) == (16, 12_870, 32)
    edges = block_edges(300, 16)
    worse = []
    parts = [returns[:, a:b] for a, b in itertools.pairwise(edges)]
    chosen = list(itertools.combinations(range(16), 8))[::97]  # each 97th split, by the plain definition
    for inside in chosen:
        rest = [block for block in range(16) if block not in inside]
        one, other = (metrics.sharpe(np.concatenate([parts[b] for b in s], axis=1)) for s in (inside, rest))
        worse.append((other < other[np.argmax(one)]).sum() < 15.5)
    assert found.pbo == pytest.approx(np.mean(worse), abs=0.12)


def test_it_is_asked_once_and_remembered(tmp_path) -> None:
    first = sweep(tmp_path)

    class Idle(LocalRunner):
        def run(self, function, shared, items):
            assert not list(items), "computed again"
            return iter(())

    again = run_sweep(SPEC, PANEL, Idle(), tmp_path, SystemClock())
    assert again.accounting == first.accounting
    (Path(first.folder) / "trials.json").write_text("{")
    with pytest.raises(DataError, match=r"trials\.json"):
        sweep(tmp_path)


@pytest.mark.parametrize("bars", [15, 100])
def test_a_history_too_short_to_cut_has_no_pbo(tmp_path, bars) -> None:
    grid = Grid.parse({"entry": "20:40:5", "window": "2,3"}, get_strategy("rsi_reversion").params)
    spec = SweepSpec(get_strategy("rsi_reversion"), grid, Execution(), "reference")
    found = run_sweep(spec, PANEL.rows(0, bars), LocalRunner(), tmp_path, SystemClock()).accounting
    assert (found.overfitting is None) == (bars == 15)


def test_the_equity_curves_of_the_best_lie_beside_the_table(tmp_path, returns) -> None:
    summary = sweep(tmp_path)
    curves = read_table(str(Path(summary.folder) / "top_curves.parquet"), "ts_ns")
    assert curves.columns == ["ts_ns", "rank1", "rank2", "rank3"] and curves["ts_ns"].to_list() == PANEL.ts_ns.tolist()
    best = returns[int(summary.top[0]["combination"])]
    np.testing.assert_allclose(curves["rank1"].to_numpy(), metrics.equity(best))


def test_full_metrics_hold_trades_of_folds_too(tmp_path) -> None:
    spec = dataclasses.replace(SPEC, metrics="full", folds=Validation("kfold", folds=4).cut(300))
    table = read_table(sweep(tmp_path, spec).table)
    assert {"win_rate", "profit_factor", "sqn", "fold3_test_win_rate"} <= set(table.columns)
    ended = sum(table[f"fold{k}_test_closed_trades"] for k in range(4))
    assert ended.to_list() == table["closed_trades"].to_list() and table["closed_trades"].min() > 0
    assert table["win_rate"].is_between(0.0, 1.0).all()
    plain = read_table(sweep(tmp_path).table)
    assert "win_rate" not in plain.columns and plain["sortino"].to_list() == table["sortino"].to_list()


def test_samples_are_spread_over_the_combinations_that_are_left() -> None:
    grid = Grid.parse({"fast": "5:60:5", "slow": "20:60:10"}, CROSS.params, "fast < slow")
    plan = plan_sweep(dataclasses.replace(SPEC, grid=grid), PANEL)
    every = np.concatenate([chunk.numbers(grid) for chunk in plan.chunks])
    assert sampled_numbers(plan, grid, 1_000).tolist() == every.tolist()
    few = sampled_numbers(plan, grid, 5)
    assert len(few) == 5 and set(few) <= set(every) and {every[0], every[-1]} <= set(few)


def test_the_declared_subset_is_tested(tmp_path) -> None:
    subset = Grid.parse({"fast": "5,9", "slow": "20,40"}, CROSS.params)
    found = sweep(tmp_path, dataclasses.replace(SPEC, subset=subset)).accounting.superiority
    assert found.models == 4 and 0.0 <= found.lower <= found.p_value <= found.upper <= 1.0
    assert sweep(tmp_path).accounting.superiority is None


def test_a_subset_too_large_is_refused(tmp_path) -> None:
    subset = Grid.parse({"fast": "5:55:1", "slow": "20:60:1"}, CROSS.params)
    with pytest.raises(InputError, match="declare at most 500"):
        sweep(tmp_path, dataclasses.replace(SPEC, subset=subset))


def test_metrics_are_named() -> None:
    with pytest.raises(InputError, match="known: default, full"):
        sweep(Path("unused"), dataclasses.replace(SPEC, metrics="some"))


def test_warnings_are_read_from_the_bars() -> None:
    panel = random_panel(bars=300)
    assert panel_warnings(panel) == (ADJUSTED, SURVIVORSHIP)
    assert panel_warnings(panel.rows(0, 100)) == (ADJUSTED,)
    close = np.array(panel.close)
    close[200:, 0], close[:50, 1] = np.nan, np.nan
    assert panel_warnings(dataclasses.replace(panel, close=close))[1:] == (LATECOMERS.format(late=1, names=3),)


def test_warnings_know_how_a_panel_came_about() -> None:
    bars = random_panel(bars=300)

    def said(**lineage: object) -> tuple[str, ...]:
        return panel_warnings(dataclasses.replace(bars, lineage=Lineage(**lineage)))

    assert said(adjust="total") == (ADJUSTED, SURVIVORSHIP)
    assert said(adjust="split") == (SPLITS_ONLY, SURVIVORSHIP) and said(adjust=None) == (AS_DELIVERED, SURVIVORSHIP)
    assert said(adjust="total", undivided=True)[0] == UNDIVIDED
    assert said(adjust="total", universe="SP500") == (ADJUSTED,)  # members of each day: nobody was picked today
    lacking = said(adjust="total", universe="SP500", missing=tuple("ABCDEFG"))
    assert len(lacking) == 2 and "7 of 10 members of SP500" in lacking[1] and "A, B, C, D, E, ..." in lacking[1]

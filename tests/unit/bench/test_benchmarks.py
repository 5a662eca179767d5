"""Each benchmark of one process at its quick size, and each refuses to time what is wrong. No timing is asserted."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from mts1b.bench import columns_task, kernel_time, live_step, single, strategies
from mts1b.bench.first_use_task import COMBINATIONS_MAX, some_combinations
from mts1b.bench.kernel_time import Stopwatch, TimedRunner
from mts1b.bench.session import Session
from mts1b.bench.universe import made_up_panel
from mts1b.bench.versus_vectorbt import compare, continuous, hand_over
from mts1b.foundation.clock import SystemClock
from mts1b.foundation.errors import InvariantBroken
from mts1b.research.runner import LocalRunner
from mts1b.strategy import get_strategy, jit
from mts1b.strategy.library import names as library_names

QUICK = Session(SystemClock(), quick=True)


def wrong_on_cpu(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the kernels of `module` give other Sharpe ratios than they do."""
    right = module.evaluate

    def wrong(*given: Any, backend: str = "cpu", **named: Any) -> Any:
        found = right(*given, backend=backend, **named)
        if backend == "cpu":
            found.metrics["sharpe"][...] += 1.0
        return found

    monkeypatch.setattr(module, "evaluate", wrong)


def test_six_strategies_and_their_ratios(monkeypatch: pytest.MonkeyPatch) -> None:
    found = strategies.ladder_strategies(QUICK)
    assert list(strategies.GRIDS) == list(strategies.QUICK)
    for name in strategies.GRIDS:
        rate = found.figures[f"bar_steps_per_s_{name}"]
        assert found.versus[f"ratio_to_sma_cross_{name}"] == rate / found.figures["bar_steps_per_s_sma_cross"]
        assert 1_800 < len(next(iter(strategies.combinations(name, strategies.GRIDS[name]).values()))) < 2_500
    wrong_on_cpu(strategies, monkeypatch)
    with pytest.raises(InvariantBroken, match="sharpe"):
        strategies.ladder_strategies(QUICK)


def test_all_rows_of_the_wall_time_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(single, "PARTS", [single.daily])
    found = single.single(QUICK)
    rows = [name for name in found.versus if name.startswith("source_")]
    assert len(rows) == 7 and found.versus["source_minute_1000_h100_wall_s"] == 14
    assert found.versus["ratio_kernel_1000_to_cpu"] == 95.0 / found.figures["kernel_1000_wall_s"]
    wrong_on_cpu(single, monkeypatch)
    with pytest.raises(InvariantBroken, match="sharpe"):
        single.single(QUICK)


def test_a_part_that_joins_gets_its_ratios() -> None:
    ratios = single.beside_the_source({"kernel_minute_1000_wall_s": 7.0})
    assert ratios["ratio_kernel_minute_1000_to_h100"] == 2.0


def test_every_library_strategy_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    found = live_step.signal(QUICK).figures
    assert {f"{name}_p99_ms" for name in library_names()} < set(found)
    assert found["p99_ms"] == max(found[f"{name}_p99_ms"] for name in library_names())
    right = live_step.targets
    monkeypatch.setattr(live_step, "targets", lambda *given: right(*given) + 1.0)
    with pytest.raises(InvariantBroken, match="step against the table"):
        live_step.signal(QUICK)


def test_combinations_of_a_first_use_lie_in_the_ranges() -> None:
    for name in library_names():
        strategy = get_strategy(name)
        combos = some_combinations(strategy)
        assert all(1 <= len(values) <= COMBINATIONS_MAX for values in combos.values())
        strategy.check_combos(combos)


def doubled(shared: int, item: int) -> int:
    return shared * item * 2


def test_a_timed_runner_gives_what_the_runner_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jit, "_wrappers", [])
    monkeypatch.setattr(kernel_time, "_stopwatches", [])
    runner = TimedRunner(LocalRunner())
    assert dict(runner.run(doubled, 3, range(4))) == {0: 0, 1: 6, 2: 12, 3: 18}
    assert runner.tasks == 4 and runner.busy_s > 0 and runner.kernel_s == 0.0


def test_compiled_code_is_handed_out_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Stopwatch()
    monkeypatch.setattr(jit, "_wrappers", [watch.wrapped])
    module = jit.load("from numba import njit\n\n@njit(cache=True)\ndef answer(a):\n    return a + 41.0\n")
    assert module.answer(1.0) == 42.0 and watch.spent_ns > 0


def test_columns_against_vectorbts_are_compared_exactly(tmp_path: Path) -> None:
    panel = continuous(made_up_panel(2, 120, np.random.default_rng(0)))
    hand_over(tmp_path, panel, {"fast": np.array([5.0, 6.0]), "slow": np.array([20.0, 20.0])})
    columns_task.main(tmp_path, 1)
    assert json.loads((tmp_path / "done.json").read_text())["peak_bytes"] > 0
    tables = {name: np.load(tmp_path / f"{name}.npy") for name in ("total_return", "sharpe", "orders", "trades")}
    assert tables["orders"].shape == (2, 2) and tables["orders"].sum() > 4
    compare(tables, tables)
    for name in ("orders", "total_return"):
        with pytest.raises(InvariantBroken, match=name):
            compare(tables, {**tables, name: tables[name] + 1e-8})


def test_a_column_is_a_purse_of_its_own(tmp_path: Path) -> None:
    """By hand: all cash in at the open after the averages cross, all out at the open after they cross back."""
    panel = continuous(made_up_panel(1, 120, np.random.default_rng(0)))
    hand_over(tmp_path, replace(panel, data_version=""), {"fast": np.array([5.0]), "slow": np.array([20.0])})
    columns_task.main(tmp_path, 1)
    close, opened, fee = panel.close[:, 0], panel.open[:, 0], columns_task.EXECUTION.cost
    cash, shares, orders = 100.0, 0.0, 0
    for t in range(20, 120):
        above = close[t - 5 : t].mean() > close[t - 20 : t].mean()
        if above and not shares:
            cash, shares, orders = 0.0, cash / (opened[t] * (1 + fee)), orders + 1
        elif shares and not above:
            cash, shares, orders = shares * opened[t] * (1 - fee), 0.0, orders + 1
    assert np.load(tmp_path / "orders.npy")[0, 0] == orders > 2
    worth = (cash + shares * close[-1]) / 100.0 - 1.0
    assert math.isclose(float(np.load(tmp_path / "total_return.npy")[0, 0]), worth, rel_tol=1e-12)

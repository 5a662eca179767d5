"""Walk-forward: the choice is made on the train window alone, and judged on the bars after it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from mts1b.backtester import Execution, evaluate, merged
from mts1b.foundation.clock import SystemClock
from mts1b.quantkit import metrics
from mts1b.research.curves import buy_and_hold_returns, returns_of
from mts1b.research.folds import Validation, recombined, rolling_folds
from mts1b.research.grid import Grid
from mts1b.research.ladder import run_sweep
from mts1b.research.plan import SweepSpec
from mts1b.research.runner import LocalRunner
from mts1b.research.store import read_table
from mts1b.strategy import Panel, get_strategy
from tests.unit.research.made_panels import random_panel

CROSS = get_strategy("sma_cross")
PANEL = random_panel(bars=160, seed=5)
GRID = Grid.parse({"fast": "5:10:1", "slow": "20:60:10"}, CROSS.params)
SPEC = SweepSpec(CROSS, GRID, Execution(), "reference", rolling_folds(160, 80, 30))


def walk(root: Path, panel: Panel = PANEL):
    return run_sweep(SPEC, panel, LocalRunner(), root, SystemClock())


def test_each_fold_is_the_best_of_its_train_window(tmp_path: Path) -> None:
    found = walk(tmp_path).walk_forward
    returns = evaluate(
        CROSS, GRID.combinations(np.arange(20)), PANEL, SPEC.execution, "reference", keep_returns=True
    ).returns
    joined = []
    for fold, result in zip(SPEC.folds, found.folds, strict=True):
        train = metrics.sharpe(returns[:, slice(*fold.train[0])])
        chosen = int(np.argmax(train))
        test = returns[chosen, slice(*fold.test[0])]
        assert result.params == {name: values[chosen] for name, values in GRID.combinations(np.arange(20)).items()}
        assert result.train["sharpe"] == pytest.approx(float(train[chosen]))
        assert result.test["sharpe"] == pytest.approx(float(metrics.sharpe(test)))
        assert result.test["total_return"] == pytest.approx(float(metrics.total_return(test)))
        joined.append(test)
    np.testing.assert_allclose(found.returns, np.concatenate(joined), atol=1e-15)
    assert found.sharpe == pytest.approx(float(metrics.sharpe(np.concatenate(joined))))
    assert list(found.ts_ns) == list(PANEL.ts_ns[80:]) and len(found.folds) == 3


def test_dates_are_those_of_the_sessions(tmp_path: Path) -> None:
    fold = walk(tmp_path).walk_forward.folds[0]
    assert fold.train_dates == ("2015-01-01", "2015-03-21") and fold.test_dates == ("2015-03-22", "2015-04-20")


def test_the_choice_does_not_see_its_test_window(tmp_path: Path) -> None:
    later = np.array(PANEL.close)
    later[80:] *= np.linspace(1.0, 3.0, 80)[:, None]
    before = walk(tmp_path / "a").walk_forward.folds[0]
    after = walk(tmp_path / "b", dataclasses.replace(PANEL, close=later)).walk_forward.folds[0]
    assert (before.params, before.train) == (after.params, after.train)
    assert before.test != after.test


def test_the_whole_range_is_in_the_same_pass(tmp_path: Path) -> None:
    folded = walk(tmp_path)
    plain = run_sweep(dataclasses.replace(SPEC, folds=()), PANEL, LocalRunner(), tmp_path, SystemClock())
    assert folded.sharpe == plain.sharpe and folded.best == plain.best and folded.key != plain.key
    table = read_table(folded.table)
    assert {"fold0_train_sharpe", "fold2_test_max_drawdown"} <= set(table.columns)
    assert table.select(read_table(plain.table).columns).equals(read_table(plain.table))


@pytest.mark.parametrize(
    "validation",
    [
        Validation("anchored", 60, 30),
        Validation("kfold", folds=5, purge=2),
        Validation("combinatorial", folds=5, embargo=3),
    ],
    ids=lambda validation: validation.scheme,
)
def test_each_scheme_chooses_on_its_train_and_joins_its_tests(tmp_path: Path, validation) -> None:
    spec = dataclasses.replace(SPEC, folds=validation.cut(160))
    found = run_sweep(spec, PANEL, LocalRunner(), tmp_path, SystemClock()).walk_forward
    combos = GRID.combinations(np.arange(20))
    returns = evaluate(CROSS, combos, PANEL, SPEC.execution, "reference", keep_returns=True).returns
    chosen = []
    for fold, result in zip(spec.folds, found.folds, strict=True):
        train = np.concatenate([returns[:, slice(*span)] for span in fold.train], axis=1)
        test = np.concatenate([returns[:, slice(*span)] for span in fold.test], axis=1)
        chosen.append(int(np.argmax(metrics.sharpe(train))))
        assert result.params == {name: values[chosen[-1]] for name, values in combos.items()}
        assert result.train["sharpe"] == pytest.approx(float(metrics.sharpe(train)[chosen[-1]]))
        for name in ("sharpe", "sortino", "calmar", "cagr", "max_drawdown"):
            assert result.test[name] == pytest.approx(float(getattr(metrics, name)(test)[chosen[-1]])), name
        longest = [metrics.max_drawdown_bars(returns[chosen[-1], slice(*span)]) for span in fold.test]
        assert result.test["max_drawdown_bars"] == max(map(float, longest))
        assert set(result.test) >= {"turnover", "trades", "exposure", "costs"}
        if len(fold.test) == 1:
            assert result.test["skew"] == pytest.approx(float(metrics.skewness(test)[chosen[-1]]))
            assert result.test["kurtosis"] == pytest.approx(float(metrics.kurtosis(test)[chosen[-1]]))
    assert len(found.paths) == (4 if validation.scheme == "combinatorial" else 1)
    paths = []
    for path, result in zip(recombined(spec.folds), found.paths, strict=True):
        paths.append(np.concatenate([returns[chosen[piece.fold], slice(*piece.span)] for piece in path]))
        assert result.sharpe == pytest.approx(float(metrics.sharpe(paths[-1])))
        assert result.max_drawdown == pytest.approx(float(metrics.max_drawdown(paths[-1])))
    np.testing.assert_allclose(found.returns, np.mean(paths, axis=0), atol=1e-15)
    assert json.loads(json.dumps(found.to_dict()))["folds"][0]["test_dates"] == list(found.folds[0].test_dates)


def test_a_test_of_one_span_is_judged_as_a_history_of_its_own(tmp_path: Path) -> None:
    """Its own pass and its blocks joined say the same, for what both can say; many folds keep less."""
    found = read_table(walk(tmp_path).table)
    blocks = evaluate(CROSS, GRID.combinations(np.arange(20)), PANEL, SPEC.execution, edges=[0, 80, 110, 140, 160])
    joined = merged(blocks.blocks, np.array([80, 30, 30, 20]), [2], SPEC.execution.cost)
    for name, values in joined.items():
        np.testing.assert_allclose(found[f"fold1_test_{name}"], values, rtol=1e-9, atol=1e-12, err_msg=name)
    many = dataclasses.replace(SPEC, folds=rolling_folds(160, 40, 2))
    table = read_table(run_sweep(many, PANEL, LocalRunner(), tmp_path, SystemClock()).table)
    assert len(many.folds) == 60 and {name for name in table.columns if name.startswith("fold7_test")} == {
        f"fold7_test_{name}" for name in ("sharpe", "total_return", "max_drawdown")
    }


def test_returns_of_several_parameter_sets() -> None:
    params = [{"fast": 7.0, "slow": 30.0}, {"fast": 5.0, "slow": 20.0}]
    curves = returns_of(CROSS, params, PANEL, SPEC.execution, "reference")
    assert curves.shape == (2, 160)
    alone = returns_of(CROSS, params[1:], PANEL, SPEC.execution, "reference")
    np.testing.assert_array_equal(curves[1], alone[0])


def test_buy_and_hold_is_the_mean_of_worths() -> None:
    close = np.array(PANEL.close)
    close[:40, 0] = np.nan  # not listed yet: cash until then
    close[100, 1] = np.nan  # no bar: keeps its worth
    returns = buy_and_hold_returns(dataclasses.replace(PANEL, close=close))
    worth = np.mean([close[-1, 0] / close[40, 0], close[-1, 1] / close[0, 1], close[-1, 2] / close[0, 2]])
    assert float(metrics.total_return(returns)) == pytest.approx(worth - 1.0)
    assert returns[0] == 0.0 and np.isfinite(returns).all()

"""The choice of a backend: a table of cases, each line of the source's rule at its threshold."""

from __future__ import annotations

import dataclasses
import json

import pytest

from mts1b.backtester.choice import GPU_CORES, Machine, Rates, Workload, apply_rule, choose

SMALL = Workload(names=30, bars=252, years=1.0, interval="daily", combinations=1)
LARGE = Workload(names=1_000, bars=2_520, years=10.0, interval="daily", combinations=100_000)
LAPTOP, DESK, FARM = Machine(2, 0), Machine(16, 1), Machine(400, 1)
RATES = Rates.with_gpu_assumed(1e9, "made up")


def with_(**changed) -> Workload:
    return dataclasses.replace(SMALL, **changed)


@pytest.mark.parametrize(
    ("work", "machine", "backend", "reason"),
    [
        (SMALL, LAPTOP, "cpu", "no GPU to use"),
        (LARGE, LAPTOP, "cpu", "no GPU to use"),
        (SMALL, DESK, "cpu", "none of the source's reasons"),
        (LARGE, DESK, "gpu", "universe over 200 symbols"),
        (dataclasses.replace(LARGE, beyond_gpu=("band=0.1",)), DESK, "cpu", "more than the GPU's kernels know"),
        (LARGE, FARM, "cpu", "400 cores are estimated to be as fast as 1 GPUs"),
        (with_(names=100), DESK, "cpu", "none"),
        (with_(names=101), DESK, "gpu", "checklist: universe over 100"),
        (with_(interval="1m"), DESK, "gpu", "intraday bars"),
        (with_(combinations=1_000), DESK, "cpu", "none"),
        (with_(combinations=1_001), DESK, "gpu", "sweep over 1,000 combinations"),
        (with_(folds=1), DESK, "cpu", "none"),
        (with_(folds=20), DESK, "gpu", "walk-forward"),
        (LARGE, Machine(20, 1), "cpu", "as fast"),
        (LARGE, Machine(20, 2), "gpu", "universe"),
    ],
)
def test_the_source_s_rule(work, machine, backend, reason) -> None:
    found = choose(work, machine, RATES)
    assert (found.backend, reason in found.reason) == (backend, True), found.reason


@pytest.mark.parametrize(
    ("work", "fine"),
    [
        (SMALL, {"universe under 100 symbols", "period under 5 years daily", "one-off run (no sweep)"}),
        (with_(names=100, years=5.0, combinations=2), set()),
        (with_(names=99, interval="1m", folds=3), {"universe under 100 symbols"}),
    ],
)
def test_when_cpu_is_fine(work, fine) -> None:
    held = {finding.rule for finding in apply_rule(work, DESK) if finding.backend == "cpu" and finding.holds}
    assert held == fine
    without = {finding.rule for finding in apply_rule(work, LAPTOP) if finding.backend == "cpu" and finding.holds}
    assert without == fine | {"development without CUDA"}


def test_estimates_are_the_work_over_the_rates() -> None:
    found = choose(LARGE, DESK, RATES)
    steps = 1_000 * 2_520 * 100_000
    assert found.estimates_s == {"cpu": steps / 16e9, "gpu": steps / (1e9 * GPU_CORES)}
    assert "assumed, not measured" in found.rates.gpu_from
    measured = Rates(1e9, "made up", 1e6, "measured")
    assert choose(LARGE, DESK, measured).backend == "cpu"  # a slow GPU is not taken, whatever the rule says
    assert set(choose(LARGE, LAPTOP, RATES).estimates_s) == {"cpu"}
    assert json.loads(json.dumps(found.to_dict()))["findings"][0]["rule"] == "universe under 100 symbols"

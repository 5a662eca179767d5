"""What a sweep's many trials do to its best result, and how likely the choice is to be an accident."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mts1b.backtester import evaluate
from mts1b.foundation.errors import InputError
from mts1b.foundation.ids import digest
from mts1b.quantkit.cscv import Overfitting, overfitting
from mts1b.quantkit.metrics import BARS_PER_YEAR
from mts1b.quantkit.overfitting import (
    deflated_sharpe,
    expected_maximum_sharpe,
    independent_trials,
    minimum_track_record,
    probabilistic_sharpe,
)
from mts1b.quantkit.spa import Superiority, superior_predictive_ability
from mts1b.research.chunks import SweepWork
from mts1b.research.curves import buy_and_hold_returns
from mts1b.research.grid import Grid
from mts1b.research.plan import SweepPlan, SweepSpec
from mts1b.research.reduction import Moments, Row
from mts1b.research.runner import Runner
from mts1b.research.store import SweepStore

Floats = NDArray[np.float64]

TRIALS_SAMPLED = 64
"""Combinations, evenly spread over the grid, whose returns say how many trials are independent."""

SAMPLED_TOGETHER = 16
"""Combinations evaluated as one task, about, for their returns; fewer to keep every worker busy."""

SUBSET_MAX = 500
"""Combinations of a declared subset: the bootstrap holds the returns of all of them."""


@dataclass(frozen=True, slots=True)
class Accounting:
    """The best Sharpe ratio against luck. Sharpe ratios are annual, probabilities fractions.

    probabilistic_sharpe    probability that the best one's true Sharpe ratio is above 0, had it been the only trial
    independent_trials      estimate: effective rank (Roy and Vetterli 2007) of the returns of `trials_sampled` trials
    sharpe_by_luck          best Sharpe ratio that so many independent worthless trials would show
    deflated_sharpe         probability that the best one's true Sharpe ratio is above that
    track_record_bars       bars that its Sharpe ratio needs to be above 0 with 95 % confidence; None: endless
    overfitting             PBO by CSCV over all trials; None for one trial or a history too short to cut
    superiority             Hansen's test of the declared subset against buy and hold; None when none was declared
    """

    probabilistic_sharpe: float
    independent_trials: float
    trials_sampled: int
    sharpe_by_luck: float
    deflated_sharpe: float
    track_record_bars: float | None
    overfitting: Overfitting | None
    superiority: Superiority | None


def account(
    work: SweepWork, store: SweepStore, runner: Runner, best: Row, trials: Moments, sample: Callable[[], Floats]
) -> Accounting:
    """Account for all `trials` of a sweep whose table is complete; `best` is its best row, `sample` gives the returns
    [C, T] of `sampled_numbers`, asked for only once a sweep."""
    spec, panel = work.spec, work.panel
    bars = len(panel.ts_ns)
    per_bar = best["sharpe"] / math.sqrt(BARS_PER_YEAR)
    shape = (best["skew"], best["kurtosis"])
    counted = store.remembered("trials.json", lambda: _counted(sample(), trials.count))
    independent = counted["independent_trials"]
    needed = minimum_track_record(per_bar, 0.0, *shape)
    return Accounting(
        probabilistic_sharpe=probabilistic_sharpe(per_bar, 0.0, bars, *shape),
        independent_trials=independent,
        trials_sampled=counted["trials_sampled"],
        sharpe_by_luck=expected_maximum_sharpe(independent, trials.variance),
        deflated_sharpe=deflated_sharpe(per_bar, independent, trials.variance / BARS_PER_YEAR, bars, *shape),
        track_record_bars=needed if math.isfinite(needed) else None,
        overfitting=_overfitting(store, spec.cscv_edges(bars)),
        superiority=_superiority(work, store, runner),
    )


def _counted(sample: Floats, trials: int) -> dict[str, Any]:
    return {"independent_trials": independent_trials(sample, trials), "trials_sampled": len(sample)}


def sampled_numbers(plan: SweepPlan, grid: Grid, count: int = TRIALS_SAMPLED) -> NDArray[np.int64]:
    """The numbers of up to `count` combinations, evenly spread over those of the plan."""
    ranks = np.unique(np.linspace(0, plan.combinations - 1, count).round().astype(np.int64))
    found, first = [], 0
    for chunk in plan.chunks:
        inside = ranks[(ranks >= first) & (ranks < first + chunk.combinations)] - first
        if len(inside):
            found.append(chunk.numbers(grid)[inside])
        first += chunk.combinations
    return np.concatenate(found)


@dataclass(frozen=True, slots=True)
class Sample:
    """Combinations, by their numbers in the grid, whose returns one task finds."""

    numbers: tuple[int, ...]


def samples(numbers: NDArray[np.int64], workers: int) -> list[Sample]:
    """Tasks for the returns of these combinations, as many for each worker."""
    rounds = max(1, round(len(numbers) / (SAMPLED_TOGETHER * max(workers, 1))))
    together = max(1, -(-len(numbers) // (rounds * max(workers, 1))))
    return [Sample(tuple(numbers[i : i + together].tolist())) for i in range(0, len(numbers), together)]


def returns_by_tasks(work: SweepWork, runner: Runner, numbers: NDArray[np.int64]) -> Floats:
    """Net returns a bar, [C, T], of the combinations with these `numbers` of the sweep's grid."""
    parts = samples(numbers, runner.workers)
    found = dict(runner.run(sampled_returns, work, parts))
    return np.concatenate([found[part] for part in parts])


def sampled_returns(work: SweepWork, sample: Sample) -> Floats:
    """Net returns a bar, [C, T]."""
    spec, panel, numbers = work.spec, work.panel, sample.numbers
    combos = spec.grid.combinations(np.array(numbers, dtype=np.int64))
    found = evaluate(spec.strategy, combos, panel, spec.execution, backend=spec.backend, keep_returns=True)
    assert found.returns is not None  # asked for
    return np.broadcast_to(found.returns, (len(numbers), len(panel.ts_ns)))


@dataclass(frozen=True, slots=True)
class _Parts:
    """The sums by block, gone through as often as wanted."""

    store: SweepStore

    def __iter__(self) -> Iterator[tuple[Floats, Floats]]:
        for blocks in self.store.blocks():
            half = len(blocks) // 2
            yield blocks[:half], blocks[half:]


def _overfitting(store: SweepStore, edges: list[int]) -> Overfitting | None:
    if not edges:
        return None
    bars = np.array(edges[1:]) - np.array(edges[:-1])

    def compute() -> dict[str, Any]:
        found = overfitting(_Parts(store), bars)
        return {"found": None if found is None else asdict(found)}

    found = store.remembered("overfitting.json", compute)["found"]
    return None if found is None else Overfitting(**found)


def check_subset(subset: Grid | None) -> None:
    """InputError for a declared subset too large to hold."""
    if subset is not None and subset.size() > SUBSET_MAX:
        raise InputError("spa", subset.text, f"has {subset.size():,} combinations", f"declare at most {SUBSET_MAX}")


def _superiority(work: SweepWork, store: SweepStore, runner: Runner) -> Superiority | None:
    spec, panel, subset = work.spec, work.panel, work.spec.subset
    if subset is None:
        return None

    def compute() -> dict[str, Any]:
        declared = SweepWork(SweepSpec(spec.strategy, subset, spec.execution, spec.backend), panel)
        models = returns_by_tasks(declared, runner, subset.numbers(0, subset.places))
        return asdict(superior_predictive_ability(buy_and_hold_returns(panel), models))

    return Superiority(**store.remembered(f"superiority-{digest(subset.text)}.json", compute))

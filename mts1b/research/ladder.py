"""The ladder: every combination of a grid over the same bars, streamed, reduced on the way, resumable."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mts1b.backtester.backends import BACKENDS, PRECISIONS
from mts1b.backtester.gpu_detect import check_execution
from mts1b.foundation.clock import NS_PER_S, Clock
from mts1b.foundation.errors import InputError, unknown_name
from mts1b.foundation.limits import TOP_K_MAX
from mts1b.quantkit.metrics import BARS_PER_YEAR, equity
from mts1b.quantkit.overfitting import deflated_sharpe, expected_maximum_sharpe
from mts1b.research.accounting import (
    Floats,
    Sample,
    account,
    check_subset,
    returns_by_tasks,
    sampled_numbers,
    sampled_returns,
    samples,
)
from mts1b.research.chunks import SweepWork, evaluate_chunks
from mts1b.research.plan import METRIC_SETS, Chunk, SweepPlan, SweepSpec, plan_sweep, tasks
from mts1b.research.reduction import Reduction, Row
from mts1b.research.runner import Runner
from mts1b.research.store import SweepStore
from mts1b.research.summary import TOP_CURVES, SweepSummary
from mts1b.research.walk_forward import judge_folds
from mts1b.strategy.panel import Panel


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a sweep is. What was found stored counts as done; `elapsed_ns` is wall time so far."""

    chunks_done: int
    chunks_total: int
    combinations_done: int
    combinations_total: int
    elapsed_ns: int


ProgressListener = Callable[[Progress], None]


def run_sweep(
    spec: SweepSpec,
    panel: Panel,
    runner: Runner,
    results_root: Path,
    clock: Clock,
    on_progress: ProgressListener | None = None,
) -> SweepSummary:
    """Compute what is not stored yet, store it, and sum up the whole.

    Memory does not grow with the number of combinations. The same sweep again computes nothing; one that was killed
    computes what is missing. InputError when the strategy needs more bars than the panel has; StackError when results
    cannot be written; DataError when stored ones are damaged.
    """
    check_spec(spec, panel)
    started = clock.monotonic_ns()
    plan = plan_sweep(spec, panel)
    store = SweepStore(results_root, plan)
    reduction = Reduction(spec.top_k, len(spec.folds))
    finished = store.finished()
    done = 0

    def tell() -> None:
        if on_progress is not None:
            elapsed = clock.monotonic_ns() - started
            on_progress(Progress(done, len(plan.chunks), reduction.combinations, plan.combinations, elapsed))

    for chunk in plan.chunks:
        if chunk in finished:
            reduction.add(chunk, store.read(chunk))
            done += 1
    tell()
    missing = [chunk for chunk in plan.chunks if chunk not in finished]
    bars, names = panel.close.shape
    work = SweepWork(spec, panel)
    # What trials are counted by comes last, for workers that have nothing else to do while others finish.
    sample = samples(sampled_numbers(plan, spec.grid), runner.workers) if missing else []
    returns: dict[Sample, Floats] = {}
    parts: list[tuple[Chunk, ...] | Sample] = [*tasks(missing, bars, names, runner.workers), *sample]
    for part, computed in runner.run(sweep_task, work, parts):
        if isinstance(part, Sample):
            returns[part] = computed
            continue
        for chunk, rows in zip(part, computed, strict=True):
            store.write(chunk, rows)
            reduction.add(chunk, rows)
            done += 1
            tell()
    sampled = np.concatenate([returns[part] for part in sample]) if sample else None
    summary = _sum_up(work, plan, store, reduction, runner, len(finished), sampled)
    summary = replace(summary, seconds=(clock.monotonic_ns() - started) / NS_PER_S)
    store.write_json("summary.json", summary.to_dict())
    return summary


def sweep_task(work: SweepWork, part: tuple[Chunk, ...] | Sample) -> Any:
    """One task of a sweep: the rows of each chunk, or the returns of a sample."""
    return sampled_returns(work, part) if isinstance(part, Sample) else evaluate_chunks(work, part)


def check_spec(spec: SweepSpec, panel: Panel) -> None:
    """InputError, before anything is computed, for a sweep that cannot give a result."""
    if not 1 <= spec.top_k <= TOP_K_MAX:
        raise InputError("top", spec.top_k, "out of range", f"ask for 1 to {TOP_K_MAX}")
    if spec.backend not in BACKENDS:
        raise unknown_name("backend", spec.backend, BACKENDS)
    if spec.backend == "gpu":
        check_execution(spec.execution)
    if spec.precision not in PRECISIONS:
        raise unknown_name("precision", spec.precision, PRECISIONS)
    if spec.metrics not in METRIC_SETS:
        raise unknown_name("metrics", spec.metrics, METRIC_SETS)
    check_subset(spec.subset)
    spec.execution.check_panel(panel)
    bars = len(panel.ts_ns)
    # A window is longest at one end of its axis, so the corners of the grid bound every combination.
    for grid in [spec.grid] if spec.subset is None else [spec.grid, spec.subset]:
        for place in (0, -1):
            corner = {axis.name: axis.values[place] for axis in grid.axes}
            spec.strategy.check_history(corner, bars)


def _sum_up(
    work: SweepWork,
    plan: SweepPlan,
    store: SweepStore,
    reduction: Reduction,
    runner: Runner,
    skipped: int,
    sampled: Floats | None,
) -> SweepSummary:
    """`sampled`: the returns that trials are counted by, where they are at hand."""
    spec, panel = work.spec, work.panel
    bars, names = panel.close.shape
    top = reduction.top()
    if not top:
        raise InputError("grid", spec.grid.text, "no combination has a Sharpe ratio", "check the bars and the grid")
    best = top[0]
    trials = reduction.sharpe_moments()
    per_bar = trials.variance / BARS_PER_YEAR
    _store_curves(work, store, runner, top)

    def sample() -> Floats:
        return returns_by_tasks(work, runner, sampled_numbers(plan, spec.grid)) if sampled is None else sampled

    return SweepSummary(
        key=plan.key,
        strategy=spec.strategy.name,
        grid=spec.grid.text,
        bars=bars,
        symbols=names,
        trials=trials.count,
        best={name: best[name] for name in spec.strategy.params},
        sharpe=best["sharpe"],
        deflated_sharpe=deflated_sharpe(
            best["sharpe"] / math.sqrt(BARS_PER_YEAR), trials.count, per_bar, bars, best["skew"], best["kurtosis"]
        ),
        sharpe_by_luck=expected_maximum_sharpe(trials.count, trials.variance),
        sharpe_mean=trials.mean,
        sharpe_deviation=math.sqrt(trials.variance),
        top=tuple(_shown(row) for row in top),
        chunks_computed=len(plan.chunks) - skipped,
        chunks_skipped=skipped,
        seconds=0.0,
        table=store.table,
        folder=str(store.folder),
        data_version=panel.data_version,
        code_version=plan.manifest["code"],
        accounting=account(work, store, runner, best, trials, sample),
        warnings=spec.warnings,
        backend=spec.backend,
        walk_forward=judge_folds(spec, panel, reduction.choices()) if spec.folds else None,
    )


def _store_curves(work: SweepWork, store: SweepStore, runner: Runner, top: Sequence[Row]) -> None:
    """Worth of 1.0 after each bar for each of the best rows, beside the table: columns `rank1`, `rank2`, ..."""
    ranks = [f"rank{place}" for place in range(1, len(top) + 1)]
    if store.has_columns(TOP_CURVES, ["ts_ns", *ranks]):
        return  # the table is whole, so the best of it are still the same
    numbers = np.array([row["combination"] for row in top], dtype=np.int64)
    curves = equity(returns_by_tasks(work, runner, numbers))
    store.write_table(TOP_CURVES, pl.DataFrame({"ts_ns": work.panel.ts_ns, **dict(zip(ranks, curves, strict=True))}))


def _shown(row: Row) -> Row:
    return {name: value for name, value in row.items() if not name.startswith("fold")}

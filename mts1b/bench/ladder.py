"""The ladder, whole: every combination through Ray, stored, reduced and accounted for.

100,000 combinations of the moving-average cross x 1,000 made-up names x 2,520 days, portfolio form, next open,
costs on, default metrics. Before anything is claimed, rows of the table it wrote are compared with the reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mts1b.backtester import METRICS, Execution, evaluate
from mts1b.bench.cluster import OwnCluster, own_cluster
from mts1b.bench.equal import require_equal
from mts1b.bench.kernel_time import TimedRunner
from mts1b.bench.memory import peak_memory
from mts1b.bench.result import BenchResult
from mts1b.bench.session import Session
from mts1b.bench.universe import made_up_panel
from mts1b.config import Settings
from mts1b.foundation.clock import NS_PER_S
from mts1b.research.grid import Grid
from mts1b.research.ladder import Progress, run_sweep
from mts1b.research.plan import SweepSpec
from mts1b.research.store import read_table
from mts1b.strategy import Strategy, close, get_strategy, param, sma, strategy, where
from mts1b.strategy.panel import Panel

NAMES, BARS = 1_000, 2_520

HUNDRED_THOUSAND = {"fast": "5:255", "slow": "20:420"}
MILLION = {"fast": "2:1002", "slow": "2:1002"}
QUICK = {"fast": "5:25", "slow": "30:62"}
QUICK_MORE = {"fast": "5:45", "slow": "30:94"}

CHECKED = 12
"""Combinations that the reference computes too, over all names: it takes about a second for each."""

PRECISION = "single"
"""As `mts sweep` has it: decisions in float64, sums of a few bars in float32 where the kernel can."""

TOLERANCE = 1e-5
"""Of a row against the float64 reference, relative and absolute: what float32 sums of a few bars leave."""

SOURCE_WALL_S = {"cpu": 36_000.0, "rtx4090": 1_800.0, "h100": 600.0}
"""What the source gives for 100,000 combinations x 1,000 names x 10 years daily: 10 hours, 30 and 10 minutes."""

SOURCE_BAR_STEPS = 100_000 * 1_000 * 2_520


@strategy
def wide_cross(fast=param(2, 1001), slow=param(2, 1001)):  # type: ignore[no-untyped-def]
    """The moving-average cross with room for a million combinations."""
    return where(sma(close, fast) > sma(close, slow), 1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Ran:
    """One sweep as it went. `kernel_s` and `busy_s` are sums over the workers."""

    combinations: int
    wall_s: float
    kernel_s: float
    busy_s: float
    peak_gb: float
    table: str


def ladder(session: Session, settings: Settings | None = None) -> BenchResult:
    """100,000 combinations. InvariantBroken when a row differs from the reference's."""
    panel = made_up_panel(session.size(NAMES, 4), session.size(BARS, 300), np.random.default_rng(0))
    with own_cluster(session, settings) as cluster:
        chosen = get_strategy("sma_cross")
        warm_up(session, chosen, panel, cluster)
        ran = sweep(session, chosen, QUICK if session.quick else HUNDRED_THOUSAND, panel, cluster)
        check_rows(session, chosen, panel, ran.table)
        figures = figures_of(ran, panel, cluster.cores)
    return BenchResult("ladder", figures, versus_source(figures["bar_steps_per_s"]))


def ladder_million(session: Session, settings: Settings | None = None) -> BenchResult:
    """1,000,000 combinations after 100,000 on the same stack: does it stay linear, and memory flat?"""
    panel = made_up_panel(session.size(NAMES, 4), session.size(BARS, 300), np.random.default_rng(0))
    with own_cluster(session, settings) as cluster:
        warm_up(session, wide_cross, panel, cluster)
        fewer = sweep(session, get_strategy("sma_cross"), QUICK if session.quick else HUNDRED_THOUSAND, panel, cluster)
        ran = sweep(session, wide_cross, QUICK_MORE if session.quick else MILLION, panel, cluster)
        check_rows(session, wide_cross, panel, ran.table)
        figures = figures_of(ran, panel, cluster.cores)
    figures["wall_s_fewer"], figures["peak_memory_gb_fewer"] = fewer.wall_s, fewer.peak_gb
    figures["ratio_to_100k"] = ran.wall_s / fewer.wall_s
    figures["memory_ratio"] = ran.peak_gb / fewer.peak_gb
    return BenchResult("ladder-million", figures, versus_source(figures["bar_steps_per_s"]))


def warm_up(session: Session, chosen: Strategy, panel: Panel, cluster: OwnCluster) -> None:
    """Start the workers, compile or load the kernel: a user pays it once a day, `compile` measures it."""
    session.tell("warming up the workers")
    ranges = QUICK if session.quick else HUNDRED_THOUSAND
    first = int(ranges["fast"].split(":")[0])
    few = {**ranges, "fast": f"{first}:{first + 2 * cluster.cores}"}
    other = replace(panel, data_version="warm-up")  # another sweep, so nothing it stores is found later
    run_sweep(spec_of(chosen, few), other, TimedRunner(cluster.runner), cluster.results, session.clock)


def spec_of(chosen: Strategy, ranges: Mapping[str, str]) -> SweepSpec:
    return SweepSpec(chosen, Grid.parse(ranges, chosen.params), Execution(), precision=PRECISION)


def sweep(session: Session, chosen: Strategy, ranges: Mapping[str, str], panel: Panel, cluster: OwnCluster) -> Ran:
    """One sweep as `mts sweep` runs it, watched."""
    spec, runner = spec_of(chosen, ranges), TimedRunner(cluster.runner)

    def told(progress: Progress) -> None:
        seconds = progress.elapsed_ns / NS_PER_S
        session.tell(f"{progress.combinations_done:,}/{progress.combinations_total:,} combinations, {seconds:.0f} s")

    with peak_memory(*cluster.roots) as memory:
        wall_s, summary = session.timed(
            lambda: run_sweep(spec, panel, runner, cluster.results, session.clock, on_progress=told)
        )
    return Ran(spec.grid.size(), wall_s, runner.kernel_s, runner.busy_s, memory.peak_gb, summary.table)


def check_rows(session: Session, chosen: Strategy, panel: Panel, table: str) -> None:
    """Compare rows of the stored table, evenly spread, with the reference's over all names."""
    session.tell("comparing with the reference")
    rows = read_table(table)
    picked = rows[np.linspace(0, rows.height - 1, CHECKED).astype(int).tolist()]
    combos: dict[str, NDArray[np.float64]] = {
        name: picked[name].to_numpy().astype(np.float64) for name in chosen.params
    }
    wanted = evaluate(chosen, combos, panel, Execution(), backend="reference")
    found = {name: picked[name].to_numpy() for name in METRICS}
    require_equal("a stored row against the reference", found, wanted.metrics, TOLERANCE)


def figures_of(ran: Ran, panel: Panel, cores: int) -> dict[str, float]:
    """`outside_kernel_share`: of the time of all cores, what was not spent inside compiled code."""
    bars, names = panel.close.shape
    return {
        "combinations": ran.combinations,
        "names": names,
        "bars": bars,
        "cores": cores,
        "wall_s": ran.wall_s,
        "kernel_s": ran.kernel_s,
        "busy_s": ran.busy_s,
        "outside_kernel_share": 1.0 - ran.kernel_s / (cores * ran.wall_s),
        "bar_steps_per_s": ran.combinations * names * bars / ran.wall_s,
        "peak_memory_gb": ran.peak_gb,
    }


def versus_source(bar_steps_per_s: float) -> dict[str, float]:
    """The source's wall times, and how many times its rate ours is."""
    found: dict[str, float] = {}
    for name, wall_s in SOURCE_WALL_S.items():
        found[f"source_{name}_wall_s"] = wall_s
        found[f"ratio_to_source_{name}"] = bar_steps_per_s * wall_s / SOURCE_BAR_STEPS
    return found

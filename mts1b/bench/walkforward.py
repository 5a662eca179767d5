"""What cross-validation costs on top of the plain sweep: the same pass over the bars, judged fold by fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mts1b.backtester import METRICS, Execution, evaluate
from mts1b.bench.cluster import OwnCluster, own_cluster
from mts1b.bench.equal import require_equal
from mts1b.bench.ladder import PRECISION, TOLERANCE
from mts1b.bench.result import BenchResult
from mts1b.bench.session import Session
from mts1b.bench.universe import made_up_panel
from mts1b.config import Settings
from mts1b.research.chunks import fold_column
from mts1b.research.folds import Fold, Validation
from mts1b.research.grid import Grid
from mts1b.research.ladder import run_sweep
from mts1b.research.plan import SweepSpec
from mts1b.research.store import read_table
from mts1b.research.summary import SweepSummary
from mts1b.strategy import get_strategy
from mts1b.strategy.panel import Panel

NAMES, BARS = 1_000, 2_520
FOLDS = 20
TRAIN_BARS, TEST_BARS = 504, 100
GRID = {"fast": "5:105", "slow": "20:420:4"}
QUICK = {"fast": "5:15", "slow": "20:84:2"}
RUNS = 2
"""Of each, in turns; the fewest seconds count."""

CHECKED = 4
"""Combinations whose test of a fold is evaluated on its own, by the reference."""


def walkforward(session: Session, settings: Settings | None = None) -> BenchResult:
    """20 rolling folds x 10,000 combinations through Ray against the same sweep without folds.

    InvariantBroken when the whole-range metrics differ, or a fold's from those of its own bars.
    """
    names, bars = session.size(NAMES, 4), session.size(BARS, 600)
    train, test = session.size(TRAIN_BARS, 200), session.size(TEST_BARS, 20)
    folds = Validation("rolling", train, test).cut(bars)[:FOLDS]
    strategy = get_strategy("sma_cross")
    grid = Grid.parse(QUICK if session.quick else GRID, strategy.params)
    panel = made_up_panel(names, bars, np.random.default_rng(0))
    plain = SweepSpec(strategy, grid, Execution(), precision=PRECISION)
    folded = replace(plain, folds=folds)
    with own_cluster(session, settings) as cluster:
        run(session, plain, panel, cluster, "warm-up")
        plain_s, folded_s = [], []
        for turn in range(RUNS):
            seconds, without = run(session, plain, panel, cluster, f"plain {turn}")
            plain_s.append(seconds)
            seconds, found = run(session, folded, panel, cluster, f"folds {turn}")
            folded_s.append(seconds)
        check(session, panel, folds, without, found)
    wall_s, plain_wall_s = min(folded_s), min(plain_s)
    figures = {"combinations": grid.size(), "folds": len(folds), "names": names, "bars": bars, "wall_s": wall_s}
    return BenchResult("walkforward", figures, {"plain_wall_s": plain_wall_s, "ratio_to_plain": wall_s / plain_wall_s})


def run(session: Session, spec: SweepSpec, panel: Panel, cluster: OwnCluster, turn: str) -> tuple[float, SweepSummary]:
    """One sweep that finds nothing stored: its data are called otherwise."""
    session.tell(turn)
    fresh = replace(panel, data_version=turn)
    return session.timed(lambda: run_sweep(spec, fresh, cluster.runner, cluster.results, session.clock))


def check(session: Session, panel: Panel, folds: Sequence[Fold], without: SweepSummary, found: SweepSummary) -> None:
    """Whole-range metrics in both; some tests of folds against the reference over their bars."""
    session.tell("comparing")
    plain, folded = read_table(without.table), read_table(found.table)
    whole = {name: plain[name].to_numpy() for name in METRICS}
    require_equal("with folds against without", {name: folded[name].to_numpy() for name in METRICS}, whole, TOLERANCE)
    picked = folded[np.linspace(0, folded.height - 1, CHECKED).astype(int).tolist()]
    strategy = get_strategy("sma_cross")
    combos = {name: picked[name].to_numpy().astype(np.float64) for name in strategy.params}
    spans = [fold.test[0] for fold in folds]
    wanted = evaluate(strategy, combos, panel, Execution(), backend="reference", periods=spans)
    for number in range(len(folds)):
        for name in ("sharpe", "total_return", "max_drawdown"):
            own = {name: wanted.metrics[name][number]}
            tested = {name: picked[fold_column(number, "test", name)].to_numpy()}
            require_equal(f"fold {number}", tested, own, TOLERANCE)

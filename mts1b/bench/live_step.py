"""One live step of every library strategy: a bar of 1,000 names in, targets out."""

from __future__ import annotations

import numpy as np

from mts1b.backtester import targets
from mts1b.bench.equal import require_equal
from mts1b.bench.result import BenchResult
from mts1b.bench.session import Session
from mts1b.bench.universe import made_up_panel
from mts1b.foundation.clock import NS_PER_MS
from mts1b.strategy import Strategy, get_strategy
from mts1b.strategy.library import names as library_names
from mts1b.strategy.panel import Panel

NAMES, WARM_BARS, STEPS = 1_000, 300, 1_000
SOURCE_P99_MS = 10.0
"""What the source allows for a strategy's signal."""


def signal(session: Session) -> BenchResult:
    """Milliseconds of a step, p50 and p99 over 1,000 bars of 1,000 names, warmed up before, for each strategy.

    `p99_ms` and `p50_ms` are those of the slowest. InvariantBroken when a step decides otherwise than the whole table.
    """
    names, warm, steps = session.size(NAMES, 20), session.size(WARM_BARS, 270), session.size(STEPS, 20)
    panel = made_up_panel(names, warm + steps, np.random.default_rng(0))
    figures: dict[str, float] = {"names": names, "steps": steps}
    slowest = (0.0, 0.0)
    for name in library_names():
        session.tell(name)
        took_ms = steps_of(session, get_strategy(name), panel, warm)
        p50, p99 = (float(np.percentile(took_ms, q)) for q in (50, 99))
        figures[f"{name}_p50_ms"], figures[f"{name}_p99_ms"] = p50, p99
        slowest = max(slowest, (p99, p50))
    figures["p99_ms"], figures["p50_ms"] = slowest
    versus = {"source_p99_ms": SOURCE_P99_MS, "ratio_to_source": SOURCE_P99_MS / slowest[0]}
    return BenchResult("signal", figures, versus)


def steps_of(session: Session, strategy: Strategy, panel: Panel, warm: int) -> list[float]:
    """Milliseconds of each step behind the first `warm` bars, whose targets are those of the whole table."""
    values = strategy.resolve({})
    stepper = strategy.stepper(values, panel.symbols, panel.sectors)
    stepper.warm(panel.rows(0, warm))
    took_ms, decided = [], []
    for t in range(warm, len(panel.ts_ns)):
        bar = [panel.field(name)[t] for name in panel.fields]
        began_ns = session.clock.monotonic_ns()
        decided.append(stepper.step(*bar))
        took_ms.append((session.clock.monotonic_ns() - began_ns) / NS_PER_MS)
    wanted = {"targets": targets(strategy, values, panel)[warm:]}
    require_equal(f"{strategy.name}: a step against the table", {"targets": np.array(decided)}, wanted, 0.0)
    return took_ms

"""One backtest, beside the source's wall-time table: the kernel, and the event engine with whole shares and cash."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from mts1b.backtester import Account, Execution, backtest, evaluate, metrics_of
from mts1b.bench.equal import require_equal
from mts1b.bench.memory import GB
from mts1b.bench.minute import MONTHS, minute_rows
from mts1b.bench.result import BenchResult
from mts1b.bench.session import Session
from mts1b.bench.universe import made_up_panel
from mts1b.strategy import get_strategy

BARS = 2_520
VALUES = {"fast": 20.0, "slow": 100.0}
COMBOS = {name: np.array([value]) for name, value in VALUES.items()}
RUNS = 10
MB_PER_GB = 1_000.0

SOURCE_WALL_S = {
    "100": {"cpu": 8.0, "rtx4090": 1.2},
    "1000": {"cpu": 95.0, "rtx4090": 4.8},
    "minute_1000": {"cpu": 1_080.0, "rtx4090": 38.0, "h100": 14.0},
}
"""The source's seven rows: names (over 10 years of daily bars, or of 1-minute bars) -> machine -> seconds."""


def daily(session: Session) -> dict[str, float]:
    """Seconds of one warm run over 10 years of daily bars, for both sizes of universe."""
    figures: dict[str, float] = {}
    for size in (100, 1_000):
        names = session.size(size, size // 50)
        session.tell(f"{names} names, daily")
        panel = made_up_panel(names, session.size(BARS, 300), np.random.default_rng(0))
        strategy, execution = get_strategy("sma_cross"), Execution()
        wanted = evaluate(strategy, COMBOS, panel, execution, backend="reference").metrics
        found = evaluate(strategy, COMBOS, panel, execution).metrics
        require_equal("kernel against reference", found, wanted)
        account = metrics_of(backtest(strategy, VALUES, panel, Account.matching(execution)))
        require_equal("event engine's trades", {"trades": np.array([account["trades"]])}, {"trades": wanted["trades"]})
        kernel_s, _ = session.best_of(RUNS, lambda: evaluate(strategy, COMBOS, panel, execution))  # noqa: B023
        event_s, _ = session.best_of(RUNS, lambda: backtest(strategy, VALUES, panel))  # noqa: B023
        figures[f"kernel_{size}_wall_s"], figures[f"event_{size}_wall_s"] = kernel_s, event_s
    return figures


def minute(session: Session) -> dict[str, float]:
    """1-minute bars of 100 names over 10 years, from the lake's files to metrics, warm."""
    return minute_figures(session, session.size(100, 2))


def minute_figures(session: Session, names: int) -> dict[str, float]:
    """Figures of `mts1b.bench.minute` under the name that its row has here."""

    def told(made: int, months: int) -> None:
        session.tell(f"{names} names, 1-minute bars: month {made} of {months} made")

    found = minute_rows(session.clock, names, session.size(MONTHS, 2), told)
    prefix = f"minute_{names}"
    figures = {f"kernel_{prefix}_wall_s": found["wall_s"], f"{prefix}_bars_per_s": found["bars_per_s"]}
    figures |= {
        name.replace("speed_up", f"{prefix}_speed_up"): value for name, value in found.items() if "speed_up" in name
    }
    figures |= {f"{prefix}_bars": found["bars"], f"{prefix}_peak_memory_gb": found["peak_memory_mb"] / MB_PER_GB}
    return figures | {f"{prefix}_made_s": found["made_s"], f"{prefix}_stored_gb": found["stored_bytes"] / GB}


PARTS: list[Callable[[Session], Mapping[str, float]]] = [daily, minute]
"""What `single` measures, part by part. Figures named `kernel_SIZE_wall_s` or `event_SIZE_wall_s` get their ratios."""


def single(session: Session) -> BenchResult:
    """All parts. InvariantBroken when the kernel differs from the reference or the event engine trades otherwise."""
    figures: dict[str, float] = {}
    for part in PARTS:
        figures |= part(session)
    return BenchResult("single", figures, beside_the_source(figures))


def single_minute(session: Session) -> BenchResult:
    """The source's rows of 1-minute bars at their full size: 983 million bars, streamed; 12 GB of disk for a while."""
    figures = minute_figures(session, session.size(1_000, 3))
    return BenchResult("single-minute", figures, beside_the_source(figures))


def beside_the_source(figures: Mapping[str, float]) -> dict[str, float]:
    """For each of the source's rows that we measured: its seconds, and how many times faster ours is."""
    found: dict[str, float] = {}
    for size, walls in SOURCE_WALL_S.items():
        for machine, wall_s in walls.items():
            found[f"source_{size}_{machine}_wall_s"] = wall_s
            for engine in ("kernel", "event"):
                if f"{engine}_{size}_wall_s" in figures:
                    found[f"ratio_{engine}_{size}_to_{machine}"] = wall_s / figures[f"{engine}_{size}_wall_s"]
    return found

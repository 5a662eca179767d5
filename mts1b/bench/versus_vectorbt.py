"""The same grid, prices and fees in vectorbt 1.2.0 and here, from prices to total return and Sharpe by column.

A column is one combination over one name with money of its own: all of it in the name, or none. Both are timed warm and
in one process; ours uses one core, vectorbt what it likes.
"""

from __future__ import annotations

import gc
import json
import math
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from mts1b.backtester import Execution, evaluate
from mts1b.backtester.evaluation import NAME_METRICS
from mts1b.bench.equal import require_equal
from mts1b.bench.memory import GB, peak_memory
from mts1b.bench.peers import peers_python
from mts1b.bench.result import BenchResult
from mts1b.bench.session import Session
from mts1b.bench.universe import made_up_panel
from mts1b.foundation.errors import InvariantBroken
from mts1b.strategy import get_strategy
from mts1b.strategy.panel import Panel

Floats = NDArray[np.float64]

NAMES, BARS = 100, 2_520
FAST, SLOW = np.arange(5.0, 15.0), np.arange(20.0, 30.0)
PEER = Path(__file__).with_name("peer_vectorbt.py")
PEER_RUNS, RUNS = 2, 5
PEER_TIMEOUT_S = 900

RETURN_TOLERANCE = 1e-9

EXECUTION = Execution(capital_by="sleeve", band=math.inf)
"""A sleeve for each name, all in or all out, so that nothing is there to restore."""


@dataclass(frozen=True, slots=True)
class PeerRun:
    """What the peer gave: tables [C, S], seconds of its last run, the most memory its process held."""

    tables: Mapping[str, Floats]
    wall_s: float
    peak_bytes: int


def ladder_vs_vectorbt(session: Session) -> BenchResult:
    """100 combinations x 100 names x 2,520 days in both.

    InvariantBroken unless orders and trades are equal in number and total returns to 1e-9 in each column.
    """
    names, bars, step = session.size(NAMES, 3), session.size(BARS, 300), session.size(1, 5)
    panel = continuous(made_up_panel(names, bars, np.random.default_rng(0)))
    fast, slow = (grid.ravel() for grid in np.meshgrid(FAST[::step], SLOW[::step], indexing="ij"))
    combos = {"fast": fast, "slow": slow}
    python = peers_python(session)
    session.tell("vectorbt")
    peer = run_peer(python, panel, combos)
    session.tell("ours")
    ours = by_column(panel, combos)
    compare(ours, peer.tables)
    wall_s, held_bytes = measured(session, panel, combos)
    steps = len(fast) * names * bars
    figures = {"combinations": len(fast), "names": names, "bars": bars, "wall_s": wall_s}
    figures |= {"bar_steps_per_s": steps / wall_s, "peak_memory_gb": held_bytes / GB}
    versus = {"vectorbt_wall_s": peer.wall_s, "vectorbt_bar_steps_per_s": steps / peer.wall_s}
    versus |= {"vectorbt_peak_memory_gb": peer.peak_bytes / GB, "ratio_to_vectorbt": peer.wall_s / wall_s}
    return BenchResult("ladder-vs-vectorbt", figures, versus | {"memory_ratio": held_bytes / peer.peak_bytes})


def continuous(panel: Panel) -> Panel:
    """Prices off the tick: two averages that are equal to the last bit would be a matter of rounding."""
    from dataclasses import replace

    noise = np.exp(np.random.default_rng(1).normal(0.0, 1e-5, panel.close.shape))
    close, opened = panel.close * noise, panel.open / noise
    return replace(panel, close=close, open=opened, high=np.maximum(opened, close), low=np.minimum(opened, close))


def by_column(panel: Panel, combos: Mapping[str, Floats]) -> dict[str, Floats]:
    """Ours, name of the metric -> [C, S]."""
    found = evaluate(get_strategy("sma_cross"), combos, panel, EXECUTION, by_name=True)
    assert found.by_name is not None  # asked for
    return dict(zip(NAME_METRICS, found.by_name, strict=True))


def measured(session: Session, panel: Panel, combos: Mapping[str, Floats]) -> tuple[float, int]:
    """Seconds of the best of some warm runs; bytes that this whole process held at the most while they ran."""
    gc.collect()
    with peak_memory(os.getpid()) as memory:
        wall_s, _ = session.best_of(RUNS, lambda: by_column(panel, combos))
    return wall_s, max(memory.peak_bytes, psutil.Process().memory_info().rss)


def compare(ours: Mapping[str, Floats], peer: Mapping[str, Floats]) -> None:
    """Counts equal exactly, returns and Sharpe ratios to RETURN_TOLERANCE."""
    for name, theirs in (("trades", "orders"), ("entries", "trades")):
        if not np.array_equal(ours[name], peer[theirs]):
            differ = int((ours[name] != peer[theirs]).sum())
            raise InvariantBroken(name, differ, f"columns with another number than vectorbt's {theirs}")
    require_equal("vectorbt", ours, {"total_return": peer["total_return"]}, RETURN_TOLERANCE)
    invested = peer["orders"] > 0  # without a trade vectorbt's ratio is NaN or infinite, ours NaN
    require_equal("vectorbt", {"sharpe": ours["sharpe"][invested]}, {"sharpe": peer["sharpe"][invested]}, 1e-8)


def run_peer(python: Path, panel: Panel, combos: Mapping[str, Floats]) -> PeerRun:
    """Hand the prices over in files and read its tables back. InvariantBroken when it fails."""
    with tempfile.TemporaryDirectory(prefix="mts1b-peer-") as name:
        folder = Path(name)
        np.save(folder / "open.npy", panel.open)
        np.save(folder / "close.npy", panel.close)
        task = {key: values.astype(int).tolist() for key, values in combos.items()}
        (folder / "task.json").write_text(json.dumps({**task, "fees": EXECUTION.cost}))
        words = [str(python), "-P", str(PEER), name, str(PEER_RUNS)]
        ran = subprocess.run(words, capture_output=True, text=True, timeout=PEER_TIMEOUT_S, check=False)
        if ran.returncode:
            raise InvariantBroken("vectorbt", ran.returncode, ran.stderr.strip()[-500:])
        told = json.loads((folder / "done.json").read_text())
        tables = {key: np.load(folder / f"{key}.npy") for key in ("total_return", "sharpe", "orders", "trades")}
    return PeerRun(tables, float(told["seconds"][-1]), int(told["peak_bytes"]))

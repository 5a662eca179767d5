"""The same grid, prices and fees in vectorbt 1.2.0 and here, from prices to total return and Sharpe by column.

A column is one combination over one name with money of its own: all of it in the name, or none. Each side is a process
of its own that reads the same files, is timed from its second run on, and tells the most memory it ever held.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mts1b.bench import columns_task
from mts1b.bench.equal import require_equal
from mts1b.bench.memory import GB
from mts1b.bench.peers import peers_python
from mts1b.bench.result import BenchResult
from mts1b.bench.session import Session
from mts1b.bench.universe import made_up_panel
from mts1b.foundation.errors import InvariantBroken
from mts1b.strategy.panel import Panel

Floats = NDArray[np.float64]

NAMES, BARS = 100, 2_520
FAST, SLOW = np.arange(5.0, 15.0), np.arange(20.0, 30.0)
PEER = Path(__file__).with_name("peer_vectorbt.py")
PEER_RUNS, RUNS = 3, 30
TIMEOUT_S = 900

RETURN_TOLERANCE = 1e-9
TABLES = ("total_return", "sharpe", "orders", "trades")


@dataclass(frozen=True, slots=True)
class Side:
    """What one side gave: tables [C, S], seconds of its best warm run, the most memory its process held."""

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
    peer_words = [str(peers_python(session)), "-P", str(PEER)]
    our_words = [sys.executable, "-P", "-m", columns_task.__name__]
    with tempfile.TemporaryDirectory(prefix="mts1b-peer-") as name:
        folder = Path(name)
        hand_over(folder, panel, {"fast": fast, "slow": slow})
        session.tell("vectorbt")
        peer = run_side(peer_words, folder, PEER_RUNS)
        session.tell("ours")
        run_side(our_words, folder, 1)  # compiles
        ours = run_side(our_words, folder, RUNS)
    compare(ours.tables, peer.tables)
    steps = len(fast) * names * bars
    figures = {"combinations": len(fast), "names": names, "bars": bars, "wall_s": ours.wall_s}
    figures |= {"bar_steps_per_s": steps / ours.wall_s, "peak_memory_gb": ours.peak_bytes / GB}
    versus = {"vectorbt_wall_s": peer.wall_s, "vectorbt_bar_steps_per_s": steps / peer.wall_s}
    versus |= {"vectorbt_peak_memory_gb": peer.peak_bytes / GB, "ratio_to_vectorbt": peer.wall_s / ours.wall_s}
    return BenchResult("ladder-vs-vectorbt", figures, versus | {"memory_ratio": ours.peak_bytes / peer.peak_bytes})


def continuous(panel: Panel) -> Panel:
    """Prices off the tick: two averages that are equal to the last bit would be a matter of rounding."""
    noise = np.exp(np.random.default_rng(1).normal(0.0, 1e-5, panel.close.shape))
    close, opened = panel.close * noise, panel.open / noise
    return replace(panel, close=close, open=opened, high=np.maximum(opened, close), low=np.minimum(opened, close))


def hand_over(folder: Path, panel: Panel, combos: Mapping[str, Floats]) -> None:
    """Write what both sides read."""
    np.save(folder / "open.npy", panel.open)
    np.save(folder / "close.npy", panel.close)
    task = {key: values.astype(int).tolist() for key, values in combos.items()}
    (folder / "task.json").write_text(json.dumps({**task, "fees": columns_task.EXECUTION.cost}))


def run_side(words: Sequence[str], folder: Path, runs: int) -> Side:
    """Run one side and read what it wrote. InvariantBroken when it fails."""
    line = [*words, str(folder), str(runs)]
    ran = subprocess.run(line, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if ran.returncode:
        raise InvariantBroken("process", " ".join(words), f"ended with {ran.returncode}: {ran.stderr.strip()[-500:]}")
    told = json.loads((folder / "done.json").read_text())
    tables = {key: np.load(folder / f"{key}.npy") for key in TABLES}
    return Side(tables, min(told["seconds"][1:] or told["seconds"]), int(told["peak_bytes"]))


def compare(ours: Mapping[str, Floats], peer: Mapping[str, Floats]) -> None:
    """Counts equal exactly, returns to RETURN_TOLERANCE, Sharpe ratios too where there was a trade."""
    for name in ("orders", "trades"):
        if not np.array_equal(ours[name], peer[name]):
            raise InvariantBroken(
                name, int((ours[name] != peer[name]).sum()), "columns with another number than vectorbt"
            )
    require_equal("vectorbt", ours, {"total_return": peer["total_return"]}, RETURN_TOLERANCE)
    invested = peer["orders"] > 0  # without a trade the ratio is no number, and not the same one
    require_equal("vectorbt", {"sharpe": ours["sharpe"][invested]}, {"sharpe": peer["sharpe"][invested]}, 1e-8)

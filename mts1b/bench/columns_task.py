"""Our side of `ladder-vs-vectorbt`, in a process of its own; it reads and writes what `peer_vectorbt.py` does.

python -m mts1b.bench.columns_task FOLDER RUNS
"""

from __future__ import annotations

import json
import math
import os
import resource
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mts1b.backtester import Execution, by_column
from mts1b.bench.session import Session
from mts1b.foundation.clock import NS_PER_DAY, SystemClock
from mts1b.strategy import get_strategy
from mts1b.strategy.panel import Panel

Floats = NDArray[np.float64]

EXECUTION = Execution(capital_by="sleeve", band=math.inf)
"""A sleeve for each name, all in or all out, so that nothing is there to restore."""

WRITTEN = {"total_return": "total_return", "sharpe": "sharpe", "trades": "orders", "entries": "trades"}
"""Our name for a metric of a column -> vectorbt's: it calls each fill an order, each position opened a trade."""


def main(folder: Path, runs: int) -> None:
    session, threads = Session(SystemClock()), len(os.sched_getaffinity(0))
    task = json.loads((folder / "task.json").read_text())
    bars = bars_of(np.load(folder / "open.npy"), np.load(folder / "close.npy"))
    combos = {name: np.array(task[name], dtype=np.float64) for name in ("fast", "slow")}
    seconds = []
    for _ in range(runs):
        took, found = session.timed(lambda: simulated(bars, combos, threads))
        seconds.append(took)
    for name, values in found.items():
        np.save(folder / f"{WRITTEN[name]}.npy", values)
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    (folder / "done.json").write_text(json.dumps({"seconds": seconds, "peak_bytes": peak_bytes}))


def bars_of(opened: Floats, close: Floats) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Open, high, low, close and volume as they would come from a file; three of them nothing here reads."""
    return opened, np.maximum(opened, close), np.minimum(opened, close), close, np.ones_like(close)


def simulated(
    bars: tuple[Floats, Floats, Floats, Floats, Floats], combos: dict[str, Floats], threads: int = 1
) -> dict[str, Floats]:
    """From prices to metrics by column: the panel is made and checked each time."""
    count, names = bars[0].shape
    symbols = tuple(str(number) for number in range(names))
    panel = Panel(np.arange(count, dtype=np.int64) * NS_PER_DAY, symbols, *bars)
    return by_column(get_strategy("sma_cross"), combos, panel, EXECUTION, threads)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

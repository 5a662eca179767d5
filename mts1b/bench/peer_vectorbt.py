"""vectorbt's side of `ladder-vs-vectorbt`, run by the interpreter of the peers' environment: nothing of ours in it.

    python peer_vectorbt.py FOLDER RUNS

FOLDER holds open.npy and close.npy [T, S] and task.json: `fast`, `slow` (one value for each combination) and `fees`, a
fraction of the traded value. Written there: total_return.npy, sharpe.npy, orders.npy, trades.npy, all [C, S], and
done.json with the seconds of each run and the most memory the process held.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from timeit import default_timer
from typing import Any

import numpy as np
import pandas as pd
import vectorbt

BARS_PER_YEAR = 252


def main(folder: Path, runs: int) -> None:
    vectorbt.settings["returns"]["year_freq"] = f"{BARS_PER_YEAR} days"
    task = json.loads((folder / "task.json").read_text())
    opened, close = np.load(folder / "open.npy"), np.load(folder / "close.npy")
    seconds, found = [], {}
    for _ in range(runs):
        began = default_timer()
        portfolio = simulated(opened, close, task)
        found = {"total_return": portfolio.total_return(), "sharpe": portfolio.sharpe_ratio()}
        seconds.append(default_timer() - began)
        found |= {"orders": portfolio.orders.count(), "trades": portfolio.trades.count()}
    shape = (len(task["fast"]), close.shape[1])
    for name, values in found.items():
        np.save(folder / f"{name}.npy", values.to_numpy().astype(np.float64).reshape(shape))
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    version = vectorbt.__version__
    (folder / "done.json").write_text(json.dumps({"seconds": seconds, "peak_bytes": peak_bytes, "version": version}))


def simulated(opened: Any, close: Any, task: dict[str, Any]) -> Any:
    """Long while the fast average is above the slow one: decided on a close, filled at the next open, all in."""
    days = pd.date_range("2012-01-02", periods=len(close), freq="D")
    price = pd.DataFrame(close, index=days)
    fast = vectorbt.MA.run(price, task["fast"], short_name="fast")
    slow = vectorbt.MA.run(price, task["slow"], short_name="slow")
    above = fast.ma_above(slow)
    count = len(task["fast"])
    return vectorbt.Portfolio.from_signals(
        pd.DataFrame(np.tile(close, count), index=days, columns=above.columns),
        above.vbt.fshift(1, fill_value=False),
        (~above).vbt.fshift(1, fill_value=False),
        price=pd.DataFrame(np.tile(opened, count), index=days, columns=above.columns),
        size=np.inf,
        fees=task["fees"],
        init_cash=100.0,
        freq="1D",
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

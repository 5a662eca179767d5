"""The source's example of many single runs, `ProcessPoolExecutor` over `run_one_param_set`: the rows of the sweep."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mts1b.backtester import METRICS, Execution, evaluate
from mts1b.datalake import open_lake, sample_path
from mts1b.strategy import get_strategy

SYMBOLS = ("AAPL", "GE", "IBM", "JNJ", "KO", "MSFT", "WMT", "XOM")
PAIRS = [(5, 50), (10, 100), (20, 100), (20, 200), (50, 200)]

SCRIPT = """
import json, sys
from dataclasses import replace
from mts1b.backtester import Account, Execution
from mts1b.research.single import RunRequest, run_one_param_set

account = Account.matching(Execution(delist_after_bars=20))
base = RunRequest("sma_cross", lake_root=sys.argv[1], symbols=tuple(sys.argv[2].split(",")), account=account)
param_grid = [replace(base, values={"fast": fast, "slow": slow}) for fast, slow in json.loads(sys.argv[3])]

# Use ProcessPoolExecutor
from concurrent.futures import ProcessPoolExecutor
with ProcessPoolExecutor(max_workers=8) as ex:
    results = list(ex.map(run_one_param_set, param_grid))
print(json.dumps(results))
"""

TOLERANCES = {
    "total_return": {"rel": 0.03, "abs": 0.005},
    "cagr": {"rel": 0.03, "abs": 0.001},
    "volatility": {"rel": 0.005},
    "sharpe": {"abs": 0.02},
    "max_drawdown": {"abs": 0.005},
    "turnover": {"rel": 0.15},
    "exposure": {"rel": 0.002},
    "costs": {"rel": 0.15},
    "trades": {"rel": 0.0, "abs": 0.0},
}
"""Of the plain sweep, which is the books' first order. Ten years of real bars: the ladder adds within a bar where the
books multiply (`test_event_properties` bounds each bar), and pays for restoring a name's drift as if the rest of the
portfolio had stood still, which errs on the careful side. Skewness and kurtosis follow the largest bars and are left to
that bound."""


@pytest.fixture(scope="module")
def lake_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "lake"
    open_lake(root).equities.bars.ingest(sample_path())
    return root


def test_the_example_as_written_gives_the_rows_of_the_ladder(lake_root: Path) -> None:
    words = [str(lake_root), ",".join(SYMBOLS), json.dumps(PAIRS)]
    done = subprocess.run([sys.executable, "-c", SCRIPT, *words], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    fast, slow = np.array(PAIRS, dtype=float).T
    panel = open_lake(lake_root).equities.bars.panel(list(SYMBOLS))
    books, ladder = (
        evaluate(get_strategy("sma_cross"), {"fast": fast, "slow": slow}, panel, execution).metrics
        for execution in (Execution(delist_after_bars=20), Execution())
    )
    assert [(row["fast"], row["slow"]) for row in rows] == PAIRS
    for name in METRICS:  # a sweep that keeps books keeps the same ones
        assert [row[name] for row in rows] == pytest.approx(books[name].tolist(), rel=1e-9, abs=1e-12), name
    for name, tolerance in TOLERANCES.items():
        assert [row[name] for row in rows] == pytest.approx(ladder[name].tolist(), **tolerance), name
    assert all(row["costs"] <= paid for row, paid in zip(rows, ladder["costs"], strict=True))
    assert np.argmax([row["sharpe"] for row in rows]) == np.argmax(ladder["sharpe"])


def test_a_forked_worker_refuses_what_it_could_only_wait_for(lake_root: Path) -> None:
    script = """
import os, sys
from dataclasses import replace
from mts1b.research.single import RunRequest
request = RunRequest("sma_cross", lake_root=sys.argv[1], symbols=("AAPL",))
if os.fork() == 0:
    try:
        replace(request, values={"slow": 30})
        replace(request, symbols=("MSFT",))
    except Exception as error:
        print(error)
    sys.stdout.flush()
    os._exit(0)
os.wait()
"""
    done = subprocess.run([sys.executable, "-c", script, str(lake_root)], capture_output=True, text=True, timeout=120)
    assert done.stdout.startswith("symbols=('MSFT',): bars that were not read before this worker was forked")

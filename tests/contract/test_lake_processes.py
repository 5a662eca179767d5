"""The lake under processes of its own: killed in the middle of a write, writing at the same time, read meanwhile."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mts1b.config import child_environment
from mts1b.datalake import open_lake
from tests.contract import lake_writer
from tests.contract.lake_writer import rows_of

ROOT = Path(__file__).parents[2]
KILLS, WRITES_MAX = 200, 600
KEY = ["symbol", "ts", "sequence"]


def started(*words: str, **given: object) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", lake_writer.__name__, *words], cwd=ROOT, text=True, **given)


def applied(state: pl.DataFrame, number: int) -> pl.DataFrame:
    """What the table holds after write `number`."""
    if number % 10 == 3:
        return state
    rows = rows_of(number).cast(dict(state.schema)) if state.width else rows_of(number)
    if number % 10 == 7 or not state.width:
        return rows.sort(KEY)
    return pl.concat([state.join(rows, on=KEY, how="anti"), rows]).sort(KEY)


@pytest.mark.timeout(900)
def test_whatever_write_is_killed_a_reader_sees_a_whole_version(tmp_path: Path) -> None:
    random, trades = np.random.default_rng(11), open_lake(tmp_path).equities.trades
    environment = child_environment(POLARS_MAX_THREADS="1")
    with started("kill", str(tmp_path), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as child:
        assert child.stdin is not None and child.stdout is not None

        def ask(number: int, delay_s: float) -> str:
            child.stdin.write(f"{number} {delay_s}\n")
            child.stdin.flush()
            return child.stdout.readline().strip()

        began = time.monotonic()
        assert [ask(number, -1) for number in (0, 1, 2)] == ["done"] * 3
        usual_s = (time.monotonic() - began) / 3
        state = applied(applied(applied(pl.DataFrame(), 0), 1), 2)
        ends = {"killed": 0, "done": 0}
        for number in range(3, 3 + WRITES_MAX):
            if ends["killed"] == KILLS:
                break
            began = time.monotonic()
            ended = ask(number, random.uniform(0.0, 1.1 * usual_s))
            ends[ended] += 1
            usual_s = time.monotonic() - began if ended == "done" else usual_s
            found, after = trades.read(start="2000-01-01"), applied(state, number)
            assert found.equals(state.cast(dict(found.schema))) or found.equals(after.cast(dict(found.schema))), number
            state = found
        child.stdin.close()
    assert trades.verify() == state.height and ends["killed"] == KILLS, ends
    kept = set(trades.stored().files())
    trades.forget(older_than_s=0)
    assert {str(path) for path in tmp_path.rglob("*.parquet") if "_delta_log" not in str(path)} == kept
    assert trades.read(start="2000-01-01").equals(state)


def test_writers_lose_nothing_and_readers_never_fail_while_files_are_put_together(tmp_path: Path) -> None:
    store = open_lake(tmp_path).equities.trades
    store.upsert(rows_of(0))
    before, count = store.stored().rows, 25
    tasks = [("upsert", str(tmp_path), name, str(count)) for name in ("X", "Y")] + [("compact", str(tmp_path), "40")]
    running = [started(*task) for task in tasks]
    heights, reads = [before], 0
    while any(process.poll() is None for process in running):
        heights.append(open_lake(tmp_path).equities.trades.read(start="2000-01-01").height)
        heights.append(store.read(start="2000-01-01").height)
        reads += 2
    assert [process.wait() for process in running] == [0, 0, 0]
    assert heights == sorted(heights) and reads > 10
    found = store.read(["X", "Y"])
    assert found.height == 2 * count and store.verify() == before + 2 * count
    assert all(found.filter(pl.col("symbol") == name)["price"].sort().to_list() == list(range(count)) for name in "XY")

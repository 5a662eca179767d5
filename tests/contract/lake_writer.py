"""Writes into a lake from processes that may be killed at any moment: run by the tests beside it.

python -m tests.contract.lake_writer kill ROOT        forks a writer for each line `NUMBER DELAY_S` and kills it
python -m tests.contract.lake_writer upsert ROOT NAME COUNT
python -m tests.contract.lake_writer compact ROOT COUNT
"""

from __future__ import annotations

import os
import signal
import sys
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pyarrow.compute  # noqa: F401 - what polars imports when it first sees a column of Arrow's

from mts1b.datalake import open_lake
from mts1b.datalake.dataset import Dataset

FIRST = datetime(2024, 1, 20, tzinfo=UTC)


def rows_of(number: int) -> pl.DataFrame:
    """What write `number` puts in: some names on some days over three months, all at the price of its number."""
    random = np.random.default_rng(number)
    keys = {("ABCDEFGH"[random.integers(8)], int(random.integers(0, 60))) for _ in range(30)}
    rows = [(name, FIRST + timedelta(days=day), 0, float(number), 1.0) for name, day in sorted(keys)]
    return pl.DataFrame(rows, schema=["symbol", "ts", "sequence", "price", "size"], orient="row")


def write(store: Dataset, number: int) -> None:
    """Write `number`: an upsert, a replacement of everything, or a compaction."""
    if number % 10 == 7:
        store.write(rows_of(number), mode="replace")
    elif number % 10 == 3:
        store.compact()
    else:
        store.upsert(rows_of(number))


def killed_writers(root: str) -> None:
    """Nothing of polars' or delta's threads may run before a fork: this process itself touches no file."""
    for line in sys.stdin:
        number, delay_s = line.split()
        child = os.fork()
        if not child:
            write(open_lake(root).equities.trades, int(number))
            os._exit(0)
        if float(delay_s) >= 0:
            time.sleep(float(delay_s))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        print("killed" if os.WIFSIGNALED(status) else "done", flush=True)


def upserts(root: str, name: str, count: int) -> None:
    store = open_lake(root).equities.trades
    for n in range(count):
        stamp = FIRST + timedelta(days=n % 30)
        store.upsert(
            pl.DataFrame({"symbol": [name], "ts": [stamp], "sequence": [n], "price": [float(n)], "size": [1.0]})
        )


def compactions(root: str, count: int) -> None:
    store = open_lake(root).equities.trades
    for _ in range(count):
        store.compact()


if __name__ == "__main__":
    task, where, *rest = sys.argv[1:]
    if task == "kill":
        killed_writers(where)
    elif task == "upsert":
        upserts(where, rest[0], int(rest[1]))
    else:
        compactions(where, int(rest[0]))

"""ArcticDB's side of `lake`, run by the interpreter of its own environment: nothing of ours in it.

    python peer_arcticdb.py FOLDER RUNS

FOLDER holds task.json and the bars name after name: ts.npy (microseconds) and a float64 array for each column, `rows`
of each of `symbols`. With `writes` also next_*.npy, one later row of each name, and revised_*.npy, `revised_rows` of
each name that are stored already, with other values. Asked for are `narrow` (a name, first and last microsecond), one
`column` of all names as a table [time, name], and the mean of it for each name within `span`.

Written there: narrow.npy, panel_ts.npy, panel.npy, means.npy, after.npy (the table after the writes), and done.json
with seconds, bytes and the version.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from timeit import default_timer
from typing import Any

import arcticdb
import numpy as np
import pandas as pd
from arcticdb import ReadRequest, UpdatePayload, WritePayload

BATCH = 64
NARROW_RUNS = 50
COLD_RUNS = 5


def main(folder: Path, runs: int) -> None:
    task = json.loads((folder / "task.json").read_text())
    address = f"lmdb://{folder / 'arctic'}"
    library = arcticdb.Arctic(address).get_library("bars", create_if_missing=True)
    told: dict[str, float | str] = {"version": arcticdb.__version__}
    told["write_s"], _ = timed(lambda: write(library, frames(folder, "", task, task["rows"])))
    told["bytes"] = sum(path.stat().st_size for path in (folder / "arctic").rglob("*") if path.is_file())
    narrow(library, address, folder, task, told)
    told["batch_read_s"] = min(timed(lambda: batch_read(library, task))[0] for _ in range(runs))
    tables = [timed(lambda: panel(library, task)) for _ in range(runs)]
    told["panel_s"], (ts, values) = min(seconds for seconds, _ in tables), tables[-1][1]
    means = [timed(lambda: group_by(library, task)) for _ in range(runs)]
    told["group_by_s"] = min(seconds for seconds, _ in means)
    for name, found in (("panel_ts", ts), ("panel", values), ("means", means[-1][1])):
        np.save(folder / f"{name}.npy", found)
    if task["writes"]:
        later = list(frames(folder, "next_", task, [1] * len(task["symbols"])))
        told["append_s"], done = timed(lambda: library.append_batch([WritePayload(*one) for one in later]))
        changed = list(frames(folder, "revised_", task, task["revised_rows"]))
        told["upsert_s"], again = timed(lambda: library.update_batch([UpdatePayload(*one) for one in changed]))
        failed = [one for one in (*done, *again) if isinstance(one, Exception) or "Error" in type(one).__name__]
        if failed:
            raise SystemExit(str(failed[0]))
        np.save(folder / "after.npy", panel(library, task)[1])
    (folder / "done.json").write_text(json.dumps(told))


def frames(folder: Path, prefix: str, task: dict[str, Any], rows: list[int]) -> Any:
    """Each name and its bars."""
    columns = {name: np.load(folder / f"{prefix}{name}.npy", mmap_mode="r") for name in ("ts", *task["columns"])}
    start = 0
    for symbol, count in zip(task["symbols"], rows, strict=True):
        part = slice(start, start + count)
        index = pd.DatetimeIndex(np.asarray(columns["ts"][part]).astype("datetime64[us]").astype("datetime64[ns]"))
        yield symbol, pd.DataFrame({name: np.asarray(columns[name][part]) for name in task["columns"]}, index=index)
        start += count


def write(library: Any, bars: Any) -> None:
    batch = []
    for symbol, frame in bars:
        batch.append(WritePayload(symbol, frame))
        if len(batch) == BATCH:
            library.write_batch(batch)
            batch = []
    if batch:
        library.write_batch(batch)


def narrow(library: Any, address: str, folder: Path, task: dict[str, Any], told: dict[str, Any]) -> None:
    """One name, some months: warm with the library open, and with a new one on files that the kernel has forgotten."""
    symbol, first, last = task["narrow"]
    dates = span(first, last)
    seconds = [timed(lambda: library.read(symbol, date_range=dates).data) for _ in range(NARROW_RUNS)]
    np.save(folder / "narrow.npy", seconds[-1][1][task["column"]].to_numpy())
    told["narrow_warm_s"] = median(one for one, _ in seconds)
    cold = []
    for _ in range(COLD_RUNS):
        forget(folder / "arctic")
        opened = timed(lambda: arcticdb.Arctic(address).get_library("bars").read(symbol, date_range=dates).data)
        cold.append(opened[0])
    told["narrow_cold_s"] = median(cold)


def batch_read(library: Any, task: dict[str, Any]) -> Any:
    """One column of all names, a frame for each."""
    return library.read_batch([ReadRequest(symbol, columns=[task["column"]]) for symbol in task["symbols"]])


def panel(library: Any, task: dict[str, Any]) -> tuple[Any, Any]:
    """One column of all names as [time, name], NaN where a name has no row."""
    read = [one.data for one in batch_read(library, task)]
    stamps = [frame.index.to_numpy().astype("datetime64[us]").astype(np.int64) for frame in read]
    times = np.unique(np.concatenate(stamps))
    table = np.full((len(times), len(read)), np.nan)
    for column, (own, frame) in enumerate(zip(stamps, read, strict=True)):
        table[np.searchsorted(times, own), column] = frame[task["column"]].to_numpy()
    return times, table


def group_by(library: Any, task: dict[str, Any]) -> Any:
    """The mean of the column for each name within the span."""
    dates = span(*task["span"])
    asked = [ReadRequest(symbol, columns=[task["column"]], date_range=dates) for symbol in task["symbols"]]
    return np.array([one.data[task["column"]].mean() for one in library.read_batch(asked)])


def span(first_us: int, last_us: int) -> tuple[Any, Any]:
    return pd.Timestamp(first_us, unit="us"), pd.Timestamp(last_us, unit="us")


def forget(folder: Path) -> None:
    """Have the kernel forget what it holds of the files."""
    for path in folder.rglob("*"):
        if path.is_file():
            handle = os.open(path, os.O_RDONLY)
            os.fsync(handle)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    began = default_timer()
    found = call()
    return default_timer() - began, found


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

"""ArcticDB beside the lake: the same bars handed over as arrays, the same questions, in an environment of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mts1b.bench.equal import Floats
from mts1b.bench.lake_sides import COLUMN, Answers, Asked
from mts1b.bench.peers import peers_python
from mts1b.bench.session import Session
from mts1b.datalake.schema import BARS
from mts1b.foundation.errors import InvariantBroken

PEER = Path(__file__).with_name("peer_arcticdb.py")
LOCK = Path(__file__).parents[2] / "requirements-peers-lake.lock"
TIMEOUT_S = 3_600

FIELDS: dict[str, tuple[str, ...]] = {"1m": ("open", "high", "low", "close", "volume")}
FIELDS["daily"] = (*FIELDS["1m"], "adj_close")
"""Columns of numbers that are handed over, by interval. Neither side adjusts prices."""


@dataclass(frozen=True, slots=True)
class Peer:
    """`after` [T, S]: COLUMN of all names after the writes, None without any. `told`: seconds, bytes and version."""

    answers: Answers
    after: Floats | None
    told: dict[str, Any]


def hand_over(folder: Path, prefix: str, interval: str, frames: Iterable[pl.DataFrame], rows: int) -> list[int]:
    """Write the bars of each name one after the other, `rows` in all; return how many each has."""
    arrays = handed(folder, prefix, interval, rows)
    counts, start = list[int](), 0
    for frame in frames:
        for name, values in arrays.items():
            values[start : start + frame.height] = frame[name].to_physical().to_numpy()
        counts.append(frame.height)
        start += frame.height
    return counts


def handed(folder: Path, prefix: str, interval: str, rows: int) -> dict[str, NDArray[Any]]:
    """The files of what is handed over, to be filled: microseconds and float64 by column."""
    return {
        name: np.lib.format.open_memmap(
            folder / f"{prefix}{name}.npy", mode="w+", dtype=np.int64 if name == "ts" else np.float64, shape=(rows,)
        )
        for name in ("ts", *FIELDS[interval])
    }


def by_name(arrays: Mapping[str, NDArray[Any]], symbols: Sequence[str]) -> Iterator[pl.DataFrame]:
    """The bars of each name out of what is handed over, of which each has as many."""
    rows = len(arrays["ts"]) // len(symbols)
    for number, symbol in enumerate(symbols):
        own = {name: pl.Series(values[number * rows : (number + 1) * rows]) for name, values in arrays.items()}
        own["ts"] = own["ts"].cast(BARS["ts"])
        yield pl.DataFrame({"symbol": pl.repeat(symbol, rows, eager=True), **own})


def arctic_side(
    session: Session, folder: Path, asked: Asked, rows: list[int], revised_rows: list[int] | None = None
) -> Peer:
    """Run ArcticDB on what lies in `folder`. InvariantBroken when it fails."""
    span = [int(when.timestamp() * 1e6) for when in (asked.start, asked.end)]
    span[1] += 86_400_000_000 - 1
    task = {
        "symbols": asked.symbols,
        "rows": rows,
        "columns": FIELDS[asked.interval],
        "column": COLUMN,
        "narrow": [asked.symbol, *span],
        "span": span,
        "writes": revised_rows is not None,
        "revised_rows": revised_rows,
    }
    (folder / "task.json").write_text(json.dumps(task))
    words = [str(peers_python(session, LOCK)), "-P", str(PEER), str(folder), str(session.size(asked.runs, 1))]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if ran.returncode:
        raise InvariantBroken("process", "arcticdb", f"ended with {ran.returncode}: {ran.stderr.strip()[-500:]}")
    told = json.loads((folder / "done.json").read_text())
    seconds = {name.removesuffix("_s"): value for name, value in told.items() if name.endswith("_s")}
    narrow, table, means = (np.load(folder / f"{name}.npy") for name in ("narrow", "panel", "means"))
    after = np.load(folder / "after.npy") if revised_rows is not None else None
    return Peer(Answers(narrow, table, means, seconds), after, told)

"""The plan of a sweep: what it is, by content; where its chunks begin and end; what each is stored as.

Nothing here depends on the machine. The same strategy, bars, costs, grid and code give the same keys and the same
chunks everywhere, so a killed sweep resumes, another machine's results fit, and every run adds up in the same order.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from hashlib import blake2b
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mts1b.backtester import Execution
from mts1b.backtester.choice import Choice
from mts1b.backtester.layout import LANES_STEP
from mts1b.foundation.ids import DIGEST_BYTES, digest
from mts1b.foundation.limits import (
    CHUNK_BAR_STEPS,
    CHUNK_COLUMNS_MAX,
    CHUNK_COMBINATIONS_MAX,
    CHUNK_COMBINATIONS_MIN,
    GROUPED_BAR_STEPS_MIN,
    TASK_COMBINATIONS_MAX,
    TASK_RETURNS_BYTES_MAX,
)
from mts1b.quantkit.cscv import block_edges, usable_blocks
from mts1b.research.folds import Cuts, Fold
from mts1b.research.grid import Grid
from mts1b.strategy import Strategy
from mts1b.strategy.panel import Panel

CHUNKS_WANTED = 8
"""Chunks of a sweep at least, while they stay above the smallest worth handing out."""

CSCV_BLOCKS = ((5_000, 16), (50_000, 12))
"""Blocks of CSCV by the combinations of a grid up to which they are used; beyond all, 10: the work for each combination
grows with the splits, C(16, 8) = 12,870, C(12, 6) = 924, C(10, 5) = 252."""

TASKS_EACH = 2
"""Tasks of a sweep for each worker at least: some columns take half as long again as others. More would share less."""

SHARE_MAX = 1.25
"""Combinations of a task over an even share of them: columns do not part evenly."""

METRIC_SETS = ("default", "full")

DECIDING_SOURCES = (
    ("mts1b.quantkit", "*.py"),
    ("mts1b.strategy", "*.py"),
    ("mts1b.backtester", "*.py"),
    ("mts1b.research", "axes.py"),
    ("mts1b.research", "chunks.py"),
    ("mts1b.research", "folds.py"),
    ("mts1b.research", "grid.py"),
    ("mts1b.research", "sampling.py"),
)
"""Package and pattern of the files whose source decides the rows of a sweep."""

DECIDING_LIBRARIES = ("numpy", "numba")


@dataclass(frozen=True, slots=True)
class SweepSpec:
    """What is to be computed. `folds` empty: the whole range only. `metrics`: "full" adds statistics of trades.

    `top_k` is how many of the best are reported; `subset`: the combinations that Hansen's test is made over, chosen
    before anything is known; `warnings`: what a reader must know of the data; `choice`: how the backend was chosen,
    where it was not given. These four change no row.
    """

    strategy: Strategy
    grid: Grid
    execution: Execution
    backend: str = "cpu"
    precision: str = "double"
    folds: tuple[Fold, ...] = ()
    top_k: int = 10
    metrics: str = "default"
    subset: Grid | None = None
    warnings: tuple[str, ...] = ()
    choice: Choice | None = None

    def cscv_edges(self, bars: int) -> list[int]:
        """Edges of the blocks of CSCV; empty when the history is too short for it."""
        combinations = self.grid.size()
        wanted = next((blocks for most, blocks in CSCV_BLOCKS if combinations <= most), 10)
        blocks = usable_blocks(bars, wanted)
        return block_edges(bars, blocks) if blocks else []

    def cuts(self, bars: int) -> Cuts:
        """The blocks of bars of which sums are kept: those of CSCV, cut where a fold's spans begin and end."""
        return Cuts.at(bars, self.folds, self.cscv_edges(bars))


@dataclass(frozen=True, slots=True)
class Chunk:
    """Part of a grid: the combinations in its places [start, stop) and the columns [first, last) of its inner axis.

    `key` names its result by content.
    """

    index: int
    start: int
    stop: int
    combinations: int
    key: str
    first: int = 0
    last: int = sys.maxsize

    def numbers(self, grid: Grid) -> NDArray[np.int64]:
        """The numbers of its combinations, ascending."""
        numbers = grid.numbers(self.start, self.stop)
        if self.first == 0 and self.last >= grid.inner:
            return numbers
        column = numbers % grid.inner
        return numbers[(column >= self.first) & (column < self.last)]

    @property
    def file_name(self) -> str:
        """Sorts in the order of the plan."""
        return f"{self.index:06d}-{self.key}.parquet"


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """A sweep named by its content. `manifest` says in full what made every row of its table.

    Its `backend_choice` alone is not part of the key: rows are keyed by the backend that computes them.
    """

    key: str
    manifest: dict[str, Any]
    chunks: tuple[Chunk, ...]

    @property
    def combinations(self) -> int:
        return sum(chunk.combinations for chunk in self.chunks)


def plan_sweep(spec: SweepSpec, panel: Panel) -> SweepPlan:
    """Fix the sweep's key and chunks. Reads the panel's bars once, for their digest."""
    bars, names = panel.close.shape
    size = chunk_size(spec.grid, bars, names)
    manifest: dict[str, Any] = {
        "strategy": {"name": spec.strategy.name, "hash": spec.strategy.hash},
        "grid": spec.grid.text,
        "combinations": spec.grid.size(),
        "seed": None if spec.grid.sample is None else spec.grid.sample.seed,
        "drawn": None if spec.grid.drawn is None else digest(*spec.grid.drawn.tolist()),
        "chunk_combinations": size,
        "data": {
            "version": panel.data_version,
            "digest": panel_digest(panel),
            "symbols": list(panel.symbols),
            "bars": bars,
            "first_ns": int(panel.ts_ns[0]),
            "last_ns": int(panel.ts_ns[-1]),
        },
        "execution": spec.execution.to_dict(),
        "backend": spec.backend,
        "precision": spec.precision,
        "code": code_version(),
        "metrics": spec.metrics,
        "folds": [asdict(fold) for fold in spec.folds],
        "cscv_edges": spec.cscv_edges(bars),
    }
    key = digest("sweep", json.dumps(manifest, sort_keys=True))
    manifest["backend_choice"] = None if spec.choice is None else spec.choice.to_dict()
    return SweepPlan(key, manifest, tuple(_chunks(spec.grid, size, key)))


def chunk_size(grid: Grid, bars: int, names: int) -> int:
    """Combinations of a chunk at most. A small sweep is cut finer, so that it too keeps a few workers busy."""
    wanted = min(CHUNK_BAR_STEPS // max(bars * names, 1), grid.places // CHUNKS_WANTED)
    return min(max(wanted, CHUNK_COMBINATIONS_MIN), CHUNK_COMBINATIONS_MAX)


def _chunks(grid: Grid, size: int, key: str) -> Iterator[Chunk]:
    """Rectangles of whole rows of a few columns of the inner axis; parts of one row where a row is longer than `size`.

    Those of the same columns come one after the other: they share the most.
    """
    index = 0
    for first, last, start, stop in _rectangles(grid, size):
        chunk = Chunk(index, start, stop, 0, digest("chunk", key, start, stop, first, last), first, last)
        every = grid.condition is None or grid.drawn is not None
        rows = (stop - start) // grid.inner
        count = (rows * (last - first) if rows else stop - start) if every else len(chunk.numbers(grid))
        if count:
            yield replace(chunk, combinations=count)
            index += 1


def _rectangles(grid: Grid, size: int) -> Iterator[tuple[int, int, int, int]]:
    """First and last column, first and last place of each."""
    inner, places = grid.inner, grid.places
    if inner > size:
        for row in range(0, places, inner):
            for start in range(row, row + inner, size):
                yield 0, inner, start, min(start + size, row + inner)
        return
    blocks = -(-inner // CHUNK_COLUMNS_MAX)
    columns = min(inner, -(-inner // (blocks * LANES_STEP)) * LANES_STEP)
    rows = places // inner
    cuts = -(-rows // (size // columns))
    if cuts > 1:  # columns differ in what they take: of an even number of cuts, two workers have the same of each
        cuts += cuts % 2
    stretch = -(-rows // cuts) * inner  # evenly cut
    for first in range(0, inner, columns):
        for start in range(0, places, stretch):
            yield first, min(first + columns, inner), start, min(start + stretch, places)


def tasks(missing: Sequence[Chunk], bars: int, names: int, workers: int) -> list[tuple[Chunk, ...]]:
    """Chunks to be computed together: neighbours, as many as leave each worker its share of them and fit into memory.

    How they are grouped changes no row.
    """
    total = sum(chunk.combinations for chunk in missing)
    share = total * SHARE_MAX / (TASKS_EACH * max(workers, 1))
    most = min(share, TASK_COMBINATIONS_MAX, TASK_RETURNS_BYTES_MAX // (4 * bars))
    if total * bars * names < GROUPED_BAR_STEPS_MIN:
        most = 0
    grouped: list[list[Chunk]] = []
    for chunk in missing:
        last = grouped[-1] if grouped else []
        beside = bool(last) and last[-1].stop == chunk.start and last[-1].first == chunk.first
        if beside and sum(one.combinations for one in last) + chunk.combinations <= most:
            last.append(chunk)
        else:
            grouped.append([chunk])
    return [tuple(group) for group in grouped]


def panel_digest(panel: Panel) -> str:
    """Digest of every bar, name and time of the panel: a part of a dataset is not the dataset."""
    hashed = blake2b(digest(*panel.symbols, *panel.sectors).encode(), digest_size=DIGEST_BYTES)
    for array in (panel.ts_ns, *(panel.field(name) for name in panel.fields)):
        hashed.update(array.data if array.flags.c_contiguous else array.tobytes())
    return hashed.hexdigest()


@cache
def code_version() -> str:
    """Digest of the source that decides a sweep's rows, and of the versions of the libraries that compute them."""
    sources: list[object] = [f"{name}={version(name)}" for name in DECIDING_LIBRARIES]
    for package, pattern in DECIDING_SOURCES:
        root = Path(str(files(package)))
        sources += [f"{path.relative_to(root)}\x1e{path.read_text()}" for path in sorted(root.rglob(pattern))]
    return digest(*sources)

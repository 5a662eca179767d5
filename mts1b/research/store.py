"""Where a sweep's results are kept: a folder named by its content, a Parquet file for each chunk, a manifest.

A file is complete when it has its name: it is written under another one and moved. So whoever dies and whenever, the
next run finds whole chunks or none, and two runs of the same sweep at once write the same bytes' worth of rows.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mts1b.foundation.errors import DataError, StackError, unknown_name
from mts1b.research.chunks import BLOCKS
from mts1b.research.plan import Chunk, SweepPlan

MADE_BY = ("data_version", "code_version", "execution")
"""Columns of the table that say what made each row."""

WRITTEN: Mapping[str, Any] = {"compression": "lz4", "statistics": False}
"""How chunks are written: numbers of hundreds of columns hardly shrink, and nobody looks for a range in them."""

AGAIN = "delete the file and run the sweep again"


class SweepStore:
    """The folder of one sweep under `root`. StackError when it cannot be written."""

    def __init__(self, root: Path, plan: SweepPlan) -> None:
        self.plan = plan
        self.folder = root / plan.key
        self.chunks_folder = self.folder / "chunks"
        try:
            self.chunks_folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(self.folder, error) from None
        self.write_json("manifest.json", plan.manifest)

    @property
    def table(self) -> str:
        """The result table as a path pattern that polars, pandas and DuckDB read as one table."""
        return str(self.chunks_folder / "*.parquet")

    def finished(self) -> set[Chunk]:
        """Chunks of the plan that are stored already."""
        present = {entry.name for entry in os.scandir(self.chunks_folder)}
        return {chunk for chunk in self.plan.chunks if chunk.file_name in present}

    def write(self, chunk: Chunk, rows: pl.DataFrame) -> None:
        """Store a chunk's rows. Each row says which data, code and costs made it."""
        manifest = self.plan.manifest
        data, costs = manifest["data"], json.dumps(manifest["execution"], sort_keys=True)
        made_by = zip(MADE_BY, (data["version"] or data["digest"], manifest["code"], costs), strict=True)
        told = rows.with_columns(pl.lit(text, pl.Categorical).alias(name) for name, text in made_by)
        self._replace(self.chunks_folder / chunk.file_name, lambda file: told.write_parquet(file, **WRITTEN))

    def read(self, chunk: Chunk) -> pl.DataFrame:
        """A stored chunk's rows as they were computed. DataError when the file is damaged."""
        path = self.chunks_folder / chunk.file_name
        try:
            rows = pl.read_parquet(path)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise DataError("chunk", str(path), str(error).splitlines()[0], AGAIN) from None
        if rows.height != chunk.combinations:
            raise DataError("chunk", str(path), f"holds {rows.height} rows, not {chunk.combinations}", AGAIN)
        return rows.drop(MADE_BY)

    def blocks(self) -> Iterator[NDArray[np.float64]]:
        """The sums by block of every combination, chunk by chunk in the order of the plan, [2 * blocks, C] each."""
        for chunk in self.plan.chunks:
            stored = pl.read_parquet(self.chunks_folder / chunk.file_name, columns=[BLOCKS])
            yield np.ascontiguousarray(stored[BLOCKS].to_numpy().T, dtype=np.float64)

    def write_table(self, name: str, rows: pl.DataFrame) -> Path:
        """Store a small table beside the large one."""
        path = self.folder / name
        self._replace(path, lambda file: rows.write_parquet(file, compression="snappy"))
        return path

    def has_columns(self, name: str, columns: list[str]) -> bool:
        """Whether a table `name` with just these columns is stored beside the table. DataError when it is damaged."""
        path = self.folder / name
        try:
            return path.exists() and list(pl.read_parquet_schema(path)) == columns
        except (OSError, pl.exceptions.PolarsError) as error:
            raise DataError("result", str(path), str(error), AGAIN) from None

    def write_json(self, name: str, content: dict[str, Any]) -> Path:
        """Store a small document beside the table."""
        path = self.folder / name
        text = json.dumps(content, indent=1, sort_keys=True) + "\n"
        self._replace(path, lambda file: file.write(text.encode()))
        return path

    def remembered(self, name: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The small document `name`, computed and stored if it is not there yet. DataError when it is damaged."""
        path = self.folder / name
        if not path.exists():
            self.write_json(name, compute())
        try:
            content: dict[str, Any] = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise DataError("result", str(path), str(error), AGAIN) from None
        return content

    def _replace(self, path: Path, write: Callable[[BinaryIO], object]) -> None:
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with fresh.open("wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        except OSError as error:
            raise _unwritable(path, error) from None
        finally:
            fresh.unlink(missing_ok=True)


def read_table(pattern: str, sort_by: str = "combination") -> pl.DataFrame:
    """The result table behind `SweepSummary.table`, one row for each combination, sorted by its number."""
    return pl.read_parquet(pattern).sort(sort_by)


@dataclass(frozen=True, slots=True)
class HeatMap:
    """A metric over two parameters: `values` [Y, X], NaN where the grid has no combination."""

    x_name: str
    y_name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    values: NDArray[np.float64]


def heat_map(table: pl.DataFrame, x_name: str, y_name: str, metric: str = "sharpe") -> HeatMap:
    """The best of `metric` over all other parameters, for each pair of values. UnknownNameError for another column."""
    for name in (x_name, y_name, metric):
        if name not in table.columns:
            raise unknown_name("column", name, table.columns)
    best = table.group_by(x_name, y_name).agg(pl.col(metric).max()).drop_nulls()
    x, y = (tuple(best[name].unique().sort().to_list()) for name in (x_name, y_name))
    values = np.full((len(y), len(x)), np.nan)
    rows = np.searchsorted(np.array(y), best[y_name].to_numpy())
    columns = np.searchsorted(np.array(x), best[x_name].to_numpy())
    values[rows, columns] = best[metric].to_numpy()
    return HeatMap(x_name, y_name, x, y, values)


def _unwritable(path: Path, error: OSError) -> StackError:
    problem = f"cannot be written: {error.strerror or error}"
    return StackError("data_dir", str(path), problem, "give a directory you may write, with --data-dir")

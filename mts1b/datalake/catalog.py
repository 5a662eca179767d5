"""The lake: every dataset under one root."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from mts1b.datalake.bars import Bars
from mts1b.datalake.sectors import Sectors

if TYPE_CHECKING:
    from mts1b.datalake.sql import Session


class Equities:
    """Datasets about shares. `bars`: prices and volume; `sectors`: what a name belongs to."""

    def __init__(self, root: Path) -> None:
        self.sectors = Sectors(root / "equities" / "sectors")
        self.bars = Bars(root / "equities" / "bars", self.sectors)


class Lake:
    """Everything stored under `root`. Opening one touches no file."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.equities = Equities(root)

    @contextmanager
    def duckdb_session(self) -> Iterator[Session]:
        """A DuckDB connection on the lake, reading only; tables `equities.bars` (all intervals, column `interval`).

        `conn.execute(sql).pl()` gives a polars frame. Filters on ts and symbol reach into the Parquet files.
        """
        from mts1b.datalake.sql import open_session  # DuckDB costs memory; most processes never ask in SQL

        bars = self.equities.bars
        held = bars.manifests()
        files = {one.interval: bars.files(one) for one in held}
        with open_session(files, frozenset(one.interval for one in held if one.vwap)) as session:
            yield session


def open_lake(root: Path | str) -> Lake:
    """The lake under `root`, which need not exist yet."""
    return Lake(Path(root).expanduser().absolute())


def sample_path() -> Path:
    """The sample shipped with the package: 100 US names, daily, 2008 to 2017. Its PROVENANCE.md lies beside it."""
    return Path(str(files("mts1b.datalake").joinpath("sample", "us_daily_100.parquet")))

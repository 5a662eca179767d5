"""The lake: every dataset under one root."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from mts1b.datalake.bars import Bars
from mts1b.datalake.dataset import Dataset, Stored
from mts1b.datalake.datasets import CATALOGUE
from mts1b.datalake.pointintime import Reference
from mts1b.datalake.results import Results
from mts1b.datalake.sectors import Sectors
from mts1b.datalake.shares import ShareBars
from mts1b.datalake.storage import Options, Place, place_of
from mts1b.foundation.limits import SQL_MEMORY_BYTES_MAX, SQL_TIMEOUT_S

if TYPE_CHECKING:
    from mts1b.datalake.sql import Session


def _dataset(place: Place, name: str) -> Dataset:
    definition = CATALOGUE[name]
    return Dataset(place / definition.domain / definition.name, definition)


def _bars(place: Place, domain: str) -> Bars:
    return Bars(place / domain / "bars", CATALOGUE[f"{domain}.bars"])


class Equities:
    """Datasets about shares. `known`: those that reading bars needs, as of a moment."""

    def __init__(self, place: Place) -> None:
        self.sectors = Sectors(place / "equities" / "sectors", CATALOGUE["equities.sectors"])
        self.corporate_actions = _dataset(place, "equities.corporate_actions")
        self.symbol_history = _dataset(place, "equities.symbol_history")
        self.index_membership = _dataset(place, "equities.index_membership")
        self.known = Reference(self.corporate_actions, self.symbol_history, self.index_membership)
        self.bars = ShareBars(place / "equities" / "bars", CATALOGUE["equities.bars"], self.sectors, self.known)
        self.trades = _dataset(place, "equities.trades")
        self.quotes = _dataset(place, "equities.quotes")
        self.borrow = _dataset(place, "equities.borrow")
        self.fundamentals = _dataset(place, "equities.fundamentals")


class Crypto:
    """Datasets about coins."""

    def __init__(self, place: Place) -> None:
        self.bars = _bars(place, "crypto")
        self.trades = _dataset(place, "crypto.trades")
        self.quotes = _dataset(place, "crypto.quotes")


class Fx:
    """Datasets about currency pairs."""

    def __init__(self, place: Place) -> None:
        self.bars = _bars(place, "fx")
        self.quotes = _dataset(place, "fx.quotes")


class Options_:
    """Datasets about options."""

    def __init__(self, place: Place) -> None:
        self.chains = _dataset(place, "options.chains")


class News:
    """Datasets of texts."""

    def __init__(self, place: Place) -> None:
        self.articles = _dataset(place, "news.articles")


class Intake:
    """What is kept of deliveries."""

    def __init__(self, place: Place) -> None:
        self.quarantine = _dataset(place, "intake.quarantine")
        self.files = _dataset(place, "intake.files")


class Research:
    """What research found."""

    def __init__(self, place: Place) -> None:
        self.results = Results(place / "research" / "results")


class Lake:
    """Everything stored under `root`, a directory or a URI. Opening one touches no file."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.equities = Equities(place)
        self.crypto = Crypto(place)
        self.fx = Fx(place)
        self.options = Options_(place)
        self.news = News(place)
        self.intake = Intake(place)
        self.research = Research(place)

    @property
    def root(self) -> Path:
        """The directory of a lake on this machine."""
        return self.place.directory

    def all_stored(self) -> list[Stored]:
        """What is stored, table by table, results of research last."""
        tables = [stored for dataset in self.datasets() for stored in dataset.all_stored()]
        return [*tables, *self.research.results.all_stored()]

    def datasets(self) -> Sequence[Dataset]:
        """Every dataset of the catalogue, in its order."""
        domains = (self.equities, self.crypto, self.fx, self.options, self.news, self.intake)
        return [found for domain in domains for found in vars(domain).values() if isinstance(found, Dataset)]

    @contextmanager
    def duckdb_session(
        self, memory_bytes: int = SQL_MEMORY_BYTES_MAX, timeout_s: float = SQL_TIMEOUT_S
    ) -> Iterator[Session]:
        """A DuckDB connection on what is stored now, reading only: a view for every dataset.

        `equities.bars` holds daily bars, `equities.bars_1m` those of one minute and so on (`mts1b.datalake.views`).
        `conn.execute(sql).pl()` gives a polars frame. Filters on ts and symbol reach into the Parquet files. The
        session may open nothing but those files, write none, load no extension, and each statement is stopped at
        `memory_bytes` and `timeout_s`. DuckDB runs in a process of its own (0.3 s to start): a statement that does not
        stop by itself ends it, and with it the session.
        """
        from mts1b.datalake.sql import open_session  # DuckDB costs memory; most processes never ask in SQL

        with open_session(self.datasets(), self.research.results, memory_bytes, timeout_s) as session:
            yield session


def open_lake(root: Path | str, options: Options | None = None) -> Lake:
    """The lake under `root`, which need not exist yet: a directory, or `s3://bucket/prefix` with its `options`."""
    return Lake(place_of(root, options))


def sample_path() -> Path:
    """The sample shipped with the package: 100 US names, daily, 2008 to 2017. Its PROVENANCE.md lies beside it."""
    return Path(str(files("mts1b.datalake").joinpath("sample", "us_daily_100.parquet")))

"""The sector of each name: one small table, replaced as a whole, its version the digest of what it holds."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

from mts1b.datalake.delivered import Source, delivered, label_of, writer
from mts1b.datalake.manifest import FILE, FORMAT, sync_directory
from mts1b.datalake.schema import TICKER, first_line, refuse
from mts1b.foundation.errors import DataError, StackError
from mts1b.foundation.ids import digest

SECTORS = pl.Schema({"symbol": pl.String(), "sector": pl.String()})


@dataclass(frozen=True, slots=True)
class SectorTable:
    """The manifest: which file holds the table, the digest of its rows, their number, what was ingested, in order."""

    file: str
    version: str
    symbols: int
    sources: tuple[str, ...]


class Sectors:
    """The table under one directory. Opening it touches no file."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def ingest(self, source: Source) -> SectorTable:
        """Put sectors in, from a Parquet or CSV file or a frame with the columns symbol and sector.

        A name's sector replaces the stored one; the rest is kept. Readers see all of it or none. InputError: no such
        file; DataError: unreadable, or the first row that breaks a rule; StackError: the lake cannot be written.
        """
        label = label_of(source)
        rows = _checked(delivered(source), label)
        try:
            with writer(self.directory):
                return self._merge(rows, label)
        except OSError as error:
            problem = f"cannot be written: {error.strerror or error}"
            raise StackError("data_dir", str(self.directory), problem, "give a directory you may write") from None

    def read(self) -> pl.DataFrame:
        """Symbol and sector of every name that has one, by symbol; no rows before anything was ingested."""
        held = self.manifest()
        if held is None:
            return SECTORS.to_frame()
        path = self.directory / held.file
        try:
            return pl.read_parquet(path)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise DataError("file", str(path), f"cannot be read: {first_line(error)}", "ingest it again") from None

    def of(self, symbols: Sequence[str]) -> tuple[str, ...]:
        """The sector of each of `symbols`, "" where none is known; empty when none of them has one."""
        known = dict(self.read().iter_rows())
        found = tuple(known.get(symbol, "") for symbol in symbols)
        return found if any(found) else ()

    def manifest(self) -> SectorTable | None:
        """What is stored, or None. DataError when it cannot be read."""
        path = self.directory / FILE
        try:
            content = json.loads(path.read_text())
            if content.pop("format") != FORMAT:
                raise DataError("lake", str(path), f"not of format {FORMAT}", "ingest the sectors again")
            return SectorTable(**content | {"sources": tuple(content["sources"])})
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                "lake", str(path), f"unreadable manifest ({type(error).__name__})", "ingest again"
            ) from None

    def _merge(self, rows: pl.DataFrame, label: str) -> SectorTable:
        before = self.manifest()
        table = pl.concat([self.read().join(rows, on="symbol", how="anti"), rows]).sort("symbol")
        version = digest("sectors", FORMAT, *(text for row in table.iter_rows() for text in row))
        sources = tuple(dict.fromkeys([*(before.sources if before else ()), label]))
        after = SectorTable(f"sectors-{version}.parquet", version, table.height, sources)
        if after != before:
            table.write_parquet(self.directory / after.file, compression="snappy")
            temporary = self.directory / f".{FILE}.{os.getpid()}"
            temporary.write_text(json.dumps({"format": FORMAT, **asdict(after)}, indent=1))
            temporary.replace(self.directory / FILE)
            sync_directory(self.directory)
            for old in self.directory.glob("sectors-*.parquet"):
                if old.name not in (after.file, before.file if before else ""):  # a reader may have begun with it
                    old.unlink(missing_ok=True)
        return after


def _checked(frame: pl.DataFrame, source: str) -> pl.DataFrame:
    for name in SECTORS:
        if name not in frame.columns:
            raise DataError("file", source, f"has no column {name!r}", f"it holds: {', '.join(frame.columns)}")
    rows = frame.select(pl.col(name).cast(pl.String) for name in SECTORS).with_columns(
        pl.col("sector").str.strip_chars()
    )
    if not rows.height:
        raise DataError("file", source, "holds no rows", "give a file with symbols and sectors")
    refuse(rows, pl.any_horizontal(pl.col(name).is_null() for name in SECTORS), "a value is missing", source)
    refuse(rows, ~pl.col("symbol").str.contains(TICKER), "the symbol is not a ticker", source)
    refuse(rows, pl.col("sector") == "", "the sector is blank", source)
    refuse(rows, pl.col("symbol").is_duplicated(), "the symbol has two sectors", source)
    return rows

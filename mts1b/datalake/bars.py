"""Bars of equities: read them as a frame, as a panel, and put them in."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mts1b.datalake import manifest, parts
from mts1b.datalake.manifest import Manifest
from mts1b.datalake.schema import BARS, INTERVALS, STORED, TIMESTAMP, first_line, interval_of, normalise
from mts1b.datalake.stretches import Stretches, overlaps
from mts1b.datalake.times import When, span_us
from mts1b.foundation.errors import DataError, InputError, StackError, UnknownNameError, unknown_name
from mts1b.foundation.ids import DIGEST_BYTES
from mts1b.strategy.panel import FIELDS, Panel

Progress = Callable[[int, int], None]
"""Called with partitions done and partitions in all."""

INGEST_FIRST = "run `mts data ingest sample`, or ingest a file of your own"


class Bars:
    """The bars under one directory, a dataset for each interval. Opening it touches no file."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def read(
        self,
        symbols: Sequence[str] | None = None,
        interval: str = "daily",
        start: When = None,
        end: When = None,
    ) -> pl.DataFrame:
        """Bars sorted by symbol and time, in the columns of `schema.BARS`; `ts` is Datetime(us, UTC).

        Both bounds are included; a bare end date includes its day. Only the years (months, intraday) and row groups
        that can hold an answer are read. A range the lake has no bars in gives an empty frame. InputError for an
        inverted range or no symbols, UnknownNameError for a symbol or interval, DataError for a damaged file.
        """
        first, last = span_us(start, end)
        while True:
            held = self._manifest(interval)
            try:
                return self._scan(held, symbols, first, last)
            except (OSError, pl.exceptions.PolarsError) as error:
                # two ingests may have ended since the manifest was read, and removed its files
                if self._manifest(interval) == held:
                    raise self._damaged(held, error) from None

    def panel(
        self,
        symbols: Sequence[str] | None = None,
        interval: str = "daily",
        start: When = None,
        end: When = None,
    ) -> Panel:
        """The same bars as float64 [T, S] arrays: T the times at which any chosen name has a bar, S in the order asked
        for (alphabetical when all are). `data_version` is a digest of the panel's values: equal bars, equal version.

        As `read`, and InputError when no bar is in the range.
        """
        frame = self.read(symbols, interval, start, end)
        if not frame.height:
            held = self.manifest(interval)
            span = "" if held is None else f"the lake holds {_day(held.first_ns)} to {_day(held.last_ns)}"
            raise InputError("start", f"{start}..{end}", "no bar in this range", span)
        names = tuple(symbols) if symbols is not None else tuple(frame["symbol"].unique().sort().to_list())
        return _spread(frame, names)

    def stretches(
        self,
        symbols: Sequence[str] | None = None,
        interval: str = "daily",
        start: When = None,
        end: When = None,
    ) -> Stretches:
        """The bars of `panel`, one part after the other and a few names at a time, for histories too long to be held.

        As `read`. A range the lake has no bars in gives nothing.
        """
        span = span_us(start, end)
        held = self._manifest(interval)
        return Stretches(self._folder(held.interval), held, None if symbols is None else _known(symbols, held), span)

    def manifest(self, interval: str = "daily") -> Manifest | None:
        """What is stored, or None. UnknownNameError for an interval that does not exist."""
        return manifest.load(self._folder(interval_of(interval).name))

    def manifests(self) -> list[Manifest]:
        """What is stored, for each interval that was ingested."""
        return [held for name in INTERVALS if (held := self.manifest(name)) is not None]

    def files(self, held: Manifest) -> list[Path]:
        """The Parquet files of one dataset."""
        return [self._folder(held.interval) / part.file for part in held.parts]

    def ingest(
        self, source: Path | str | pl.DataFrame, interval: str = "daily", progress: Progress | None = None
    ) -> Manifest:
        """Put bars in from a Parquet or CSV file or a frame, and return what is then stored.

        A bar replaces the stored bar of its symbol and time; the rest is kept. Readers see all of it or none, and the
        same data twice change nothing. InputError: no such file; DataError: unreadable, or the first row that breaks
        a rule; StackError: the lake cannot be written. One writer at a time per interval; others wait.
        """
        spec = interval_of(interval)
        label = "frame" if isinstance(source, pl.DataFrame) else Path(source).name
        delivered = source if isinstance(source, pl.DataFrame) else read_file(Path(source))
        bars = normalise(delivered, label, spec.name)
        if not bars.height:
            raise DataError("file", label, "holds no rows", "give a file with bars")
        folder = self._folder(spec.name)
        try:
            with _writer(folder):
                return self._merge(folder, spec.name, bars, label, progress)
        except OSError as error:
            problem = f"cannot be written: {error.strerror or error}"
            raise StackError(
                "data_dir", str(folder), problem, "give a directory you may write, with --data-dir"
            ) from None

    def verify(self, interval: str = "daily") -> int:
        """Read every stored bar and compare it with its digest; return their number. DataError names the bad file."""
        held = self._manifest(interval)
        for part in held.parts:
            if parts.content_digest(parts.read_whole(self._folder(interval), part)) != part.content:
                raise DataError("file", part.file, "holds other bars than were ingested", "ingest the data again")
        return held.rows

    def _scan(self, held: Manifest, symbols: Sequence[str] | None, first: int | None, last: int | None) -> pl.DataFrame:
        chosen = None if symbols is None else _known(symbols, held)
        files = [self._folder(held.interval) / part.file for part in held.parts if overlaps(part, (first, last))]
        if not files:
            return BARS.to_frame()
        scan = pl.scan_parquet(files, hive_partitioning=False, schema=STORED)
        if first is not None:
            scan = scan.filter(pl.col("ts") >= pl.lit(first).cast(TIMESTAMP))
        if last is not None:
            scan = scan.filter(pl.col("ts") <= pl.lit(last).cast(TIMESTAMP))
        if chosen is not None:
            scan = scan.filter(pl.col("symbol").is_in(chosen))
        return scan.sort("symbol", "ts").cast(BARS).collect()

    def _merge(
        self, folder: Path, interval: str, bars: pl.DataFrame, label: str, progress: Progress | None
    ) -> Manifest:
        before = manifest.load(folder)
        kept = {part.key: part for part in before.parts} if before else {}
        fresh = list(parts.split(bars, interval_of(interval)))
        for number, (key, added) in enumerate(fresh, start=1):
            if key in kept:
                stored = parts.read_whole(folder, kept[key]).join(added, on=["symbol", "ts"], how="anti")
                added = pl.concat([stored, added]).sort("symbol", "ts")
            kept[key] = parts.write(folder, key, added, interval_of(interval))
            if progress is not None:
                progress(number, len(fresh))
        symbols = sorted({*(before.symbols if before else ()), *bars["symbol"].unique().to_list()})
        sources = tuple(dict.fromkeys([*(before.sources if before else ()), label]))
        after = Manifest(interval, tuple(kept[key] for key in sorted(kept)), tuple(symbols), sources)
        if after != before:
            manifest.save(folder, after)
            # the files of the manifest just replaced stay: a reader may have begun with it
            parts.remove_unlisted(folder, [*after.parts, *(before.parts if before else ())])
        return after

    def _folder(self, interval: str) -> Path:
        return self.directory / f"interval={interval}"

    def _manifest(self, interval: str) -> Manifest:
        held = self.manifest(interval)
        if held is None:
            raise InputError("lake", str(self.directory), f"holds no {interval} bars", INGEST_FIRST)
        return held

    def _damaged(self, held: Manifest, error: Exception) -> DataError:
        for part in held.parts:
            try:
                parts.read_whole(self._folder(held.interval), part)
            except DataError as found:
                return found
        return DataError("lake", str(self.directory), first_line(error), "ingest the data again")


def read_file(path: Path) -> pl.DataFrame:
    """A Parquet or CSV file as it is. InputError: no such file or other suffix; DataError: cannot be read."""
    if not path.is_file():
        raise InputError("file", str(path), "no such file", "give a .parquet or .csv file, or `sample`")
    if path.suffix not in (".parquet", ".csv"):
        raise InputError("file", str(path), "neither .parquet nor .csv", "convert it first")
    try:
        return pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError("file", str(path), f"cannot be read: {first_line(error)}", "give an undamaged file") from None


@contextmanager
def _writer(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _known(symbols: Sequence[str], held: Manifest) -> list[str]:
    if isinstance(symbols, str):
        raise InputError("symbols", symbols, "a list of symbols is wanted", f"write [{symbols!r}]")
    if not symbols:
        raise InputError("symbols", list(symbols), "no symbol given", "name one, or leave it out for all")
    if len(set(symbols)) != len(symbols):
        raise InputError("symbols", list(symbols), "a symbol is repeated", "name each once")
    known = frozenset(held.symbols)
    for symbol in symbols:
        if symbol not in known and symbol.upper() in known:
            raise UnknownNameError("symbol", symbol, "unknown name", f"did you mean: {symbol.upper()}")
        if symbol not in known:
            raise unknown_name("symbol", symbol, known)
    return list(symbols)


def _spread(frame: pl.DataFrame, names: tuple[str, ...]) -> Panel:
    stamps = frame["ts"].dt.epoch("ns").to_numpy()
    times, rows = np.unique(stamps, return_inverse=True)
    order = pl.DataFrame({"symbol": names, "column": np.arange(len(names))})
    columns = frame.select("symbol").join(order, on="symbol", how="left", maintain_order="left")["column"].to_numpy()
    fields: dict[str, Any] = {}
    for name in FIELDS:
        table = np.full((len(times), len(names)), np.nan)
        table[rows, columns] = frame[name].to_numpy()
        fields[name] = table
    digest = blake2b("\n".join(names).encode(), digest_size=DIGEST_BYTES)
    for values in (times, *fields.values()):
        digest.update(values.tobytes())
    return Panel(ts_ns=times, symbols=names, data_version=digest.hexdigest(), **fields)


def _day(ts_ns: int) -> str:
    return str(np.datetime64(ts_ns, "ns").astype("datetime64[D]"))

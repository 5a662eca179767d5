"""Bars of a market: read them as a frame, as arrays, as a panel, part by part, and put them in."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from mts1b.datalake.dataset import Dataset, Stored, asked_names, unknown_symbol
from mts1b.datalake.definitions import Definition
from mts1b.datalake.delivered import Source, delivered, label_of
from mts1b.datalake.schema import VWAP, interval_of, normalise
from mts1b.datalake.sectors import Sectors
from mts1b.datalake.spread import Arrays
from mts1b.datalake.storage import Place
from mts1b.datalake.stretches import Stretches
from mts1b.datalake.table import Progress
from mts1b.datalake.times import When, span_us
from mts1b.foundation.errors import DataError, InputError
from mts1b.foundation.ids import DIGEST_BYTES
from mts1b.platform.telemetry import operation
from mts1b.strategy.panel import FIELDS, SERIES, Lineage, Panel

INGEST_FIRST = "run `mts data ingest sample`, or ingest a file of your own"


class Bars(Dataset):
    """The bars of one market, a table for each interval; `read` without an interval gives daily ones."""

    default_selected = "daily"

    def __init__(self, place: Place, definition: Definition, sectors: Sectors | None = None) -> None:
        super().__init__(place, definition)
        self._sectors = sectors

    @operation("datalake.panel")
    def panel(
        self,
        symbols: Sequence[str] | None = None,
        interval: str = "daily",
        start: When = None,
        end: When = None,
    ) -> Panel:
        """The same bars as float64 [T, S] arrays: T the times at which any chosen name has a bar, S in the order asked
        for (alphabetical when all are). `vwap` and `sectors` are there when the lake has them for any of the bars
        and names. `data_version` is a digest of the panel's values: equal bars, equal version.

        As `read`, and InputError when no bar is in the range.
        """
        optional = [VWAP] if self._has(interval, VWAP) else []
        found = self.arrays(symbols, interval, start, end, [*FIELDS, *optional])
        if not len(found.ts_ns):
            held = self._stored(interval)
            raise no_bars(held, start, end)
        return panel_of(found, self._sectors.of(found.symbols) if self._sectors else ())

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
        span, stored = span_us(start, end), self._stored(interval)
        names = None if symbols is None else asked_names(symbols)
        for name in sorted(set(names or ()).difference(stored.symbols)):
            raise unknown_symbol(name, frozenset(stored.symbols))
        return Stretches(stored, names, span)

    @operation("datalake.ingest")
    def ingest(self, source: Source, interval: str = "daily", progress: Progress | None = None) -> Stored:
        """Put bars in from a Parquet or CSV file or a frame, and return what is then stored.

        A bar replaces the stored bar of its symbol and time; the rest is kept. Readers see all of it or none, and the
        same data twice change nothing. InputError: no such file; DataError: unreadable, or the first row that breaks
        a rule; StackError: the lake cannot be written. One writer at a time per interval; others wait.
        """
        interval_of(interval)
        label = label_of(source)
        bars = normalise(delivered(source), label, interval)
        if not bars.height:
            raise DataError("file", label, "holds no rows", "give a file with bars")
        return self.upsert(bars, interval, label, progress)

    def _stored(self, interval: str | None) -> Stored:
        stored = self.stored(interval)
        if stored is None:
            table = self.table(interval)
            raise InputError("lake", self.place.root, f"holds no {table.selected} bars", INGEST_FIRST)
        return stored

    def _has(self, interval: str, column: str) -> bool:
        return self._stored(interval).snapshot.holds(column)


def panel_of(found: Arrays, sectors: tuple[str, ...], lineage: Lineage | None = None) -> Panel:
    """Arrays with the fields of a bar as a panel; its version is a digest of their values."""
    fields = dict(found.fields)
    if VWAP in fields and np.isnan(fields[VWAP]).all():
        del fields[VWAP]
    digest = blake2b("\n".join((*found.symbols, *sectors)).encode(), digest_size=DIGEST_BYTES)
    for values in (found.ts_ns, *(fields[name] for name in SERIES if name in fields)):
        digest.update(values.tobytes())
    version = digest.hexdigest()
    open_, high, low, close, volume = (fields[name] for name in FIELDS)
    vwap = fields.get(VWAP)
    return Panel(found.ts_ns, found.symbols, open_, high, low, close, volume, version, vwap, sectors, lineage)


def no_bars(held: Stored, start: When, end: When) -> InputError:
    """The error for a range without bars."""
    span = f"the lake holds {_day(held.first_ns or 0)} to {_day(held.last_ns or 0)}"
    return InputError("start", f"{start}..{end}", "no bar in this range", span)


def _day(ts_ns: int) -> str:
    return str(np.datetime64(ts_ns, "ns").astype("datetime64[D]"))

"""One version of a table: the files that make it up, and what is known of each without opening it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mts1b.datalake.digests import total
from mts1b.foundation.ids import digest

FORMAT = 2
"""Of files and log. 1 had a manifest in place of a log."""

ORDINARY, REVISED = "part", "revised"
"""First word of a file's name; of the second kind are files in which a key may have several rows."""

Span = tuple[int | None, int | None]
"""First and last microsecond wanted, both included; None: no bound."""


@dataclass(frozen=True, slots=True)
class Extent:
    """The names and the microseconds between which rows lie; None: not known, may be any."""

    low: str | None
    high: str | None
    first_us: int | None
    last_us: int | None

    def meets(self, other: Extent) -> bool:
        """Whether a name and a time can lie in both."""
        return _meet(self.low, self.high, other.low, other.high) and _meet(
            self.first_us, self.last_us, other.first_us, other.last_us
        )

    def inside(self, span: Span) -> bool:
        """Whether a time inside the span can be in here."""
        return _meet(self.first_us, self.last_us, *span)

    def may_hold(self, names: Iterable[str]) -> bool:
        """Whether one of the names can be in here."""
        return any(_meet(self.low, self.high, name, name) for name in names)

    def with_(self, other: Extent) -> Extent:
        """What both lie in."""
        low, high = _hull(self.low, self.high, other.low, other.high)
        return Extent(low, high, *_hull(self.first_us, self.last_us, other.first_us, other.last_us))


def _hull(low: Any, high: Any, low_too: Any, high_too: Any) -> tuple[Any, Any]:
    if None in (low, high, low_too, high_too):
        return None, None
    return min(low, low_too), max(high, high_too)


def _meet(low: Any, high: Any, first: Any, last: Any) -> bool:
    above = high is None or first is None or high >= first
    below = low is None or last is None or low <= last
    return above and below


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One Parquet file. `path` in the table's folder; `partition` as `year=2008` or `year=2024/month=01`, "" for none;
    `content`: digest of its rows (`mts1b.datalake.digests`); `revised`: keys may have several rows, known at different
    times; `lacks`: optional columns of which no row has a value.
    """

    path: str
    partition: str
    rows: int
    bytes: int
    extent: Extent
    content: int
    revised: bool = False
    lacks: frozenset[str] = frozenset()

    @classmethod
    def of(cls, path: str, rows: int, size: int, extent: Extent, lacks: frozenset[str]) -> StoredFile:
        """A file, what its name says read out of it."""
        partition, _, name = path.rpartition("/")
        kind, _, rest = name.partition("-")
        content = int(rest.partition("-")[0], 16)
        return cls(path, partition, rows, size, extent, content, kind == REVISED, lacks)

    @property
    def order(self) -> tuple[str, int, str, str]:
        """Files of a version are in this order: partition, time, name."""
        return (self.partition, self.extent.first_us or 0, self.extent.low or "", self.path)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The files of one version. `number`: of the commit, from 0; `table`: what they are a table of, for the digest."""

    table: str
    number: int
    files: tuple[StoredFile, ...]

    @property
    def version(self) -> str:
        """Digest of every stored row: equal rows have equal versions wherever, in how many steps and in how many files
        they were stored."""
        return digest("rows", FORMAT, self.table, total([file.content for file in self.files]))

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.files)

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    @property
    def span(self) -> Span:
        """First and last microsecond of all rows; None without rows, or for rows without a time."""
        firsts = [file.extent.first_us for file in self.files if file.extent.first_us is not None]
        lasts = [file.extent.last_us for file in self.files if file.extent.last_us is not None]
        return (min(firsts), max(lasts)) if firsts else (None, None)

    def holds(self, column: str) -> bool:
        """Whether any row has a value in an optional column."""
        return any(column not in file.lacks for file in self.files)

"""Where each name's rows lie in a file, and at which of the file's times: what a file says of itself in its metadata.

With it neither names nor, as a rule, times need be read: a name's rows are a few unbroken stays among the file's times,
and those are the times of one name that was there for all of them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from numpy.typing import NDArray

Numbers = NDArray[np.int64]

LAYOUT = b"mts1b.layout"
"""Key of the layout in a file's own metadata."""

STEADY_MAX = 128
"""Steady stretches of times a file tells of itself: a month of sessions, a year of days with its holidays."""

STAYS_PER_NAME_MAX = 4
"""More stays than that (a name that trades now and then) are not told: times are then read."""


@dataclass(frozen=True, slots=True)
class Stays:
    """Unbroken runs of rows, in the order of the rows: `counts[i]` rows of name `names[i]`, the first of them at the
    time of number `starts[i]`. The name `full` has a row at every time."""

    full: int
    names: tuple[int, ...]
    starts: tuple[int, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, rows: Sequence[int], stamps: Numbers) -> Stays | None:
        """None where no name has every time, a name has a time twice, or stays are many."""
        ends = np.cumsum(rows)
        full = int(np.argmax(rows))
        times = stamps[ends[full] - rows[full] : ends[full]]
        at = np.searchsorted(times, stamps)
        if not (times[np.minimum(at, len(times) - 1)] == stamps).all():
            return None
        step = np.diff(at, prepend=at[0] - 2)
        step[ends[:-1]] = 2
        if (step < 1).any():
            return None
        first = np.flatnonzero(step != 1)
        if len(first) > STAYS_PER_NAME_MAX * len(rows):
            return None
        names, counts = np.searchsorted(ends, first, "right"), np.diff(first, append=len(stamps))
        return cls(full, tuple(names.tolist()), tuple(at[first].tolist()), tuple(counts.tolist()))


@dataclass(frozen=True, slots=True)
class Times:
    """Times that rise steadily for a while: `counts[i]` of them from `starts[i]` on, `steps[i]` apart."""

    starts: tuple[int, ...]
    steps: tuple[int, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, times: Numbers) -> Times | None:
        """None where there are more than STEADY_MAX stretches of them."""
        steps = np.diff(times)
        ends = np.append(np.flatnonzero(np.diff(steps)) + 1, len(steps)).tolist()  # last of each run of equal steps
        found: list[tuple[int, int, int]] = []
        first = 0
        for end in ends:
            if end <= first:
                continue  # the step from the last time of one stretch to the first of the next
            if len(found) == STEADY_MAX:
                return None
            found.append((int(times[first]), int(steps[first]), end + 1 - first))
            first = end + 1
        if first < len(times):
            found.append((int(times[first]), 0, 1))
        starts, apart, counts = zip(*found, strict=True)
        return cls(starts, apart, counts)

    def all(self) -> Numbers:
        """Each of them."""
        counts = np.array(self.counts)
        nth = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        return np.repeat(np.array(self.starts), counts) + np.repeat(np.array(self.steps), counts) * nth


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each name's rows lie in a file: `rows[i]` of them for `symbols[i]`, one name after the other.

    `same_times`: all names have rows at the same times. `stays`: at which times each has them, where that is told.
    `times`: those of the name that has them all, where they are few steady stretches; without, they have to be read.
    """

    symbols: tuple[str, ...]
    rows: tuple[int, ...]
    same_times: bool
    stays: Stays | None = None
    times: Times | None = None

    @classmethod
    def of(cls, frame: pl.DataFrame, name: str = "symbol", time: str | None = "ts", single: bool = False) -> Layout:
        """The layout of rows sorted by name and time, of which it needs these two columns. `single`: a name has at
        most one row at a time, revisions of it aside."""
        runs = frame[name].rle().struct.unnest()
        rows = tuple(runs["len"].to_list())
        symbols = tuple(runs["value"].to_list())
        if time is None or not rows:
            return cls(symbols, rows, False)
        stamps = frame[time].to_physical().to_numpy()
        if len(set(rows)) == 1:
            times = stamps.reshape(len(rows), rows[0])
            if bool((times == times[0]).all() and (np.diff(times[0]) > 0).all()):
                return cls(symbols, rows, True, times=Times.of(times[0]))
        stays = Stays.of(rows, stamps) if single else None
        if stays is None:
            return cls(symbols, rows, False)
        first = sum(rows[: stays.full])
        return cls(symbols, rows, False, stays, Times.of(stamps[first : first + rows[stays.full]]))

    @classmethod
    def stored(cls, metadata: pq.FileMetaData) -> Layout | None:
        """What the file says; None for one that says nothing."""
        found = (metadata.metadata or {}).get(LAYOUT)
        if found is None:
            return None
        content = json.loads(found)
        told = content.get("stays")
        stays = None if told is None else Stays(told[0], *(tuple(numbers) for numbers in told[1:]))
        times = content.get("times")
        steady = None if times is None else Times(*(tuple(numbers) for numbers in times))
        return cls(tuple(content["symbols"]), tuple(content["rows"]), bool(content["same_times"]), stays, steady)

    def to_json(self) -> str:
        content = {"symbols": self.symbols, "rows": self.rows, "same_times": self.same_times}
        if self.stays is not None:
            content["stays"] = (self.stays.full, self.stays.names, self.stays.starts, self.stays.counts)
        if self.times is not None:
            content["times"] = (self.times.starts, self.times.steps, self.times.counts)
        return json.dumps(content, separators=(",", ":"))

    def all_stays(self) -> Stays | None:
        """`stays`, of names that all have the same times too; None where they are not told."""
        if not self.same_times:
            return self.stays
        return Stays(0, tuple(range(len(self.rows))), (0,) * len(self.rows), self.rows)

    def groups(self, rows_per_group: int) -> list[int]:
        """Rows of each row group: whole names as long as they fit in, a name that does not is cut."""
        return packed(self.rows, rows_per_group)


def packed(runs: Sequence[int], most: int, alone: bool = False) -> list[int]:
    """`runs` put together as long as they do not exceed `most`; one that does by itself is cut, and `alone`."""
    found: list[int] = []
    room = 0
    for rows in runs:
        if rows <= room:
            found[-1] += rows
            room -= rows
            continue
        found += [min(most, rows - start) for start in range(0, rows, most)]
        room = 0 if alone and rows > most else most - found[-1]
    return found

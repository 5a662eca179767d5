"""The bars that a strategy sees: float64 arrays over time and names, in one shape for every use."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mts1b.foundation.errors import InputError

Floats = NDArray[np.float64]

FIELDS = ("open", "high", "low", "close", "volume")
"""What every panel holds."""

SERIES = (*FIELDS, "vwap")
"""What an expression may read as a price or a volume; vwap where the data deliver it."""


SECTOR = "sector"
"""The field of sector codes: the same at every bar."""

LACKING = {
    "vwap": "use typical_price, or ingest bars with a column vwap",
    SECTOR: "put the sectors into the lake: mts data sectors FILE",
}
"""Fields that a panel may lack, and what to do about it."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """How a panel came about. `adjust`: what prices are adjusted for (split, total, or None: as delivered);
    `undivided`: the lake knew neither actions nor adjusted closes of any name; `universe`: the one whose members of
    each day have their bars, "" for names that were picked; `missing`: members without bars; `as_of`: when all was
    known, "" for now.
    """

    adjust: str | None
    undivided: bool = False
    universe: str = ""
    missing: tuple[str, ...] = ()
    as_of: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """Bars of S names at T times. Every field is C-contiguous float64 [T, S]; NaN where a name has no bar.

    `ts_ns` is int64 [T], strictly increasing UTC nanoseconds: the union of the names' calendars, where they differ.
    `data_version` names the stored data it was read from.
    `vwap` [T, S]: the volume-weighted price of each bar, None where the data do not deliver one. `sectors` [S]: the
    sector of each name, "" where unknown; empty when no name has one. `lineage`: None for bars from elsewhere.
    """

    ts_ns: NDArray[np.int64]
    symbols: tuple[str, ...]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    data_version: str = ""
    vwap: Floats | None = None
    sectors: tuple[str, ...] = ()
    lineage: Lineage | None = None

    def __post_init__(self) -> None:
        shape = (len(self.ts_ns), len(self.symbols))
        for name in self.fields:
            if getattr(self, name).shape != shape:
                raise InputError(name, getattr(self, name).shape, f"the panel is {shape}", "give [time, name] arrays")
        if self.sectors and len(self.sectors) != len(self.symbols):
            raise InputError("sectors", len(self.sectors), f"there are {shape[1]} names", "give one for each name")
        if len(self.ts_ns) > 1 and not bool(np.all(np.diff(self.ts_ns) > 0)):
            raise InputError("ts_ns", "unsorted", "times must strictly increase", "sort and remove duplicates")
        if len(set(self.symbols)) != len(self.symbols):
            raise InputError("symbols", "repeated", "each name may appear once", "remove the repeats")

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields that this panel holds."""
        return FIELDS if self.vwap is None else SERIES

    def field(self, name: str) -> Floats:
        """A field [T, S] by its name; "sector" as the codes of `sector_codes`. InputError when the panel lacks it."""
        if name == SECTOR:
            return np.broadcast_to(sector_codes(self.sectors), (len(self.ts_ns), len(self.symbols)))
        values: Floats | None = getattr(self, name)
        if values is None:
            raise lacks(name)
        return values

    def rows(self, start: int, stop: int) -> Panel:
        """The bars with row numbers start <= t < stop, as views."""
        cut = slice(start, stop)
        fields = {name: getattr(self, name)[cut] for name in self.fields}
        return replace(self, ts_ns=self.ts_ns[cut], **fields)


def sector_codes(sectors: tuple[str, ...]) -> Floats:
    """One number for each name [S], equal for names of one sector, NaN for "". InputError when there are none."""
    if not sectors:
        raise lacks(SECTOR)
    numbers = {name: float(number) for number, name in enumerate(dict.fromkeys(sectors)) if name}
    return np.array([numbers.get(name, np.nan) for name in sectors])


def lacks(name: str) -> InputError:
    """The error for a field that an expression reads and the bars do not have."""
    return InputError(name, None, "these bars have none", LACKING[name])

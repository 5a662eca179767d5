"""The bars that a strategy sees: float64 arrays over time and names, in one shape for every use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mts1b.foundation.errors import InputError

Floats = NDArray[np.float64]

FIELDS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True)
class Panel:
    """Bars of S names at T times. Every field is C-contiguous float64 [T, S]; NaN where a name has no bar.

    `ts_ns` is int64 [T], strictly increasing UTC nanoseconds. `data_version` names the stored data it was read from.
    """

    ts_ns: NDArray[np.int64]
    symbols: tuple[str, ...]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    data_version: str = ""

    def __post_init__(self) -> None:
        shape = (len(self.ts_ns), len(self.symbols))
        for name in FIELDS:
            if getattr(self, name).shape != shape:
                raise InputError(name, getattr(self, name).shape, f"the panel is {shape}", "give [time, name] arrays")
        if len(self.ts_ns) > 1 and not bool(np.all(np.diff(self.ts_ns) > 0)):
            raise InputError("ts_ns", "unsorted", "times must strictly increase", "sort and remove duplicates")
        if len(set(self.symbols)) != len(self.symbols):
            raise InputError("symbols", "repeated", "each name may appear once", "remove the repeats")

    def rows(self, start: int, stop: int) -> Panel:
        """The bars with row numbers start <= t < stop, as views."""
        cut = slice(start, stop)
        fields = {name: getattr(self, name)[cut] for name in FIELDS}
        return Panel(ts_ns=self.ts_ns[cut], symbols=self.symbols, data_version=self.data_version, **fields)

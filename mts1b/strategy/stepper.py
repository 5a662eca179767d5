"""The live form of a strategy: one bar in, one row of targets out, by the code that fills the whole table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mts1b.foundation.errors import InputError
from mts1b.strategy.expr import Node
from mts1b.strategy.panel import FIELDS, Panel
from mts1b.strategy.program import FIELD_KEYS, Progress, program_of

Floats = NDArray[np.float64]


class Stepper:
    """Follows the market with one set of parameter values. Warm it with the history, then call `step` once a bar.

    Made by `Strategy.stepper`, which checks the values.
    """

    def __init__(self, root: Node, values: Mapping[str, float], symbols: Sequence[str]) -> None:
        self.symbols = tuple(symbols)
        self._program = program_of(root)
        self._progress = Progress(self._program, values, len(self.symbols))

    def warm(self, panel: Panel) -> Floats:
        """Take in a history of the same names; the targets [T, S] decided along it."""
        if panel.symbols != self.symbols:
            raise InputError("panel", panel.symbols[:3], "holds other names than the stepper", "use the same names")
        return np.ascontiguousarray(self._progress.advance(self._program.fields(panel)).T)

    def step(self, open: Floats, high: Floats, low: Floats, close: Floats, volume: Floats) -> Floats:
        """Take in one bar of every name, rows [S] (NaN: no bar); the targets [S] decided on its close."""
        rows = zip(FIELDS, (open, high, low, close, volume), strict=True)
        shape = (len(self.symbols), 1)
        tables = {FIELD_KEYS[name]: np.array(row, dtype=np.float64).reshape(shape) for name, row in rows}
        return self._progress.advance(tables)[:, 0]

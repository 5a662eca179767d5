"""The live form of a strategy: one bar in, one row of targets out, by the code that fills the whole table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mts1b.foundation.errors import InputError
from mts1b.strategy.expr import Node
from mts1b.strategy.ops import Kind
from mts1b.strategy.panel import SECTOR, SERIES, Panel, lacks, sector_codes
from mts1b.strategy.program import FIELD_KEYS, Progress, program_of

Floats = NDArray[np.float64]


class Stepper:
    """Follows the market with one set of parameter values. Warm it with the history, then call `step` once a bar.

    Made by `Strategy.stepper`, which checks the values. Its memory is plain data: pickled or deep-copied between two
    bars, it goes on from there.
    """

    def __init__(
        self, root: Node, values: Mapping[str, float], symbols: Sequence[str], sectors: Sequence[str] = ()
    ) -> None:
        self.symbols = tuple(symbols)
        self._root, self._values = root, dict(values)
        self._program = program_of(root)
        self._fixed: dict[str, Floats] = {}
        needed = {str(node.value) for node in root.walk() if node.spec.kind is Kind.FIELD}
        self._needs_vwap = "vwap" in needed
        self._sectors = tuple(sectors)
        if SECTOR in needed:
            if len(self._sectors) not in (0, len(self.symbols)):
                raise InputError("sectors", len(self._sectors), f"there are {len(self.symbols)} names", "give each one")
            self._fixed[FIELD_KEYS[SECTOR]] = sector_codes(self._sectors).reshape(-1, 1)
        self._progress = Progress(self._program, values, len(self.symbols))

    def __reduce__(self) -> tuple[Any, ...]:
        return _resumed, (self._root, self._values, self.symbols, self._sectors, self._progress.memory)

    def warm(self, panel: Panel) -> Floats:
        """Take in a history of the same names; the targets [T, S] decided along it."""
        if panel.symbols != self.symbols:
            raise InputError("panel", panel.symbols[:3], "holds other names than the stepper", "use the same names")
        if self._fixed and panel.sectors != self._sectors:
            raise InputError("panel", panel.sectors[:3], "holds other sectors than the stepper", "use the same sectors")
        return np.ascontiguousarray(self._progress.advance(self._program.fields(panel)).T)

    def step(
        self, open: Floats, high: Floats, low: Floats, close: Floats, volume: Floats, vwap: Floats | None = None
    ) -> Floats:
        """Take in one bar of every name, rows [S] (NaN: no bar); the targets [S] decided on its close.

        InputError when the strategy reads vwap and none is given.
        """
        if self._needs_vwap and vwap is None:
            raise lacks("vwap")
        given = (open, high, low, close, volume) if vwap is None else (open, high, low, close, volume, vwap)
        shape = (len(self.symbols), 1)
        tables = {
            FIELD_KEYS[name]: np.array(row, dtype=np.float64).reshape(shape)
            for name, row in zip(SERIES, given, strict=False)
        }
        return self._progress.advance(tables | self._fixed)[:, 0]


def _resumed(
    root: Node, values: Mapping[str, float], symbols: Sequence[str], sectors: Sequence[str], memory: Sequence[Floats]
) -> Stepper:
    stepper = Stepper(root, values, symbols, sectors)
    for kept, saved in zip(stepper._progress.memory, memory, strict=True):
        kept[...] = saved
    return stepper

"""What the jobs of a chunk accumulate over names and bars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sums:
    """What J jobs accumulate over the names: returns [J, T * lanes], and by segment of time [J, K, lanes].

    `ended`: the sums of `mts1b.quantkit.trades`, where they are wanted.
    """

    returns: Floats
    traded: Floats
    changed: Floats
    gross: Floats
    ended: tuple[Floats, ...] = ()

    def part(self, jobs: slice) -> tuple[Floats, ...]:
        return self.returns[jobs], self.traded[jobs], self.changed[jobs], self.gross[jobs]

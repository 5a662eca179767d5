"""What the jobs of a chunk accumulate over names and bars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]


@dataclass(frozen=True)
class Sums:
    """What J jobs accumulate over the names: returns [J, T * lanes], and by segment of time [J, K, lanes].

    `ended`: the sums of `mts1b.quantkit.trades`, where they are wanted.
    """

    returns: Floats | Singles
    traded: Floats
    changed: Floats
    gross: Floats
    ended: tuple[Floats, ...] = ()

    def part(self, jobs: slice) -> tuple[Floats | Singles, ...]:
        return self.returns[jobs], self.traded[jobs], self.changed[jobs], self.gross[jobs]

    def portfolio(self, job: int, lanes: int, names: int) -> Floats:
        """Returns [T, lanes] of one job: the sums over names by their number."""
        return self.returns[job].reshape(-1, lanes) / np.float64(names)

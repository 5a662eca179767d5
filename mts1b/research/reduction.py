"""What is kept of millions of rows: the best few, how the Sharpe ratios spread, the choice of each fold.

Each is updated chunk by chunk in whatever order chunks finish, and comes out the same to the bit: ties go to the lower
combination number, and sums are added up in the order of the plan.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mts1b.research.chunks import BLOCKS, fold_column
from mts1b.research.plan import Chunk

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, mean and sum of squared distances from the mean."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Moments:
        kept = values[np.isfinite(values)]
        mean = float(kept.mean()) if kept.size else 0.0
        return cls(int(kept.size), mean, float(((kept - mean) ** 2).sum()))

    def plus(self, other: Moments) -> Moments:
        """The moments of both sets together (Chan, Golub and LeVeque 1979)."""
        count = self.count + other.count
        if count == 0:
            return self
        gap = other.mean - self.mean
        mean = self.mean + gap * other.count / count
        return Moments(count, mean, self.squares + other.squares + gap * gap * self.count * other.count / count)

    @property
    def variance(self) -> float:
        """Sample variance (ddof 1); 0 below two values."""
        return self.squares / (self.count - 1) if self.count > 1 else 0.0


@dataclass(slots=True)
class Reduction:
    """The running result of a sweep. Memory: `top_k` rows, one row a fold, three numbers a chunk."""

    top_k: int
    folds: int
    combinations: int = 0
    _heap: list[tuple[float, int, Row]] = field(default_factory=list)
    _moments: dict[int, Moments] = field(default_factory=dict)
    _choices: dict[int, tuple[float, int, Row]] = field(default_factory=dict)

    def add(self, chunk: Chunk, rows: pl.DataFrame) -> None:
        """Take in a finished chunk, once."""
        rows = rows.drop(BLOCKS, strict=False)
        sharpe = rows["sharpe"].to_numpy()
        self.combinations += rows.height
        self._moments[chunk.index] = Moments.of(sharpe)
        for place in best_places(sharpe, self.top_k):
            rank = (float(sharpe[place]), -int(rows["combination"][place]))
            if len(self._heap) < self.top_k:
                heapq.heappush(self._heap, (*rank, rows.row(place, named=True)))
            elif rank > self._heap[0][:2]:
                heapq.heapreplace(self._heap, (*rank, rows.row(place, named=True)))
        for fold in range(self.folds):
            self._choose(fold, rows)

    def top(self) -> list[Row]:
        """The rows with the highest Sharpe ratio, best first; equal ones in the order of the grid."""
        return [row for _, _, row in sorted(self._heap, key=lambda entry: entry[:2], reverse=True)]

    def sharpe_moments(self) -> Moments:
        """Of the annual Sharpe ratios of all combinations, added up in the order of the plan."""
        total = Moments()
        for _, moments in sorted(self._moments.items()):
            total = total.plus(moments)
        return total

    def choices(self) -> list[Row]:
        """For each fold the row with the highest Sharpe ratio in its train window."""
        return [self._choices[fold][2] for fold in sorted(self._choices)]

    def _choose(self, fold: int, rows: pl.DataFrame) -> None:
        train = rows[fold_column(fold, "train", "sharpe")].to_numpy()
        for place in best_places(train, 1):
            rank = (float(train[place]), -int(rows["combination"][place]))
            if fold not in self._choices or rank > self._choices[fold][:2]:
                self._choices[fold] = (*rank, rows.row(place, named=True))


def best_places(values: NDArray[np.float64], count: int) -> list[int]:
    """Places of the `count` largest values, largest first, equal ones in their order; NaN never."""
    if count == 1 and len(values):  # without a sort: once for each fold of each chunk
        best = int(np.argmax(np.where(np.isnan(values), -math.inf, values)))
        return [] if math.isnan(values[best]) else [best]
    order = np.argsort(np.where(np.isnan(values), math.inf, -values), kind="stable")[:count]
    return [int(place) for place in order if not math.isnan(values[place])]


def fold_metrics(row: Row, fold: int, window: str) -> dict[str, float]:
    """A fold's metrics out of a row of the table."""
    prefix = fold_column(fold, window, "")
    return {name.removeprefix(prefix): value for name, value in row.items() if name.startswith(prefix)}

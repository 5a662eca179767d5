"""Probability of backtest overfitting by combinatorially symmetric cross-validation, streamed over the trials.

Bailey, Borwein, Lopez de Prado and Zhu, "The Probability of Backtest Overfitting" (2017). Bars are cut into S blocks;
each of the C(S, S/2) splits takes half of the blocks as in-sample and the others as out-of-sample. The trial with the
highest Sharpe ratio in-sample has a rank among all trials out-of-sample; PBO is the share of splits in which it falls
below the median (exactly at the median: half).

Only sums and squares by block are kept of a trial. `Cscv` looks at them twice, in parts: first for the winner of each
split, then for how many it beats. Memory grows with the splits, never with the trials.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LANES = 64
"""Trials worked on together: the half-tables of their subsets stay in the second-level cache."""

FLAT = 1e-12
"""Variance below this part of the mean square is rounding of a constant series, and its Sharpe ratio counts as 0."""


@dataclass(frozen=True, slots=True)
class Overfitting:
    """`pbo`: share of splits whose in-sample winner falls below the out-of-sample median. `loss`: share of splits whose
    winner has a Sharpe ratio of at most 0 out-of-sample."""

    pbo: float
    loss: float
    splits: int
    blocks: int
    trials: int


def block_edges(bars: int, blocks: int) -> list[int]:
    """Edges of `blocks` blocks, equal but for a bar."""
    return [bars * k // blocks for k in range(blocks + 1)]


def splits_of(blocks: int) -> NDArray[np.int64]:
    """In-sample blocks of each split as bits, [C(blocks, blocks / 2)]; the complement of one is the same place from the
    end."""
    half = itertools.combinations(range(blocks), blocks // 2)
    return np.array([sum(1 << block for block in chosen) for chosen in half], dtype=np.int64)


def scores(sums: Floats, squares: Floats, bars: NDArray[np.int64]) -> Floats:
    """Readable: Sharpe ratio, squared with its sign kept, of trials [S, N] in every split, [P, N].

    `sums` and `squares` (about each block's own mean) of S blocks of `bars` [S] bars. The order is that of the Sharpe
    ratios themselves.
    """
    inside = np.array([[mask >> block & 1 for block in range(len(bars))] for mask in splits_of(len(bars))], dtype=float)
    raw = squares + sums**2 / bars[:, None]
    total, square, count = inside @ sums, inside @ raw, (inside @ bars)[:, None]
    about = square - total**2 / count
    flat = about <= FLAT * square
    return np.where(flat, 0.0, total * np.abs(total) / np.where(flat, 1.0, about * count))


class Cscv:
    """One run over trials: `choose` every part, then `rank` every part in the same order, then `result`.

    `bars` [S]: the length of each block, S even. A part is [S, n] sums and squares about each block's own mean.
    """

    def __init__(self, bars: NDArray[np.int64]) -> None:
        self.bars = np.asarray(bars, dtype=np.int64)
        self.masks = splits_of(len(bars))
        count = len(self.masks)
        self.best = np.full(count, -np.inf)
        self.outside = np.zeros(count)
        self.below, self.equal = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
        self.trials = 0

    def choose(self, sums: Floats, squares: Floats) -> None:
        """Take in a part, looking for the in-sample winner of each split. Ties go to the earlier trial."""
        self.trials += sums.shape[1]
        _choose(*self._part(sums, squares), self.masks, self.best, self.outside)

    def rank(self, sums: Floats, squares: Floats) -> None:
        """Take in a part again, counting the trials that each winner beats out-of-sample."""
        _rank(*self._part(sums, squares), self.masks, self.outside, self.below, self.equal)

    def _part(self, sums: Floats, squares: Floats) -> tuple[Any, ...]:
        sums, squares = (np.ascontiguousarray(table, dtype=np.float64) for table in (sums, squares))
        return sums, squares + sums**2 / self.bars[:, None], self.bars

    def result(self) -> Overfitting | None:
        """What was found; None below two trials."""
        if self.trials < 2:
            return None
        place = (self.below + (self.equal + 1) / 2) / (self.trials + 1)
        pbo = float(((place < 0.5) + 0.5 * (place == 0.5)).mean())
        loss = float((self.outside <= 0.0).mean())
        return Overfitting(pbo, loss, len(self.masks), len(self.bars), self.trials)


def overfitting(parts: Iterable[tuple[Floats, Floats]], bars: NDArray[np.int64]) -> Overfitting | None:
    """PBO of trials in `parts` of (sums, squares), [S, n] each. `parts` is gone through twice."""
    run = Cscv(bars)
    for sums, squares in parts:
        run.choose(sums, squares)
    for sums, squares in parts:
        run.rank(sums, squares)
    return run.result()


def usable_blocks(bars: int, wanted: int, bars_min: int = 4) -> int:
    """The largest even number of blocks up to `wanted` that have `bars_min` bars each; 0 below 4."""
    blocks = min(wanted, bars // bars_min) // 2 * 2
    return blocks if blocks >= 4 else 0


def split_count(blocks: int) -> int:
    """Splits of so many blocks."""
    return math.comb(blocks, blocks // 2)


@njit(error_model="numpy", cache=True, nogil=True)
def _subsets(rows: Any, first: int, count: int, start: int, lanes: int, out: Any) -> None:
    """Fill `out` [2 ** count, LANES] with the sums of `rows` over every subset of blocks first .. first + count."""
    out[0, :] = 0.0
    for subset in range(1, 1 << count):
        low = 0
        while not subset >> low & 1:
            low += 1
        for l in range(lanes):
            out[subset, l] = out[subset & (subset - 1), l] + rows[first + low, start + l]


@njit(error_model="numpy", cache=True, nogil=True)
def _tables(sums: Any, raw: Any, start: int, lanes: int, half: int, out: Any) -> None:
    """Fill `out` [4, subsets, LANES]: `sums` over subsets of the first half of the blocks, of the others; `raw` too."""
    _subsets(sums, 0, half, start, lanes, out[0])
    _subsets(sums, half, sums.shape[0] - half, start, lanes, out[1])
    _subsets(raw, 0, half, start, lanes, out[2])
    _subsets(raw, half, raw.shape[0] - half, start, lanes, out[3])


@njit(error_model="numpy", cache=True, nogil=True)
def _scores(tables: Any, mask: int, half: int, bars: Any, out: Any) -> None:
    """The scores of all lanes over the blocks in `mask`, as `scores`."""
    count = 0.0
    for block in range(bars.shape[0]):
        if mask >> block & 1:
            count += bars[block]
    low, high = mask & ((1 << half) - 1), mask >> half
    low_sum, high_sum, low_raw, high_raw = tables[0, low], tables[1, high], tables[2, low], tables[3, high]
    for l in range(LANES):
        total = low_sum[l] + high_sum[l]
        square = low_raw[l] + high_raw[l]
        about = square - total * total / count
        value = total * abs(total) / (about * count)
        out[l] = value if about > FLAT * square else 0.0


@njit(error_model="numpy", cache=True, nogil=True)
def _choose(sums: Any, raw: Any, bars: Any, masks: Any, best: Any, outside: Any) -> None:
    """Update the best in-sample score of each split, and what that trial scores out-of-sample."""
    splits, half = masks.shape[0], bars.shape[0] // 2
    tables = np.zeros((4, 1 << (bars.shape[0] - half), LANES))
    found = np.zeros(LANES)
    for start in range(0, sums.shape[1], LANES):
        lanes = min(LANES, sums.shape[1] - start)
        _tables(sums, raw, start, lanes, half, tables)
        for p in range(splits):
            _scores(tables, masks[p], half, bars, found)
            top = best[p]
            better = 0
            for l in range(lanes):
                better += found[l] > top
            if better:
                place = 0
                for l in range(lanes):
                    if found[l] > top:
                        top, place = found[l], l
                best[p] = top
                _scores(tables, masks[splits - 1 - p], half, bars, found)
                outside[p] = found[place]


@njit(error_model="numpy", cache=True, nogil=True)
def _rank(sums: Any, raw: Any, bars: Any, masks: Any, outside: Any, below: Any, equal: Any) -> None:
    """Count, for each split, the trials whose out-of-sample score is below and equal to the winner's."""
    splits, half = masks.shape[0], bars.shape[0] // 2
    tables = np.zeros((4, 1 << (bars.shape[0] - half), LANES))
    found = np.zeros(LANES)
    for start in range(0, sums.shape[1], LANES):
        lanes = min(LANES, sums.shape[1] - start)
        _tables(sums, raw, start, lanes, half, tables)
        for p in range(splits):
            _scores(tables, masks[splits - 1 - p], half, bars, found)
            value = outside[p]
            under = same = 0
            for l in range(lanes):
                under += found[l] < value
                same += found[l] == value
            below[p] += under
            equal[p] += same

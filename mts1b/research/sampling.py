"""Part of a grid, drawn at random: without ever listing the grid, and without drawing what its condition leaves out.

The combinations that a grid keeps are numbered through, the pairs of the condition's two axes first. A random sample is
a set of such ranks. A Sobol sample (Sobol' 1967, scrambled by Owen's method as in `scipy.stats.qmc`) is a set of points
of the unit cube, carried over axis by axis: it fills the grid more evenly than chance. Memory: the sample.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mts1b.foundation.errors import InputError, unknown_name
from mts1b.foundation.limits import SAMPLED_MAX

Ints = NDArray[np.int64]

METHODS = ("random", "sobol")

NUMBERED_MAX = 2**62
"""Combinations of a grid that is sampled from: their numbers are 64-bit integers."""


@dataclass(frozen=True, slots=True)
class Sample:
    """`count` different combinations of a grid, the same from the same `seed`. `method`: one of METHODS."""

    count: int
    method: str = "random"
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.count <= SAMPLED_MAX:
            raise InputError("sample", self.count, "out of range", f"ask for 1 to {SAMPLED_MAX:,} combinations")
        if self.method not in METHODS:
            raise unknown_name("sampling", self.method, METHODS)
        if self.seed < 0:
            raise InputError("seed", self.seed, "is negative", "give 0 or more")

    def __str__(self) -> str:
        return f"sampled {self.count} {self.method} seed {self.seed}"


@dataclass(frozen=True, slots=True)
class Pairs:
    """Which values of two axes go together: value i of `left` with `counts[i]` values of `right` from `first[i]` on."""

    left: int
    right: int
    first: Ints
    counts: Ints

    @property
    def size(self) -> int:
        return int(self.counts.sum())


def draw(sample: Sample, shape: Sequence[int], pairs: Pairs | None) -> Ints:
    """Numbers [count], ascending, of the sampled combinations of a grid of this shape.

    InputError when the grid holds fewer, or more than can be numbered.
    """
    free = [axis for axis in range(len(shape)) if pairs is None or axis not in (pairs.left, pairs.right)]
    size = math.prod(shape[axis] for axis in free) * (1 if pairs is None else pairs.size)
    if math.prod(shape) > NUMBERED_MAX:
        raise InputError("grid", math.prod(shape), "more combinations than can be numbered", "use fewer values")
    if sample.count > size:
        raise InputError("sample", sample.count, f"the grid holds {size:,}", "ask for fewer, or leave the sample out")
    if not shape:
        return np.zeros(1, dtype=np.int64)
    if sample.method == "sobol":
        return _sobol(sample, shape, pairs, free)
    ranks = _random_ranks(sample.count, size, np.random.default_rng(sample.seed))
    return np.sort(_numbered(ranks, shape, pairs, free))


def _random_ranks(count: int, size: int, generator: np.random.Generator) -> Ints:
    """`count` different numbers below `size`, every set of them equally likely."""
    if size <= 4 * count:
        return generator.permutation(size)[:count]
    drawn = np.zeros(0, dtype=np.int64)
    while len(drawn) < count:
        more = generator.integers(size, size=count - len(drawn))
        _, first = np.unique(np.concatenate([drawn, more]), return_index=True)
        drawn = np.concatenate([drawn, more])[np.sort(first)]
    return drawn


def _numbered(ranks: Ints, shape: Sequence[int], pairs: Pairs | None, free: list[int]) -> Ints:
    """The numbers in the full grid of the kept combinations with these ranks."""
    others = math.prod(shape[axis] for axis in free)
    places = (
        dict(zip(free, np.unravel_index(ranks % others, [shape[axis] for axis in free]), strict=True)) if free else {}
    )
    if pairs is not None:
        places[pairs.left], places[pairs.right] = _pair(ranks // others, pairs)
    return _ravelled(places, shape)


def _pair(ranks: Ints, pairs: Pairs) -> tuple[Ints, Ints]:
    """Places on the left and right axis of the pairs with these ranks."""
    ends = np.cumsum(pairs.counts)
    left = np.searchsorted(ends, ranks, side="right")
    return left, pairs.first[left] + ranks - (ends[left] - pairs.counts[left])


def _sobol(sample: Sample, shape: Sequence[int], pairs: Pairs | None, free: list[int]) -> Ints:
    """The first `count` different combinations that the points of the sequence fall on."""
    from scipy.stats import qmc  # half a second of imports, for this kind of sample only

    source = qmc.Sobol(len(shape), scramble=True, rng=np.random.default_rng(sample.seed))
    block = 1 << (sample.count - 1).bit_length()
    drawn = np.zeros(0, dtype=np.int64)
    while len(drawn) < sample.count:  # every combination is as likely as any other: a few blocks at most
        more = _on_grid(source.random(block), shape, pairs, free)
        _, first = np.unique(np.concatenate([drawn, more]), return_index=True)
        drawn = np.concatenate([drawn, more])[np.sort(first)]
    return np.sort(drawn[: sample.count])


def _on_grid(points: NDArray[np.float64], shape: Sequence[int], pairs: Pairs | None, free: list[int]) -> Ints:
    """Numbers of the combinations under points [N, axes] of the unit cube; kept pairs are all as likely."""
    places = {axis: _scaled(points[:, axis], shape[axis]) for axis in free}
    if pairs is not None:
        left, _ = _pair(_scaled(points[:, pairs.left], pairs.size), pairs)
        places[pairs.left] = left
        places[pairs.right] = pairs.first[left] + _scaled(points[:, pairs.right], pairs.counts[left])
    return _ravelled(places, shape)


def _scaled(points: NDArray[np.float64], size: int | Ints) -> Ints:
    scaled: Ints = np.minimum(np.floor(points * size), np.asarray(size) - 1).astype(np.int64)
    return scaled


def _ravelled(places: dict[int, Ints], shape: Sequence[int]) -> Ints:
    numbers = np.zeros(len(next(iter(places.values()))), dtype=np.int64)
    for axis, size in enumerate(shape):
        numbers = numbers * size + places[axis]
    return numbers

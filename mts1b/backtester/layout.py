"""How the combinations of a chunk are laid out in lanes.

The last parameters vary inside a block of lanes ("inner"), the others are the same for a whole block ("outer"). What
depends on outer parameters only is then one number for all lanes, and a block of tables of the inner values serves
every outer value. The layout depends on the combinations only, so every run sums in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LANES_MAX = 128
"""Widest block: its rows of returns, tables and states stay in the first-level cache."""

LANES_STEP = 16
"""Widths are multiples of this, so that few distinct kernels are compiled and every vector is full."""

LANES_FEW = 8
"""Width for a handful of combinations: one vector of AVX-512."""

STEP_COST = 1.0
"""Cost of one lane over one bar of the fused kernel: the unit of the next two."""

LOOP_COST = 16.0
"""Cost of starting a loop over lanes, shared by all of them."""

FILL_COST = 8.0
"""Cost of filling one lane of a table over one bar."""


@dataclass(frozen=True)
class Layout:
    """`inner` names vary along lanes. Block b holds inner tuples b*lanes onwards, the last block padded by repetition.

    `inner_values[name]` is [blocks, lanes], `outer_values[name]` is [outer tuples]. `jobs` are the (block, outer)
    pairs to run, in order; combination c is lane `lane[c]` of job `job[c]`.
    """

    lanes: int
    inner: frozenset[str]
    inner_values: Mapping[str, Floats]
    outer_values: Mapping[str, Floats]
    jobs: tuple[tuple[int, int], ...]
    job: Ints
    lane: Ints


def plan(columns: Mapping[str, Floats], reads: Sequence[frozenset[str]] = (), lanes_max: int = LANES_MAX) -> Layout:
    """The layout of combinations given as parameter columns [C], row-major grids (last parameter fastest) best.

    `reads`: the parameters of each table that the kernel reads. Of all ways to cut the parameters into outer and inner
    the cheapest by the costs above is taken; the fewest inner ones when equal. `lanes_max`: LANES_FEW or a multiple
    of LANES_STEP.
    """
    return min(ways(columns, lanes_max), key=lambda laid: cost(laid, reads))


def ways(columns: Mapping[str, Floats], lanes_max: int) -> list[Layout]:
    """Every way to cut the parameters into outer and inner, the fewest inner ones first."""
    # what has one value only is the same for every lane, wherever it stands
    names = sorted(columns, key=lambda name: len(np.unique(columns[name])) > 1)
    count = len(next(iter(columns.values()))) if columns else 1
    cuts = range(max(len(names) - 1, 0), -1, -1)
    return [_lay(columns, names[:cut], names[cut:], count, lanes_max) for cut in cuts]


def cost(laid: Layout, reads: Sequence[frozenset[str]]) -> float:
    """What the layout costs for one bar of one name."""
    total = len(laid.jobs) * (laid.lanes * STEP_COST + LOOP_COST)
    for parameters in reads:
        if parameters & laid.inner:
            shared = sorted(parameters - laid.inner)
            tables = {(block, *(laid.outer_values[name][outer] for name in shared)) for block, outer in laid.jobs}
            total += len(tables) * laid.lanes * FILL_COST
    return total


def _lay(columns: Mapping[str, Floats], outer: list[str], inner: list[str], count: int, lanes_max: int) -> Layout:
    outer_tuples, outer_of = _distinct(columns, outer, count)
    inner_tuples, inner_of = _distinct(columns, inner, count)
    size = inner_tuples.shape[0]
    lanes = width(size, lanes_max)
    blocks = -(-size // lanes)
    padded = inner_tuples[np.minimum(np.arange(blocks * lanes), size - 1)]
    block_of, lane_of = inner_of // lanes, inner_of % lanes
    pairs, job_of = np.unique(np.stack([block_of, outer_of], axis=1), axis=0, return_inverse=True)
    return Layout(
        lanes=lanes,
        inner=frozenset(inner),
        inner_values={name: padded[:, i].reshape(blocks, lanes) for i, name in enumerate(inner)},
        outer_values={name: outer_tuples[:, i] for i, name in enumerate(outer)},
        jobs=tuple((int(block), int(outer_)) for block, outer_ in pairs),
        job=job_of.reshape(count).astype(np.int64),
        lane=lane_of,
    )


def width(size: int, lanes_max: int = LANES_MAX) -> int:
    """Lanes of a block: the fewest blocks of at most `lanes_max`, then the narrowest that holds `size` values."""
    if size <= LANES_FEW or lanes_max <= LANES_FEW:
        return LANES_FEW
    blocks = -(-size // lanes_max)
    return -(-size // (blocks * LANES_STEP)) * LANES_STEP


def widest(bytes_max: int, lane_bytes: int) -> int:
    """The widest block whose tables, `lane_bytes` for each lane, fit into `bytes_max`; LANES_FEW at least."""
    fitting = min(bytes_max // max(lane_bytes, 1), LANES_MAX)
    return max(fitting // LANES_STEP * LANES_STEP, LANES_FEW)


def _distinct(columns: Mapping[str, Floats], names: list[str], count: int) -> tuple[Floats, Ints]:
    """Distinct tuples of these columns in sorted order, [N, names], and the number of each combination's."""
    if not names:
        return np.zeros((1, 0)), np.zeros(count, dtype=np.int64)
    tuples, of = np.unique(np.stack([columns[name] for name in names], axis=1), axis=0, return_inverse=True)
    return tuples, of.reshape(count).astype(np.int64)

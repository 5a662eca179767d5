"""Comparisons of names as one GPU thread sees them: the value of one name from the values of all at one bar.

The twins of `mts1b.strategy.cross_section`, whose functions sort a whole row into memory that a thread does not have.
Here each name goes through the row for itself, O(names) a thread, in the order of the names: sums are the same to the
bit, places and ranks are counted. A test holds every one equal to its twin.

`row` [names]: NaN is a name that takes no part. `groups` [names]: equal numbers for names of one group, NaN for none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from math import nan
from typing import Any


def place_of(row: Any, groups: Any, s: int) -> float:
    """How many names of the group have a larger value; equal values in the order of the names."""
    mine = row[s]
    if mine != mine or groups[s] != groups[s]:
        return nan
    before = 0.0
    for i in range(row.shape[0]):
        if groups[i] == groups[s] and (row[i] > mine or (row[i] == mine and i < s)):
            before += 1.0
    return before


def rank_of(row: Any, groups: Any, s: int) -> float:
    """Share of the group's other names with a smaller value, ties counted half; 0.5 if alone."""
    mine = row[s]
    if mine != mine or groups[s] != groups[s]:
        return nan
    count = 0.0
    smaller = 0.0
    equal = 0.0
    for i in range(row.shape[0]):
        if groups[i] == groups[s] and row[i] == row[i]:
            count += 1.0
            smaller += 1.0 if row[i] < mine else 0.0
            equal += 1.0 if row[i] == mine else 0.0
    return 0.5 * (smaller + smaller + equal - 1.0) / (count - 1.0) if count > 1.0 else 0.5


def mean_of(row: Any, groups: Any, s: int) -> float:
    """The mean over the group's names that have a value."""
    if row[s] != row[s] or groups[s] != groups[s]:
        return nan
    total = 0.0
    count = 0.0
    for i in range(row.shape[0]):
        if groups[i] == groups[s] and row[i] == row[i]:
            total += row[i]
            count += 1.0
    return total / count


def demeaned_of(row: Any, groups: Any, s: int) -> float:
    """The value less the mean over the group's names that have one."""
    return row[s] - mean_of(row, groups, s)


def zscore_of(row: Any, groups: Any, s: int) -> float:
    """Distance from the group's mean in population standard deviations; 0 when all are equal."""
    if row[s] != row[s] or groups[s] != groups[s]:
        return nan
    mean = mean_of(row, groups, s)
    count = 0.0
    squares = 0.0
    for i in range(row.shape[0]):
        if groups[i] == groups[s] and row[i] == row[i]:
            squares += (row[i] - mean) * (row[i] - mean)
            count += 1.0
    deviation = math.sqrt(squares / count)
    return (row[s] - mean) / deviation if deviation > 0.0 else 0.0


ONE_NAME: dict[str, Callable[..., float]] = {
    "xs_place": place_of,
    "xs_rank": rank_of,
    "xs_mean": mean_of,
    "xs_demean": demeaned_of,
    "xs_zscore": zscore_of,
}
"""By the name of the twin; `xs_rank_by` and its like are the same within groups."""

USED_BY: dict[str, tuple[Callable[..., float], ...]] = {"xs_demean": (mean_of,), "xs_zscore": (mean_of,)}
"""Functions that a twin calls."""

"""Comparisons of the names with each other at one bar: the value of a name from the values of all, or of its group.

An update fills `out` [names] from `row` [names]; NaN in `row` is a name that takes no part and gets NaN. The forms that
end in `_by` compare within groups: `groups` [names] holds equal numbers for names of one group, NaN for none.
"""

from __future__ import annotations

import math
from math import nan
from typing import Any

import numpy as np

from mts1b.strategy.ops import Kind, Op, register


def ascending(row: Any, order: Any) -> int:
    """Fill `order` with the numbers of the names from the smallest value up, equal values in the order of the names.

    Names without a value come last. How many have one. A merge sort from runs of eight; what is in order stays as it
    is, so that a market that has moved little costs little.
    """
    count = 0
    for s in range(row.shape[0]):
        if row[s] == row[s]:
            order[count] = s
            count += 1
    last = count
    for s in range(row.shape[0]):
        if row[s] != row[s]:
            order[last] = s
            last += 1
    for start in range(0, count, 8):
        for i in range(start + 1, min(start + 8, count)):
            s = order[i]
            k = i
            while k > start and row[order[k - 1]] > row[s]:
                order[k] = order[k - 1]
                k -= 1
            order[k] = s
    spare = np.empty(count, dtype=np.int64)
    width = 8
    while width < count:
        for start in range(0, count - width, 2 * width):
            merge(row, order, spare, start, start + width, min(start + 2 * width, count))
        width *= 2
    return count


def merge(row: Any, order: Any, spare: Any, start: int, middle: int, stop: int) -> None:
    """Merge two neighbouring runs of `order`, each ascending by its values in `row`, into one."""
    if row[order[middle - 1]] <= row[order[middle]]:
        return
    for i in range(start, middle):
        spare[i] = order[i]
    left = start
    right = middle
    k = start
    while left < middle:
        if right < stop and row[order[right]] < row[spare[left]]:
            order[k] = order[right]
            right += 1
        else:
            order[k] = spare[left]
            left += 1
        k += 1


def taken_up(row: Any, places: Any, order: Any, values: Any) -> bool:
    """Fill `order` with the names from the largest value down, beginning from their `places` at the bar before.

    Equal values in the order of the names; those without a value last. `places` may be anything: they only save moves.
    False, with nothing said, when there would be too many. `values` [names] is spare.
    """
    names = row.shape[0]
    order[:] = -1
    for s in range(names):
        if row[s] == row[s] and 0.0 <= places[s] < names and order[int(places[s])] < 0:
            order[int(places[s])] = s
            values[s] = 0.0
        else:
            values[s] = 1.0  # has no place yet
    count = 0
    for i in range(names):
        if order[i] >= 0:
            order[count] = order[i]
            count += 1
    for known in range(2):
        for s in range(names):
            if values[s] == 1.0 and (row[s] == row[s]) == (known == 0):
                order[count] = s
                count += 1
    moves = 0
    for i in range(names):
        s = order[i]
        x = row[s]
        k = i
        while k > 0 and x == x and (values[k - 1] < x or (values[k - 1] == x and order[k - 1] > s)):
            values[k] = values[k - 1]
            order[k] = order[k - 1]
            k -= 1
        values[k] = x
        order[k] = s
        moves += i - k
        if moves > 40 * names:
            return False
    return True


def xs_place(row: Any, out: Any) -> None:
    """How many names have a larger value; equal values in the order of the names.

    `out` may hold the places of the bar before: where little has moved, little has to be done.
    """
    order = np.empty(row.shape[0], dtype=np.int64)
    if not taken_up(row, out, order, np.empty(row.shape[0])):
        for s in range(row.shape[0]):
            out[s] = -row[s]
        ascending(out, order)
    for i in range(row.shape[0]):
        s = order[i]
        out[s] = float(i) if row[s] == row[s] else nan


def xs_rank(row: Any, out: Any) -> None:
    """Share of the other names with a smaller value, ties counted half: 0 the smallest, 1 the largest, 0.5 if alone."""
    order = np.empty(row.shape[0], dtype=np.int64)
    count = ascending(row, order)
    start = 0
    while start < count:
        stop = start + 1
        while stop < count and row[order[stop]] == row[order[start]]:
            stop += 1
        for i in range(start, stop):
            out[order[i]] = 0.5 * (start + stop - 1) / (count - 1) if count > 1 else 0.5
        start = stop
    for i in range(count, row.shape[0]):
        out[order[i]] = nan


def xs_mean(row: Any, out: Any) -> None:
    """The mean over the names that have a value, given to every name that has one."""
    total = 0.0
    count = 0.0
    for s in range(row.shape[0]):
        if row[s] == row[s]:
            total += row[s]
            count += 1.0
    for s in range(row.shape[0]):
        out[s] = total / count if row[s] == row[s] else nan


def xs_demean(row: Any, out: Any) -> None:
    """The value less the mean over the names that have one."""
    total = 0.0
    count = 0.0
    for s in range(row.shape[0]):
        if row[s] == row[s]:
            total += row[s]
            count += 1.0
    for s in range(row.shape[0]):
        out[s] = row[s] - total / count if row[s] == row[s] else nan


def xs_zscore(row: Any, out: Any) -> None:
    """Distance from the mean over the names, in population standard deviations; 0 when all are equal."""
    total = 0.0
    count = 0.0
    for s in range(row.shape[0]):
        if row[s] == row[s]:
            total += row[s]
            count += 1.0
    mean = total / count if count > 0.0 else nan
    squares = 0.0
    for s in range(row.shape[0]):
        if row[s] == row[s]:
            squares += (row[s] - mean) * (row[s] - mean)
    deviation = math.sqrt(squares / count) if count > 0.0 else nan
    for s in range(row.shape[0]):
        if row[s] != row[s]:
            out[s] = nan
        else:
            out[s] = (row[s] - mean) / deviation if deviation > 0.0 else 0.0


def gather(row: Any, groups: Any, first: int, members: Any) -> int:
    """Put the numbers of all names in the group of `first` into `members`; how many. None unless it is the first one.

    Names without a value take no part, and so begin no group.
    """
    if row[first] != row[first] or groups[first] != groups[first]:
        return 0
    count = 0
    for s in range(row.shape[0]):
        if groups[s] == groups[first] and row[s] == row[s]:
            if s < first:
                return 0
            members[count] = s
            count += 1
    return count


def xs_place_by(row: Any, groups: Any, out: Any) -> None:
    """As `xs_place`, within each group."""
    members = np.empty(row.shape[0], dtype=np.int64)
    for s in range(row.shape[0]):
        out[s] = nan
    for first in range(row.shape[0]):
        count = gather(row, groups, first, members)
        if count == 0:
            continue
        values = np.empty(count)
        results = np.empty(count)
        for i in range(count):
            values[i] = row[members[i]]
        xs_place(values, results)
        for i in range(count):
            out[members[i]] = results[i]


def xs_rank_by(row: Any, groups: Any, out: Any) -> None:
    """As `xs_rank`, within each group."""
    members = np.empty(row.shape[0], dtype=np.int64)
    for s in range(row.shape[0]):
        out[s] = nan
    for first in range(row.shape[0]):
        count = gather(row, groups, first, members)
        if count == 0:
            continue
        values = np.empty(count)
        results = np.empty(count)
        for i in range(count):
            values[i] = row[members[i]]
        xs_rank(values, results)
        for i in range(count):
            out[members[i]] = results[i]


def xs_mean_by(row: Any, groups: Any, out: Any) -> None:
    """As `xs_mean`, within each group."""
    members = np.empty(row.shape[0], dtype=np.int64)
    for s in range(row.shape[0]):
        out[s] = nan
    for first in range(row.shape[0]):
        count = gather(row, groups, first, members)
        if count == 0:
            continue
        values = np.empty(count)
        results = np.empty(count)
        for i in range(count):
            values[i] = row[members[i]]
        xs_mean(values, results)
        for i in range(count):
            out[members[i]] = results[i]


def xs_demean_by(row: Any, groups: Any, out: Any) -> None:
    """As `xs_demean`, within each group."""
    members = np.empty(row.shape[0], dtype=np.int64)
    for s in range(row.shape[0]):
        out[s] = nan
    for first in range(row.shape[0]):
        count = gather(row, groups, first, members)
        if count == 0:
            continue
        values = np.empty(count)
        results = np.empty(count)
        for i in range(count):
            values[i] = row[members[i]]
        xs_demean(values, results)
        for i in range(count):
            out[members[i]] = results[i]


def xs_zscore_by(row: Any, groups: Any, out: Any) -> None:
    """As `xs_zscore`, within each group."""
    members = np.empty(row.shape[0], dtype=np.int64)
    for s in range(row.shape[0]):
        out[s] = nan
    for first in range(row.shape[0]):
        count = gather(row, groups, first, members)
        if count == 0:
            continue
        values = np.empty(count)
        results = np.empty(count)
        for i in range(count):
            values[i] = row[members[i]]
        xs_zscore(values, results)
        for i in range(count):
            out[members[i]] = results[i]


for _within, _whole in (
    (xs_place_by, xs_place),
    (xs_rank_by, xs_rank),
    (xs_mean_by, xs_mean),
    (xs_demean_by, xs_demean),
    (xs_zscore_by, xs_zscore),
):
    _helpers = {xs_place: (merge, ascending, taken_up), xs_rank: (merge, ascending)}.get(_whole, ())
    register(Op(_whole.__name__, Kind.CROSS, _whole, inputs=1, helpers=_helpers))
    register(Op(_within.__name__, Kind.CROSS, _within, inputs=2, helpers=(*_helpers, gather, _whole)))

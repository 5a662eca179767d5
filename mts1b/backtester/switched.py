"""Sweeps of strategies that switch: keys and terms for each group of names, then one kernel over all jobs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mts1b.backtester.execution import Moves
from mts1b.backtester.keys import key_filler
from mts1b.backtester.layout import Layout, plan
from mts1b.backtester.sides import side_of
from mts1b.backtester.sums import Sums
from mts1b.backtester.switch import Switch, Terms, switch_of, terms
from mts1b.backtester.switch_lanes import GROUP_NAMES, LANES_MAX, TERM_NAMES, switch_kernel
from mts1b.strategy.expr import Node
from mts1b.strategy.ops import Kind
from mts1b.strategy.program import Program

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

JOBS_AT_ONCE = 48
"""Jobs of one call of the kernel: what their lanes hold stays in the second- and third-level caches."""


class Memory:
    """Tables that one group of names after the other is worked out in: first touching memory costs as much again."""

    def __init__(self) -> None:
        self._flat: dict[str, NDArray[np.generic]] = {}

    def keys(self, names: int, bars: int, lanes: int) -> NDArray[np.int16]:
        return self._table("keys", np.int16, (names, bars * lanes))

    def thresholds(self, names: int, bars: int, asked: int) -> NDArray[np.int16]:
        return self._table("thresholds", np.int16, (names, bars, asked))

    def held(self, jobs: int, names: int, lanes: int) -> NDArray[np.float32]:
        table: NDArray[np.float32] = self._table("held", np.float32, (jobs, names, lanes))
        table[...] = 0.0
        return table

    def _table(self, name: str, dtype: type[np.generic], shape: tuple[int, ...]) -> NDArray[Any]:
        size = math.prod(shape)
        if name not in self._flat or self._flat[name].size < size:
            self._flat[name] = np.empty(size, dtype=dtype)
        return self._flat[name][:size].reshape(shape)


@dataclass(frozen=True)
class Switched:
    """A strategy that switches, laid out for one chunk of combinations."""

    switch: Switch
    layout: Layout
    program: Program
    memory: Memory = field(default_factory=Memory)

    def batches(self) -> Iterator[slice]:
        """Runs of jobs that share the columns of their own side."""
        outer = sorted(self.switch.own.parameters - self.layout.inner)
        keys = [(b, *(self.layout.outer_values[name][o] for name in outer)) for b, o in self.layout.jobs]
        starts = [j for j in range(len(keys)) if j == 0 or keys[j] != keys[j - 1]] + [len(keys)]
        return (slice(start, stop) for start, stop in zip(starts[:-1], starts[1:], strict=True))

    def fixed(self, job: int) -> dict[str, float]:
        outer = self.layout.jobs[job][1]
        return {name: float(values[outer]) for name, values in self.layout.outer_values.items()}

    def distinct(self, node: Node, jobs: slice) -> tuple[dict[str, Floats], Ints]:
        """Distinct values [A] of the node's parameters over jobs, and which of them each job has."""
        outers = np.array([outer for _, outer in self.layout.jobs[jobs]])
        names = sorted(node.parameters)
        if not names:
            return {}, np.zeros(len(outers), dtype=np.int64)
        table = np.stack([self.layout.outer_values[name][outers] for name in names], axis=1)
        tuples, of = np.unique(table, axis=0, return_inverse=True)
        columns = {name: np.ascontiguousarray(tuples[:, i]) for i, name in enumerate(names)}
        return columns, of.reshape(-1).astype(np.int64)


def switched_of(program: Program, root: Node, combos: Mapping[str, Floats]) -> Switched | None:
    """The strategy laid out for these combinations, when it switches; None for every other."""
    if root.op != "where" or any(unit.node.spec.kind is Kind.CROSS for unit in program.units):
        return None
    condition = root.args[0]
    layout = plan(combos, [side.parameters for side in condition.args], LANES_MAX)
    switch = switch_of(root, layout.inner)
    return None if switch is None else Switched(switch, layout, program)


def add_group(
    work: Switched, fields: Mapping[str, Floats], moved: Moves, names: int, bounds: Ints, cost: float, sums: Sums
) -> bool:
    """Add one group of names to the sums of every job. False, with nothing added, when a weight is not finite."""
    switch, layout = work.switch, work.layout
    weights, which = work.distinct(switch.weight, slice(None))
    table = _terms(work, fields, moved, names, weights, cost)
    if not np.isfinite(table).all():
        return False
    moving = switch.weight.spec.kind is not Kind.CONST
    weight = 0.0 if moving else abs(float(str(switch.weight.value)))
    kernel = switch_kernel(layout.lanes, moving)
    for batch in work.batches():
        columns, asked = work.distinct(switch.shared, batch)
        keys, thresholds = _keys(work, fields, names, batch, columns)
        for start in range(batch.start, batch.stop, JOBS_AT_ONCE):
            jobs = slice(start, min(start + JOBS_AT_ONCE, batch.stop))
            mine = asked[start - batch.start : jobs.stop - batch.start]
            held = work.memory.held(len(mine), len(keys), layout.lanes)
            parts = sums.part(jobs)
            kernel(keys, thresholds, mine, table, which[jobs], weight, moved.tradable, bounds, held, *parts)
    return True


def _terms(
    work: Switched,
    fields: Mapping[str, Floats],
    moved: Moves,
    names: int,
    weights: Mapping[str, Floats],
    cost: float,
) -> NDArray[np.float32]:
    """Tables of terms [N, TERMS, S, T], one for each of the N distinct values of the weight's parameters."""
    side = side_of(work.switch.weight, frozenset())
    count = len(next(iter(weights.values()))) if weights else 1
    made: list[Terms] = []
    for n in range(count):
        fixed = {**work.fixed(0), **{name: float(values[n]) for name, values in weights.items()}}
        made.append(terms(side.columns(work.program, fields, names, fixed, {}), moved, cost))
    return np.stack([np.stack([getattr(one, name) for name in TERM_NAMES]) for one in made])


def _keys(
    work: Switched, fields: Mapping[str, Floats], names: int, batch: slice, columns: Mapping[str, Floats]
) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Keys [S, T * lanes] of the own side, thresholds [S, T, A] of what is asked of it."""
    switch, layout = work.switch, work.layout
    group, bars = next(iter(fields.values())).shape
    asked = len(next(iter(columns.values()))) if columns else 1
    keys, thresholds = work.memory.keys(group, bars, layout.lanes), work.memory.thresholds(group, bars, asked)
    fixed = work.fixed(batch.start)
    inner = {name: values[layout.jobs[batch.start][0]] for name, values in layout.inner_values.items()}
    own, shared = side_of(switch.own, layout.inner), side_of(switch.shared, switch.shared.parameters)
    fill, used = key_filler(), _used(inner)
    for s in range(group):  # one by one: the tables of one stay in a third-level cache until they are keys
        part = {key: table[s : s + 1] for key, table in fields.items()}
        values = own.columns(work.program, part, names, fixed, inner)
        numbers = shared.columns(work.program, part, names, fixed, columns)
        if switch.negated:
            values, numbers = -values, -numbers
        rows = values.reshape(bars, layout.lanes), numbers.reshape(bars, asked)
        fill(*rows, used, switch.or_equal, keys[s].reshape(bars, layout.lanes), thresholds[s])
    return keys, thresholds


def _used(inner: Mapping[str, Floats]) -> int:
    """Lanes up to the first that has what the last one has: those behind it pad the block."""
    table = np.stack(list(inner.values()))
    return int(np.argmax((table == table[:, -1:]).all(axis=0))) + 1


def groups(names: int) -> list[slice]:
    """Names worked on together."""
    return [slice(start, min(start + GROUP_NAMES, names)) for start in range(0, names, GROUP_NAMES)]

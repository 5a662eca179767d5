"""Sweeps of strategies that switch: keys and terms for each group of names, then one kernel over all jobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mts1b.backtester.execution import Moves
from mts1b.backtester.layout import Layout, cost, ways
from mts1b.backtester.sums import Sums
from mts1b.backtester.switch import Condition, Switch, switch_of
from mts1b.backtester.switch_blocks import GROUP_NAMES as BLOCK_NAMES
from mts1b.backtester.switch_blocks import JOBS, block_kernel
from mts1b.backtester.switch_lanes import (
    FLAG,
    GROUP_NAMES,
    LANES_MAX,
    NUMBER,
    SERIES,
    Form,
    Kind,
    parts_of,
    switch_kernel,
)
from mts1b.backtester.switch_tables import Memory, Sources, keyed, series_of
from mts1b.backtester.switch_terms import TERM_NAMES, terms
from mts1b.strategy.expr import Node
from mts1b.strategy.ops import Kind as Operation
from mts1b.strategy.program import Program
from mts1b.strategy.scalars import scalar_value

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Singles = NDArray[np.float32]
Values = Mapping[str, float]

JOBS_MAX = 1 << 20
"""Jobs of one call where decisions are taken with keys: all of them."""

JOBS_AT_ONCE = 50
"""Jobs of one call of the kernel: what their lanes hold stays in the second- and third-level caches."""

COST_MAX = 3.0
"""Times what the cheapest layout of any kernel costs, from which on this one, though faster, is not."""

CROSSED_JOBS = 8
"""Jobs that go together where names are compared: each may need a table of all names."""


@dataclass(frozen=True)
class Switched:
    """A strategy that switches, laid out for one chunk of combinations. `names` is S."""

    switch: Switch
    layout: Layout
    program: Program
    names: int
    memory: Memory = field(default_factory=Memory)

    @property
    def form(self) -> Form:
        entry, leave = self.kinds
        scaled = bool(self.switch.scales)
        return Form(self.layout.lanes, self.switch.moving, entry, leave, self.layout.inner, scaled)

    @property
    def kinds(self) -> tuple[tuple[Kind, ...], tuple[Kind, ...]]:
        """Of the conditions to enter and to leave."""
        entry, leave = (
            tuple(_kind(condition) for condition in part) for part in (self.switch.entry, self.switch.leave)
        )
        return entry, leave

    @property
    def keyed(self) -> bool:
        """Whether all decisions are taken with keys."""
        return all(condition.direct is None for condition in self.switch.conditions)

    @property
    def crossing(self) -> bool:
        return any(unit.node.spec.kind is Operation.CROSS for unit in self.program.units)

    def batches(self) -> Iterator[slice]:
        """Runs of jobs that share the columns of all own sides."""
        own = [condition.own.parameters for condition in self.switch.conditions if condition.own is not None]
        outer = sorted(frozenset().union(*own) - self.layout.inner)
        keys = [(b, *(self.layout.outer_values[name][o] for name in outer)) for b, o in self.layout.jobs]
        starts = [j for j in range(len(keys)) if j == 0 or keys[j] != keys[j - 1]] + [len(keys)]
        for start, stop in zip(starts[:-1], starts[1:], strict=True):
            direct = any(condition.direct is not None for condition in self.switch.conditions)
            step = CROSSED_JOBS if self.crossing else JOBS_AT_ONCE if direct else stop - start
            yield from (slice(at, min(at + step, stop)) for at in range(start, stop, step))

    def fixed(self, job: int) -> dict[str, float]:
        outer = self.layout.jobs[job][1]
        return {name: float(values[outer]) for name, values in self.layout.outer_values.items()}

    def inner(self, job: int) -> dict[str, Floats]:
        return {name: values[self.layout.jobs[job][0]] for name, values in self.layout.inner_values.items()}

    def distinct(self, parameters: frozenset[str], jobs: slice) -> tuple[dict[str, Floats], Ints]:
        """Distinct values [A] of parameters over jobs, and which of them each job has."""
        outers = np.array([outer for _, outer in self.layout.jobs[jobs]])
        names = sorted(parameters)
        if not names:
            return {}, np.zeros(len(outers), dtype=np.int64)
        table = np.stack([self.layout.outer_values[name][outers] for name in names], axis=1)
        tuples, of = np.unique(table, axis=0, return_inverse=True)
        columns = {name: np.ascontiguousarray(tuples[:, i]) for i, name in enumerate(names)}
        return columns, of.reshape(-1).astype(np.int64)

    def scales(self) -> Singles:
        """The number that each lane's weight is multiplied by, [J, lanes]."""
        found = np.ones((len(self.layout.jobs), self.layout.lanes))
        for j in range(len(found)):
            for node, divides in self.switch.scales:
                value = scalar_value(node, {**self.fixed(j), **self.inner(j)}, self.names)
                found[j] = found[j] / value if divides else found[j] * value
        return found.astype(np.float32)


def switched_of(program: Program, root: Node, combos: Mapping[str, Floats], names: int) -> Switched | None:
    """The strategy laid out for these combinations, when it switches; None for every other."""
    reads = _compared(root)
    laid = ways(combos, LANES_MAX) if reads else []
    swept = frozenset(name for name, values in combos.items() if len(np.unique(values)) > 1)
    found = [(way, switch) for way in laid if (switch := switch_of(root, way.inner, swept - way.inner)) is not None]
    if not found:
        return None
    layout, switch = min(found, key=lambda way: cost(way[0], reads))
    worth_it = cost(layout, reads) <= COST_MAX * min(cost(other, reads) for other in laid)
    return Switched(switch, layout, program, names) if worth_it else None


def _compared(root: Node) -> list[frozenset[str]]:
    """Parameters of the sides of all comparisons: what tables are needed for."""
    return [arg.parameters for node in root.walk() if node.op in ("gt", "ge", "lt", "le") for arg in node.args]


def _kind(condition: Condition) -> Kind:
    if condition.direct is not None:
        return condition.direct
    if condition.own is None:
        return FLAG
    return SERIES if condition.own.is_series else NUMBER


def add_all(work: Switched, fields: Mapping[str, Floats], moved: Moves, bounds: Ints, rate: float, sums: Sums) -> bool:
    """Add all names to the sums of every job. False, the sums being worth nothing then, where a weight is not finite
    or a lane's number not above 0: the sign of a weight and its costs go together."""
    scale = work.scales()
    if not (np.isfinite(scale).all() and (scale > 0.0).all()):
        return False
    run = _Blocks(work) if work.keyed else _Lanes(work)
    weights, weighed = work.distinct(_parameters(work.switch.weights), slice(None))
    for batch in work.batches():
        sources = Sources(work.program, fields, work.names, work.fixed(batch.start), work.inner(batch.start))
        asked = [work.distinct(_asked(condition, work.layout.inner), batch) for condition in work.switch.conditions]
        for group in _groups(work.names, run.names):
            table, weight = _terms(work, sources, group, moved, weights, rate)
            if not (np.isfinite(table).all() and (work.switch.moving or (weight > 0.0).all())):
                return False
            tables = [run.table(i, sources, group, columns) for i, (columns, _) in enumerate(asked)]
            shared = (table, weight, moved.tradable[group], bounds)
            for start in range(batch.start, batch.stop, run.jobs):
                jobs = slice(start, min(start + run.jobs, batch.stop))
                mine = slice(start - batch.start, jobs.stop - batch.start)
                reads = [run.reads(i, tables[i], jobs, of[mine]) for i, (_, of) in enumerate(asked)]
                run([arg for read in reads for arg in read], shared, weighed[jobs], scale[jobs], jobs, sums)
    return True


class _Blocks:
    """Decisions by keys: `mts1b.backtester.switch_blocks`."""

    names, jobs = BLOCK_NAMES, JOBS_MAX

    def __init__(self, work: Switched) -> None:
        self._work = work
        entry, leave = (tuple(NUMBER if kind == FLAG else kind for kind in part) for part in work.kinds)
        self._kernel = block_kernel(replace(work.form, entry=entry, leave=leave))

    def table(self, number: int, sources: Sources, group: slice, columns: Mapping[str, Floats]) -> list[Any]:
        condition = self._work.switch.conditions[number]
        found = keyed(self._work.memory, number, condition, sources, group, columns)
        if condition.own is not None:
            return found
        return [np.zeros(self._work.layout.lanes, dtype=np.int16), found[0].astype(np.int16)]  # 0 < 1 where it holds

    def reads(self, _number: int, table: list[Any], _jobs: slice, which: Ints) -> list[Any]:
        keys, asked = table
        in_order = len(which) == asked.shape[2] and bool((which == np.arange(len(which))).all())
        return [keys, asked if in_order else np.take(asked, which, axis=2)]

    def __call__(self, reads: list[Any], shared: Any, weighed: Ints, scale: Singles, jobs: slice, sums: Sums) -> None:
        table, weight, tradable, bounds = shared
        count = len(weighed) if self._work.switch.leave else 0
        held = self._work.memory.held(count, len(tradable), self._work.layout.lanes)
        self._kernel(*reads, table, weighed, weight, scale, tradable, bounds, _cuts(weighed), held, *sums.part(jobs))


class _Lanes:
    """Decisions of which some are worked out as they stand: `mts1b.backtester.switch_lanes`."""

    names, jobs = GROUP_NAMES, JOBS_AT_ONCE

    def __init__(self, work: Switched) -> None:
        self._work, self._kernel = work, switch_kernel(work.form)

    def table(self, number: int, sources: Sources, group: slice, columns: Mapping[str, Floats]) -> list[Any]:
        condition = self._work.switch.conditions[number]
        if condition.direct is not None:
            return series_of(condition.direct, sources, group, columns)
        return keyed(self._work.memory, number, condition, sources, group, columns)

    def reads(self, number: int, table: list[Any], jobs: slice, which: Ints) -> list[Any]:
        return [*table, *_numbers(self._work, self._work.switch.conditions[number], jobs), which]

    def __call__(self, reads: list[Any], shared: Any, weighed: Ints, scale: Singles, jobs: slice, sums: Sums) -> None:
        table, weight, tradable, bounds = shared
        held = self._work.memory.held(len(weighed), len(tradable), self._work.layout.lanes)
        self._kernel(*reads, table, weighed, weight, scale, tradable, bounds, held, *sums.part(jobs))


def _cuts(weighed: Ints) -> Ints:
    """Where blocks of jobs begin: of at most JOBS that have the same weight."""
    cuts = [0]
    for j in range(1, len(weighed)):
        if weighed[j] != weighed[j - 1] or j - cuts[-1] == JOBS:
            cuts.append(j)
    return np.array([*cuts, len(weighed)], dtype=np.int64)


def _asked(condition: Condition, inner: frozenset[str]) -> frozenset[str]:
    """The parameters, the same for all lanes, of the tables of one condition."""
    return (condition.shared if condition.direct is None else condition.direct).parameters - inner


def _numbers(work: Switched, condition: Condition, jobs: slice) -> list[Floats]:
    """The scalars that a comparison is worked out with: [J, lanes] where they vary between lanes, else [J]."""
    found = []
    for node in [] if condition.direct is None else parts_of(condition.direct)[1]:
        shape = (work.layout.lanes,) if node.parameters & work.layout.inner else ()
        values = (
            scalar_value(node, {**work.fixed(j), **work.inner(j)}, work.names) for j in range(jobs.start, jobs.stop)
        )
        found.append(np.array([np.broadcast_to(value, shape) for value in values], dtype=np.float64))
    return found


def _parameters(factors: tuple[tuple[Node, bool], ...]) -> frozenset[str]:
    return frozenset().union(*(node.parameters for node, _ in factors))


def _terms(
    work: Switched, sources: Sources, group: slice, moved: Moves, weights: Mapping[str, Floats], rate: float
) -> tuple[Singles, Floats]:
    """Tables of terms [N, TERMS, S, T], one for each of the N distinct values of the weight's parameters, and the
    absolute weights [N] where they do not move."""
    count = len(next(iter(weights.values()))) if weights else 1
    part = Moves(moved.overnight[group], moved.intraday[group], moved.drift[group], moved.tradable[group])
    made, constant = [], np.zeros(count)
    for n in range(count):
        values = {name: float(table[n]) for name, table in weights.items()}
        weight = np.ones(part.tradable.shape)
        for node, divides in work.switch.weights:
            factor = sources.table(node, values, group)
            weight = weight / factor if divides else weight * factor
        constant[n] = abs(weight[0, 0])
        found = terms(weight, part, rate)
        made.append(np.stack([getattr(found, name) for name in TERM_NAMES]))
    return np.stack(made), constant


def _groups(names: int, size: int) -> list[slice]:
    """Names worked on together."""
    return [slice(start, min(start + size, names)) for start in range(0, names, size)]

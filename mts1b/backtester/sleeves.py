"""Every name of every combination as an account of its own, judged at once: `by_column`."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mts1b.backtester.backends import evaluate
from mts1b.backtester.evaluation import NAME_METRICS
from mts1b.backtester.execution import Execution, check_prices
from mts1b.backtester.layout import ways
from mts1b.backtester.sleeve_kernel import LANES_MAX, Asked, Form, sleeve_kernel, work_size
from mts1b.backtester.switch import Condition, Switch, switch_of
from mts1b.backtester.switch_tables import Memory, Sources, used_lanes
from mts1b.backtester.switched import Switched
from mts1b.foundation.errors import InputError
from mts1b.quantkit.metrics import BARS_PER_YEAR, SPREAD_MIN
from mts1b.strategy.definition import Strategy, Values
from mts1b.strategy.expr import Node
from mts1b.strategy.ops import Kind
from mts1b.strategy.panel import Panel
from mts1b.strategy.program import Program, program_of
from mts1b.strategy.scalars import scalar_value
from mts1b.strategy.turned import name_major

Floats = NDArray[np.float64]

GROUP_NAMES = 10
"""Names worked on together: their tables are small enough for memory that was used before, no page touched first."""

SPARE_BYTES_MAX = 64 << 20
"""Tables of one thread, at most, that stay for the next call."""

SPARE: deque[Memory] = deque(maxlen=8)
"""Tables of threads that have finished: the system takes as long to hand out fresh pages as a kernel to fill them."""

ALL_IN = Execution(capital_by="sleeve", band=np.inf)
"""A sleeve for each name, all in or all out: nothing is there to restore. Costs in basis points may differ."""


def by_column(
    strategy: Strategy, combos: Values, panel: Panel, execution: Execution = ALL_IN, threads: int = 1
) -> dict[str, Floats]:
    """Metrics [C, S] of every combination over every name, by NAME_METRICS, decisions and sums in float64.

    The numbers that `evaluate(..., by_name=True)` has, without the portfolio of all names; of the panel, the fields
    that are read are checked. Where a strategy is all in or out and no bar is missing they come from a kernel that
    looks at orders only, `threads` sharing the names; else from exact books. InputError as there, and for an execution
    that is not by sleeve.
    """
    if execution.capital_by != "sleeve":
        raise InputError("capital_by", execution.capital_by, "columns are sleeves", "use capital_by='sleeve'")
    if threads < 1:
        raise InputError("threads", threads, "somebody has to work", "give 1 or more")
    columns = strategy.check_combos(combos)
    read = {"open", "close", *program_of(strategy.root).field_names().values()}
    whole = check_prices(panel, [name for name in panel.fields if name in read])
    strategy.check_history(columns, len(panel.ts_ns))
    found = _bits(strategy, columns, panel, execution, threads) if whole else None
    if found is None:
        found = evaluate(strategy, columns, panel, execution, by_name=True).by_name
        assert found is not None  # asked for
    return dict(zip(NAME_METRICS, found, strict=True))


def _bits(
    strategy: Strategy, columns: Mapping[str, Floats], panel: Panel, execution: Execution, threads: int
) -> Floats | None:
    """Tables [len(NAME_METRICS), C, S] from the kernel of orders; None where it does not do."""
    program, names = program_of(strategy.root), len(panel.symbols)
    given = tuple((name, tuple(values.tolist())) for name, values in columns.items())
    batches = _batches(strategy.root, given, names) if _all_in(execution) else ()
    if not batches:
        return None
    crossed = {} if not _compares(program) else program.fields(panel)
    found = np.empty((len(NAME_METRICS), len(next(iter(columns.values()))), names))

    def judged(group: slice) -> None:
        with _memory() as memory:
            bars = _Bars(panel, program, group, crossed, memory)
            for batch in batches:
                table = batch.judged(bars, execution.cost, memory)
                found[:, batch.columns, group] = table[:, batch.job, batch.lane].transpose(2, 1, 0)

    waiting = deque(_groups(names, threads))

    def work_on() -> None:
        while waiting:
            try:
                group = waiting.popleft()
            except IndexError:  # another thread took the last one
                return
            judged(group)

    with ThreadPoolExecutor(max(threads - 1, 1)) as pool:
        others = [pool.submit(work_on) for _ in range(threads - 1)]
        work_on()
        for other in others:
            other.result()
    return found


@contextmanager
def _memory() -> Iterator[Memory]:
    """Tables that nobody else works in meanwhile; kept for the next who asks, unless they are large."""
    try:
        memory = SPARE.pop()
    except IndexError:
        memory = Memory()
    yield memory
    if memory.nbytes <= SPARE_BYTES_MAX:
        SPARE.append(memory)


def _groups(names: int, threads: int) -> list[slice]:
    """Names worked on together, as many groups for each thread; the last of several threads' in halves, so that none
    waits long for another."""
    parts = min(-(-names // (GROUP_NAMES * threads)) * threads, names)
    edges = [names * part / parts for part in range(parts + 1)]
    if threads > 1:
        edges += [(edges[i] + edges[i + 1]) / 2 for i in range(max(parts - threads, 0), parts)]
    cuts = sorted({int(edge) for edge in edges})
    return [slice(start, stop) for start, stop in zip(cuts[:-1], cuts[1:], strict=True)]


def _compares(program: Program) -> bool:
    return any(unit.node.spec.kind is Kind.CROSS for unit in program.units)


class _Bars:
    """The bars of a group of names, name-major: `fields` the strategy reads, by node key, `group` of them wanted."""

    def __init__(
        self, panel: Panel, program: Program, group: slice, crossed: Mapping[str, Floats], memory: Memory
    ) -> None:
        turned: dict[str, Floats] = {}
        read = {} if crossed else program.field_names()
        for number, name in enumerate(("open", "close", *sorted(set(read.values()) - {"open", "close"}))):
            turned[name] = name_major(panel.field(name), group, memory.taken("bars", number))
        self.open, self.close = turned["open"], turned["close"]
        self.fields = crossed or {key: turned[name] for key, name in read.items()}
        self.group = group if crossed else slice(0, len(self.open))


def _all_in(execution: Execution) -> bool:
    """Whether it asks for nothing but fills at the open and costs in basis points."""
    costs = {name: getattr(execution, name) for name in ("commission_bps", "half_spread_bps", "capital", "impact_bars")}
    return execution == replace(ALL_IN, long_only=execution.long_only, **costs)


@lru_cache(maxsize=4)
def _batches(root: Node, columns: tuple[tuple[str, tuple[float, ...]], ...], names: int) -> tuple[_Batch, ...]:
    """The jobs of these parameter columns, laid out; none where the kernel of orders does not do."""
    work = _switched(program_of(root), root, {name: np.array(values) for name, values in columns}, names)
    return () if work is None else tuple(_Batch(work, batch) for batch in work.batches())


def _switched(program: Program, root: Node, combos: Mapping[str, Floats], names: int) -> Switched | None:
    """The strategy laid out in lanes, when it switches between all and nothing by comparisons with a number."""
    swept = frozenset(name for name, values in combos.items() if len(np.unique(values)) > 1)
    for layout in ways(combos, LANES_MAX):
        switch = switch_of(root, layout.inner, swept - layout.inner)
        if switch is not None and _is_whole(switch):
            return Switched(switch, layout, program, names)
    return None


def _is_whole(switch: Switch) -> bool:
    constant = all(node.spec.kind is Kind.CONST and node.value == 1.0 for node, _ in switch.weights)
    return constant and not switch.scales and all(condition.direct is None for condition in switch.conditions)


class _Batch:
    """Jobs that share the columns of all own sides: what is the same for every group of names."""

    def __init__(self, work: Switched, batch: slice) -> None:
        self.work, self.batch = work, batch
        layout, switch = work.layout, work.switch
        self.columns = np.flatnonzero((layout.job >= batch.start) & (layout.job < batch.stop))
        self.job, self.lane = layout.job[self.columns] - batch.start, layout.lane[self.columns]
        padded = work.inner(batch.start)
        self.used = used_lanes(padded)
        self.inner = {name: np.ascontiguousarray(values[: self.used]) for name, values in padded.items()}
        self.shared = [work.distinct(one.shared.parameters - layout.inner, batch) for one in switch.conditions]
        asked = [_asked(condition) for condition in switch.conditions]
        entry = len(switch.entry)
        self.kernel = sleeve_kernel(Form(self.used, tuple(asked[:entry]), tuple(asked[entry:])))

    def judged(self, bars: _Bars, fee: float, memory: Memory) -> Floats:
        """Metrics [G, J, lanes, len(NAME_METRICS)] over a group of names."""
        work = self.work
        sources = Sources(work.program, bars.fields, work.names, work.fixed(self.batch.start), self.inner)
        given = [arg for i in range(len(self.shared)) for arg in self._read(i, sources, bars.group, memory)]
        jobs, lanes = self.batch.stop - self.batch.start, self.used
        found = memory.table("found", 0, np.float64, (len(bars.open), jobs, lanes, len(NAME_METRICS)))
        spare = memory.table("work", 0, np.float64, (work_size(sources.bars, jobs, lanes),))
        self.kernel(*given, bars.open, bars.close, fee, float(BARS_PER_YEAR), SPREAD_MIN, spare, found)
        return found

    def _read(self, number: int, sources: Sources, group: slice, memory: Memory) -> list[Any]:
        """The kernel's arguments for one condition: own side, and what each job asks."""
        own, (distinct, which) = self.work.switch.conditions[number].own, self.shared[number]
        shared_node = self.work.switch.conditions[number].shared
        shared = sources.columns(shared_node, distinct, group, memory.taken("shared", number))
        if len(which) * sources.bars != shared.shape[1] or bool((np.diff(which) != 1).any()):
            table = shared.reshape(len(shared), sources.bars, -1)
            shared = np.take(table, which, axis=2).reshape(len(shared), -1)
        if own is None:
            return [np.zeros(0), (shared == shared) & (shared != 0.0)]
        if own.is_series:
            return [sources.columns(own, self.inner, group, memory.taken("own", number)), shared]
        value = np.asarray(scalar_value(own, {**sources.fixed, **self.inner}, sources.names), dtype=np.float64)
        return [np.ascontiguousarray(np.broadcast_to(value, (self.used,))), shared]


def _asked(condition: Condition) -> Asked:
    if condition.own is None:
        return Asked("", False)
    return Asked((">" if condition.negated else "<") + "=" * condition.or_equal, condition.own.is_series)

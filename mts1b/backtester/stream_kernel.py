"""The kernel of one combination: every bar of a name is read once, decided on, traded and forgotten.

Where a sweep fills tables and shares them between combinations, one combination has nothing to share: its indicators,
decision and accounting are one loop over time, and what they remember goes on to the next stretch of the history.
Indicators and decisions are the scalar functions of every other use, and so are the numbers they give. Names are taken
two at a time: each sum waits for the one before, and those of another name fill the wait (measured: 8.4 ns a bar of
sma_cross instead of 10; with four names no less, with eight more).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from mts1b.backtester.lanes import FUSED_ENTRY
from mts1b.strategy.codegen import HEADER, decision, emit, function_sources, truth
from mts1b.strategy.expr import Node
from mts1b.strategy.jit import load
from mts1b.strategy.ops import Kind
from mts1b.strategy.program import Unit, program_of

NAMES_AT_ONCE = 2
"""Names whose bars are worked on in turn."""

BOOK = ("target", "held", "last_close", "last_open", "seen", "traded", "changed", "gross")
"""What is remembered of a name, in the columns of its row: the target decided on its last bar and the weight held; its
last close of a bar with both prices and its last traded open, NaN before; 1.0 when its last bar had a close; its sums
of weight traded, of changes of target and of gross weight."""

TARGET = Node("field", (), "target")
"""Targets decided elsewhere, read in place of a decision: where names are compared with each other."""


class StreamKernel:
    """The compiled kernel of one expression without cross-sections.

    `run` takes: the tables [G, T] of `reads` (fields), `open`, `close` [G, T], `which` int64 [G] (the rows of the names
    in what follows), the memory [S, floats] of each of `units`, one number for each of `takes`, `book` [S, BOOK], the
    cost of a trade, and the sum of returns [T], which it adds to.
    """

    def __init__(self, root: Node) -> None:
        program = program_of(root)
        self.units = program.units
        self.takes = tuple({n.key: n for unit in (*self.units, program.decide) for n in unit.takes}.values())
        tables = {n.key: n for unit in (*self.units, program.decide) for n in unit.reads if n.spec.kind is Kind.FIELD}
        self.reads = tuple(tables.values())
        self.decide = program.decide
        text = "\n\n".join([HEADER + function_sources([root]), FUSED_ENTRY + self._source()])
        self.run: Any = load(text).run

    def _source(self) -> str:
        arguments = [
            *(f"a{i}" for i in range(len(self.reads))),
            *("opens", "closes", "which"),
            *(f"state{i}" for i in range(len(self.units))),
            *(f"p{i}" for i in range(len(self.takes))),
            *("book", "cost", "earned"),
        ]
        lines = [
            f"def run({', '.join(arguments)}):",
            "    first = 0",
            f"    while first + {NAMES_AT_ONCE} <= which.shape[0]:",
            *self._names(NAMES_AT_ONCE),
            f"        first += {NAMES_AT_ONCE}",
            "    while first < which.shape[0]:",
            *self._names(1),
            "        first += 1",
        ]
        return "\n".join(lines) + "\n"

    def _names(self, count: int) -> list[str]:
        """All bars of `count` names, from the name `first` on."""
        lines = []
        for u in range(count):
            lines.append(f"row{u} = book[which[first + {u}]]")
            lines += [f"memory{i}_{u} = state{i}[which[first + {u}]]" for i in range(len(self.units))]
            lines += [f"{name}{u} = row{u}[{i}]" for i, name in enumerate(BOOK)]
        lines.append("for t in range(earned.shape[0]):")
        lines.append("    net = earned[t]")
        for u in range(count):
            lines += [f"    {line}" for line in (*self._trade(u), *self._decide(u))]
        lines.append("    earned[t] = net")
        for u in range(count):
            lines += [f"row{u}[{i}] = {name}{u}" for i, name in enumerate(BOOK)]
        return [" " * 8 + line for line in lines]

    def _trade(self, u: int) -> list[str]:
        """Trade at the open what was decided on the close before: `mts1b.backtester.execution`, one bar of one name.

        Nothing is divided while nothing is held or wanted.
        """
        text = TRADE.replace("@", str(u)).format(row=f"first + {u}")
        return text.splitlines()

    def _decide(self, u: int) -> list[str]:
        """Move every unit on by this bar and take the target for the next open."""
        lines = [f"x{i}_{u} = a{i}[first + {u}, t]" for i in range(len(self.reads))]
        leaf = self._leaf(u)
        for i, unit in enumerate(self.units):
            lines += _advance(unit, i, u, leaf)
        return [*lines, f"target{u} = {decision(self.decide.node, leaf)}"]

    def _leaf(self, u: int) -> Callable[[Node], str | None]:
        names = {node.key: f"x{i}_{u}" for i, node in enumerate(self.reads)}
        names |= {unit.node.key: f"v{i}_{u}" for i, unit in enumerate(self.units)}
        names |= {node.key: f"p{i}" for i, node in enumerate(self.takes)}
        return lambda node: names.get(node.key)


TRADE = """\
open_now = opens[{row}, t]
close_now = closes[{row}, t]
wanted = held@
if open_now == open_now and close_now == close_now:
    traded_now = seen@ != 0.0
    wanted = target@ if traded_now else held@
    if wanted != 0.0 or held@ != 0.0:
        night = open_now / last_close@ - 1.0 if last_close@ == last_close@ else 0.0
        drift = open_now / last_open@ if traded_now and last_open@ == last_open@ else 1.0
        trade = abs(wanted - held@ * drift)
        net += held@ * night + wanted * (close_now / open_now - 1.0) - cost * trade
        traded@ += trade
        changed@ += 1.0 if wanted != held@ else 0.0
    last_open@ = open_now if traded_now else last_open@
    last_close@ = close_now
gross@ += abs(wanted)
held@ = wanted
seen@ = 1.0 if close_now == close_now else 0.0
"""


def _advance(unit: Unit, i: int, u: int, leaf: Callable[[Node], str | None]) -> list[str]:
    """One bar of a unit: its value `v`, its memory moved on, as in `mts1b.strategy.program`."""
    spec = unit.node.spec
    assert spec.function is not None and spec.kind in (Kind.SERIES, Kind.PATH), unit.node
    memory, value = f"memory{i}_{u}", f"v{i}_{u}"
    text_of = truth if spec.truths else emit
    inputs = [text_of(arg, leaf) for arg in unit.node.args[: spec.inputs]]
    fixed = [emit(arg, leaf) for arg in unit.node.args[spec.inputs :]]
    name = spec.function.__name__
    if spec.kind is Kind.PATH:
        kept = [f"{memory}[{k}]" for k in range(int(spec.size()))]
        return [f"{value}, {', '.join(kept)} = {name}({', '.join([*kept, *inputs, *fixed])})"]
    xs = [f"y{k}" for k in range(len(inputs))]
    known = " and ".join(f"{x} == {x}" for x in xs)
    lines = [f"{x} = {text}" for x, text in zip(xs, inputs, strict=True)]
    return [*lines, f"{value} = {name}({', '.join([memory, *xs, *fixed])}) if {known} else nan"]


@lru_cache(maxsize=64)
def stream_kernel(root: Node) -> StreamKernel:
    """The compiled kernel; compiled once a process, cached on disk across processes."""
    return StreamKernel(root)


def compares_names(root: Node) -> bool:
    """Whether a bar of one name is compared with those of the others: all names must then arrive together."""
    return any(node.spec.kind is Kind.CROSS for node in root.walk())

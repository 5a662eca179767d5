"""A strategy as a list of units, each one compiled loop over names and bars.

A unit is an operation with a memory (or across names) together with the elementwise arithmetic of its inputs. Units
fill tables over a whole history, and the same compiled code advances by one bar when the history has one bar: the
states are kept between calls. Arrays here are name-major, [S, T].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mts1b.strategy.codegen import ENTRY, TABLED, decision, emit, kernel_module, leaves, scalars, truth
from mts1b.strategy.expr import Node
from mts1b.strategy.jit import load
from mts1b.strategy.ops import Kind
from mts1b.strategy.panel import SECTOR, SERIES, Panel
from mts1b.strategy.scalars import scalar_value
from mts1b.strategy.turned import name_major

Floats = NDArray[np.float64]
Tables = dict[str, Floats]


@dataclass(frozen=True)
class Unit:
    """One compiled loop: the tables it reads, the scalars it takes."""

    node: Node
    reads: tuple[Node, ...]
    takes: tuple[Node, ...]

    def scalar_values(self, values: Mapping[str, Any], names: int) -> tuple[float, ...]:
        return tuple(scalar_value(node, values, names) for node in self.takes)

    def new_state(self, values: Mapping[str, Any], names: int) -> Floats:
        """Memory before the first bar, [S, floats]."""
        spec = self.node.spec
        if spec.kind not in (Kind.SERIES, Kind.PATH):
            return np.zeros((names, 0))
        fixed = (scalar_value(arg, values, names) for arg in self.node.args[spec.inputs :])
        return np.zeros((names, int(spec.size(*fixed))))


class Program:
    """The compiled form of one expression: its units in order, the last one being the decision.

    Each loop is a module of its own, so that units alike are compiled once, whichever strategies they are part of.
    """

    def __init__(self, root: Node) -> None:
        self.units = tuple(unit_of(node) for node in root.walk() if node.spec.kind in TABLED)
        self.decide = Unit(root, tuple(leaves(root)), tuple(scalars(root)))
        sources = [_unit_source(unit) for unit in self.units] + [_decide_source(self.decide)]
        self.source = "\n\n".join(sources)
        *loops, self.decide_loop = (load(source).loop for source in sources)
        self._loops = {unit.node.key: loop for unit, loop in zip(self.units, loops, strict=True)}

    def loop(self, unit: Unit) -> Any:
        """The compiled loop of a unit: `loop(state, tables read..., scalars taken..., out)`."""
        return self.decide_loop if unit is self.decide else self._loops[unit.node.key]

    def fields(self, panel: Panel) -> Tables:
        """The panel's fields that the expression reads, name-major, by the key of their node.

        InputError for a field that the panel lacks (vwap, sectors).
        """
        return {key: name_major(panel.field(name)) for key, name in self.field_names().items()}

    def field_names(self) -> dict[str, str]:
        """Names of the fields that the expression reads, by the key of their node."""
        nodes = (node for unit in (*self.units, self.decide) for node in unit.reads if node.spec.kind is Kind.FIELD)
        return {node.key: str(node.value) for node in nodes}

    def run(self, unit: Unit, tables: Tables, given: tuple[float, ...], state: Floats, out: Floats) -> None:
        """Advance one unit over the bars in `tables`, from `state`, which is updated, into `out` [S, T]."""
        self.loop(unit)(state, *(tables[node.key] for node in unit.reads), *given, out)

    def targets(self, values: Mapping[str, float], panel: Panel) -> Floats:
        """Targets [T, S], decided on the close of each bar; not known is 0."""
        stepping = Progress(self, values, len(panel.symbols))
        return np.ascontiguousarray(stepping.advance(self.fields(panel)).T)


class Progress:
    """A program on its way through time, for one set of parameter values: the memory of every unit."""

    def __init__(self, program: Program, values: Mapping[str, float], names: int) -> None:
        self.program = program
        self.names = names
        self.steps = [
            (unit, unit.scalar_values(values, names), unit.new_state(values, names))
            for unit in (*program.units, program.decide)
        ]

    @property
    def memory(self) -> tuple[Floats, ...]:
        """What every unit remembers, [S, floats] each, as it is: written to by `advance`."""
        return tuple(state for _, _, state in self.steps)

    def advance(self, tables: Tables) -> Floats:
        """Take in the bars of `tables` (fields by node key, [S, T], any T >= 1); the targets [S, T]."""
        tables = dict(tables)
        bars = next(iter(tables.values())).shape[1]
        out = np.empty((self.names, bars))
        for unit, given, state in self.steps:
            out = np.empty((self.names, bars))
            self.program.run(unit, tables, given, state, out)
            if unit is not self.program.decide:
                tables[unit.node.key] = out
        return out


@lru_cache(maxsize=64)
def program_of(root: Node) -> Program:
    """The compiled program of an expression; compiled once a process, cached on disk across processes."""
    return Program(root)


def unit_of(node: Node) -> Unit:
    """The unit of an operation with a memory or across names: what it reads and takes, inputs included."""
    inputs = node.args[: node.spec.inputs]
    reads: dict[str, Node] = {}
    takes: dict[str, Node] = {}
    for arg in inputs:
        reads |= {leaf.key: leaf for leaf in leaves(arg) if leaf.is_series}
        takes |= {scalar.key: scalar for scalar in scalars(arg)}
    for arg in node.args[node.spec.inputs :]:
        if arg.spec.kind is not Kind.CONST:
            takes[arg.key] = arg
    return Unit(node, tuple(reads.values()), tuple(takes.values()))


def _namer(unit: Unit) -> Any:
    names = {node.key: f"a{i}[s, t]" for i, node in enumerate(unit.reads)}
    names |= {node.key: f"p{i}" for i, node in enumerate(unit.takes)}
    return lambda node: names.get(node.key)


def _signature(unit: Unit) -> str:
    arguments = [f"a{i}" for i in range(len(unit.reads))] + [f"p{i}" for i in range(len(unit.takes))]
    return ENTRY + f"def loop({', '.join(['state', *arguments, 'out'])}):\n"


def _unit_source(unit: Unit) -> str:
    leaf = _namer(unit)
    spec = unit.node.spec
    assert spec.function is not None
    text_of = truth if spec.truths else emit
    inputs = [text_of(arg, leaf) for arg in unit.node.args[: spec.inputs]]
    fixed = [emit(arg, leaf) for arg in unit.node.args[spec.inputs :]]
    body = {Kind.SERIES: _series_body, Kind.PATH: _path_body, Kind.CROSS: _cross_body}[spec.kind]
    memory = int(spec.size()) if spec.kind is Kind.PATH else 0
    return kernel_module([unit.node], _signature(unit) + body(spec.function.__name__, inputs, fixed, memory))


def _series_body(function: str, inputs: list[str], fixed: list[str], _memory: int) -> str:
    xs = [f"x{i}" for i in range(len(inputs))]
    known = " and ".join(f"{x} == {x}" for x in xs)
    lines = ["for s in range(out.shape[0]):", "    memory = state[s]", "    for t in range(out.shape[1]):"]
    lines += [f"        {x} = {text}" for x, text in zip(xs, inputs, strict=True)]
    lines += [f"        out[s, t] = {function}({', '.join(['memory', *xs, *fixed])}) if {known} else nan"]
    return _indented(lines)


def _path_body(function: str, inputs: list[str], fixed: list[str], memory: int) -> str:
    kept = [f"m{i}" for i in range(memory)]
    lines = ["for s in range(out.shape[0]):"]
    lines += [f"    {m} = state[s, {i}]" for i, m in enumerate(kept)]
    lines += ["    for t in range(out.shape[1]):"]
    lines += [f"        value, {', '.join(kept)} = {function}({', '.join([*kept, *inputs, *fixed])})"]
    lines += ["        out[s, t] = value"]
    lines += [f"    state[s, {i}] = {m}" for i, m in enumerate(kept)]
    return _indented(lines)


def _cross_body(function: str, inputs: list[str], fixed: list[str], _memory: int) -> str:
    rows = [f"row{i}" for i in range(len(inputs))]
    lines = [f"{row} = np.empty(out.shape[0])" for row in (*rows, "result")]
    lines += ["for t in range(out.shape[1]):", "    for s in range(out.shape[0]):"]
    lines += [f"        {row}[s] = {text}" for row, text in zip(rows, inputs, strict=True)]
    lines += [f"    {function}({', '.join([*rows, 'result', *fixed])})", "    for s in range(out.shape[0]):"]
    return _indented([*lines, "        out[s, t] = result[s]"])


def _decide_source(unit: Unit) -> str:
    lines = [
        "for s in range(out.shape[0]):",
        "    for t in range(out.shape[1]):",
        f"        out[s, t] = {decision(unit.node, _namer(unit))}",
    ]
    return kernel_module([unit.node], _signature(unit) + _indented(lines))


def _indented(lines: list[str]) -> str:
    return "".join(f"    {line}\n" for line in lines)


FIELD_KEYS = {name: Node("field", (), name).key for name in (*SERIES, SECTOR)}
"""Key of each field's node."""

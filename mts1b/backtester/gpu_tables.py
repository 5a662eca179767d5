"""Tables of a strategy as CUDA source: a thread for each name and distinct value follows that name's bars in order.

A comparison of names is two kernels: one writes down what is compared, a thread for each number; in the other a thread
for each number reads all names of its bar (`mts1b.backtester.gpu_cross`).
"""

from __future__ import annotations

from dataclasses import dataclass

from mts1b.backtester.gpu_cross import ONE_NAME
from mts1b.backtester.gpu_source import Leaf, call, cross_name
from mts1b.strategy.codegen import emit
from mts1b.strategy.expr import Node
from mts1b.strategy.ops import Kind
from mts1b.strategy.program import Unit

Types = list[tuple[str, int]]


@dataclass(frozen=True)
class Filling:
    """How the table [S, T, V] of one node is filled, by kernels whose names begin with `function`.

    `fill` takes for each table read [S, T, U] itself and int64 [V], which of its columns; for each scalar its value
    [V]; then states [F, S * V] (not for rules), and writes out [S, T, V]. A comparison has `rows`, which takes the same
    and writes one table for each input, and `fill`, which takes those and, without groups, numbers [S] all equal.
    """

    unit: Unit
    function: str

    @property
    def crosses(self) -> bool:
        return self.unit.node.spec.kind is Kind.CROSS

    @property
    def inputs(self) -> list[tuple[str, tuple[str, int]]]:
        found: list[tuple[str, tuple[str, int]]] = []
        for i in range(len(self.unit.reads)):
            found += [(f"a{i}", ("float64", 3)), (f"w{i}", ("int64", 1))]
        return found + [(f"p{i}", ("float64", 1)) for i in range(len(self.unit.takes))]

    @property
    def types(self) -> dict[str, Types]:
        """Types of the arguments of each kernel, by the kernel's name."""
        given = [kind for _, kind in self.inputs]
        kind = self.unit.node.spec.kind
        if kind is Kind.CROSS:
            rows = self.unit.node.spec.inputs
            groups = [("float64", 3 if rows > 1 else 1)]
            return {
                f"{self.function}_rows": [*given, *[("float64", 3)] * rows],
                self.function: [("float64", 3), *groups, ("float64", 3)],
            }
        states = [("float64", 2)] if kind is Kind.SERIES else []
        return {self.function: [*given, *states, ("float64", 3)]}

    def source(self) -> str:
        kind = self.unit.node.spec.kind
        if kind is Kind.CROSS:
            return self._rows_source() + "\n\n" + self._cross_source()
        return self._series_source() if kind is Kind.SERIES else self._path_source()

    def _leaf(self) -> Leaf:
        names = {node.key: f"a{i}[s, t, k{i}]" for i, node in enumerate(self.unit.reads)}
        names |= {node.key: f"q{i}" for i, node in enumerate(self.unit.takes)}

        def leaf(node: Node) -> str | None:
            return names.get(node.key)

        return leaf

    def _head(self, function: str, written: list[str]) -> list[str]:
        return [
            "@kernel",
            f"def {function}({', '.join([*(name for name, _ in self.inputs), *written])}):",
            "    i = cuda.grid(1)",
            f"    width = {written[-1]}.shape[2]",
        ]

    def _columns(self) -> list[str]:
        return [
            *(f"    k{i} = w{i}[v]" for i in range(len(self.unit.reads))),
            *(f"    q{i} = p{i}[v]" for i in range(len(self.unit.takes))),
        ]

    def _place(self) -> list[str]:
        """Which name and which value this thread has."""
        begun = ["    if i >= out.shape[0] * width:", "        return", "    s = i // width", "    v = i % width"]
        return begun + self._columns()

    def _series_source(self) -> str:
        node, leaf = self.unit.node, self._leaf()
        xs = [f"x{i}" for i in range(node.spec.inputs)]
        known = " and ".join(f"{x} == {x}" for x in xs)
        values = [f"{x} = {emit(arg, leaf)}" for x, arg in zip(xs, node.args, strict=False)]
        fixed = [emit(arg, leaf) for arg in node.args[node.spec.inputs :]]
        assert node.spec.function is not None
        update = f"{node.spec.function.__name__}({', '.join(['state', *xs, *fixed])})"
        lines = [
            *self._head(self.function, ["states", "out"]),
            *self._place(),
            "    state = states[:, i]",
            "    for j in range(state.shape[0]):",
            "        state[j] = 0.0",
            "    for t in range(out.shape[1]):",
            *(f"        {line}" for line in values),
            "        value = nan",
            f"        if {known}:",
            f"            value = {update}",
            "        out[s, t, v] = value",
        ]
        return "\n".join(lines) + "\n"

    def _path_source(self) -> str:
        kept = [f"m{i}" for i in range(int(self.unit.node.spec.size()))]
        lines = [
            *self._head(self.function, ["out"]),
            *self._place(),
            *(f"    {m} = 0.0" for m in kept),
            "    for t in range(out.shape[1]):",
            f"        value, {', '.join(kept)} = {call(self.unit.node, self._leaf(), kept)}",
            "        out[s, t, v] = value",
        ]
        return "\n".join(lines) + "\n"

    def _rows_source(self) -> str:
        node, leaf = self.unit.node, self._leaf()
        rows = [f"row{i}" for i in range(node.spec.inputs)]
        lines = [*self._head(f"{self.function}_rows", rows), *_one_number("row0"), *self._columns()]
        lines += [f"    {row}[s, t, v] = {emit(arg, leaf)}" for row, arg in zip(rows, node.args, strict=False)]
        return "\n".join(lines) + "\n"

    def _cross_source(self) -> str:
        name, grouped = cross_name(self.unit.node)
        groups = "groups[:, t, v]" if grouped else "groups"
        lines = [
            "@kernel",
            f"def {self.function}(row, groups, out):",
            "    i = cuda.grid(1)",
            "    width = out.shape[2]",
            *_one_number("out"),
            f"    out[s, t, v] = {ONE_NAME[name].__name__}(row[:, t, v], {groups}, s)",
        ]
        return "\n".join(lines) + "\n"


def _one_number(table: str) -> list[str]:
    """Which name, bar and value this thread has."""
    return [
        f"    if i >= {table}.shape[0] * {table}.shape[1] * width:",
        "        return",
        "    v = i % width",
        f"    t = (i // width) % {table}.shape[1]",
        f"    s = i // (width * {table}.shape[1])",
    ]

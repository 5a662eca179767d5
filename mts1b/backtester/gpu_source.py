"""The fused kernels of a strategy as CUDA source: a thread for each combination and group of names.

Generated from the expression with the functions that every other use of it is made from. Tables are [S, T, V], the
distinct values V fastest, so that the threads of a warp, neighbours in the grid of combinations, read neighbours. A
thread walks its names one after the other and each name's bars in order; groups are added up afterwards, in their
order (`mts1b.backtester.gpu_kernels`), so that a result does not depend on the device or on how much fits into it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable

from mts1b.backtester.gpu_cross import ONE_NAME, USED_BY
from mts1b.backtester.lanes import is_tabled
from mts1b.backtester.trade_lanes import FOLLOW
from mts1b.quantkit.trades import TRADE_SUMS
from mts1b.strategy.codegen import decision, emit, leaves, scalars, truth
from mts1b.strategy.expr import Node
from mts1b.strategy.ops import Kind, fill, is_false, is_true

HEADER = '''"""Generated from a strategy. Content-addressed: do not edit."""
from __future__ import annotations

import math
from math import nan

from numba import cuda

from mts1b.backtester.gpu_jit import inlined, kernel

'''

Leaf = Callable[[Node], str | None]

ACCOUNT = (
    "wanted = target if tradable[s, t] else held",
    "trade = abs(wanted - held * drift[s, t])",
    "parts[g, t, c] += held * overnight[s, t] + wanted * intraday[s, t] - cost * trade",
    "sum_traded += trade",
    "sum_changed += 1.0 if wanted != held else 0.0",
    "sum_gross += abs(wanted)",
    "held = wanted",
)
"""One bar of one name: the execution model of `mts1b.backtester.execution`. Its extensions belong here, as scalar
steps between `target` and `held`."""

PRICES = ("overnight", "intraday", "drift", "tradable")

SUMS = ("traded", "changed", "gross")


def cross_name(node: Node) -> tuple[str, bool]:
    """Name of the operation over the whole universe, and whether this one is within groups."""
    return node.op.removesuffix("_by"), node.op.endswith("_by")


def function_sources(root: Node) -> str:
    """The functions of all operations below `root`, with their helpers, each once, to be inlined into kernels."""
    wanted: dict[str, Callable[..., object]] = {"is_true": is_true, "is_false": is_false, "fill": fill}
    for node in root.walk():
        if node.spec.kind is Kind.CROSS:
            name, _ = cross_name(node)
            functions: Iterable[Callable[..., object]] = (*USED_BY.get(name, ()), ONE_NAME[name])
        else:
            functions = (*node.spec.helpers, *((node.spec.function,) if node.spec.function else ()))
        for function in functions:
            wanted.setdefault(function.__name__, function)
    return "\n\n".join("@inlined\n" + inspect.getsource(function).strip() + "\n" for function in wanted.values())


class Fused:
    """What the kernels of one expression read and take, and their source.

    `run` takes, in this order: for each of `reads` its table [S, T, V] and int64 [L], the column of each combination;
    for each of `takes` its value [L]; overnight, intraday, drift, tradable [S, T]; bounds int64 [K + 1], the edges of
    segments of time; cost; how many names make a group; and writes parts [G, T, L], the returns of each group of names,
    and traded, changed, gross [G, K, L]. `follow` takes the same up to the names of a group and writes the sums of
    trades that ended, [len(TRADE_SUMS), G, K, L].
    """

    def __init__(self, root: Node) -> None:
        self.root = root
        self.reads = tuple(node for node in leaves(root, is_tabled) if node.is_series)
        self.takes = tuple(scalars(root, is_tabled))
        self.paths = tuple(_paths(root))
        self.memories = sum(int(node.spec.size()) for node in self.paths)

    @property
    def inputs(self) -> list[tuple[str, tuple[str, int]]]:
        """Arguments that both kernels take: their names, and dtype and number of dimensions."""
        tables = [pair for i in range(len(self.reads)) for pair in ((f"a{i}", 3), (f"w{i}", 1))]
        found = [(name, ("float64" if name[0] == "a" else "int64", size)) for name, size in tables]
        found += [(f"p{i}", ("float64", 1)) for i in range(len(self.takes))]
        found += [(name, ("bool_" if name == "tradable" else "float64", 2)) for name in PRICES]
        return [*found, ("bounds", ("int64", 1)), ("cost", ("float64", 0)), ("size", ("int64", 0))]

    @property
    def run_types(self) -> list[tuple[str, int]]:
        return [kind for _, kind in self.inputs] + [("float64", 3)] * (1 + len(SUMS))

    @property
    def follow_types(self) -> list[tuple[str, int]]:
        return [kind for _, kind in self.inputs] + [("float64", 4)]

    def run_source(self) -> str:
        names = [name for name, _ in self.inputs]
        lines = [
            "@kernel",
            f"def run({', '.join([*names, 'parts', *SUMS])}):",
            *self._place("parts.shape[0]", "parts.shape[2]"),
            "    for t in range(parts.shape[1]):",
            "        parts[g, t, c] = 0.0",
            "    for k in range(bounds.shape[0] - 1):",
            *(f"        {name}[g, k, c] = 0.0" for name in SUMS),
            *self._names(["held"]),
            "        for k in range(bounds.shape[0] - 1):",
            *(f"            sum_{name} = 0.0" for name in SUMS),
            "            for t in range(max(bounds[k], 1), bounds[k + 1]):",
            *(f"                {line}" for line in (*self._decide(), *ACCOUNT)),
            *(f"            {name}[g, k, c] += sum_{name}" for name in SUMS),
        ]
        return "\n".join(lines) + "\n"

    def follow_source(self) -> str:
        names = [name for name, _ in self.inputs]
        first = {"best": "-math.inf", "worst": "math.inf"}
        moves = ["night = overnight[s, t]", "day = intraday[s, t]", "moved = drift[s, t]", "open_now = tradable[s, t]"]
        lines = [
            "@kernel",
            f"def follow({', '.join([*names, 'sums'])}):",
            *self._place("sums.shape[1]", "sums.shape[3]"),
            "    for k in range(bounds.shape[0] - 1):",
            *(f"        sums[{i}, g, k, c] = {first.get(name, '0.0')}" for i, name in enumerate(TRADE_SUMS)),
            *self._names(["held", "profit", "age"]),
            "        for k in range(bounds.shape[0] - 1):",
            *(f"            sum_{name} = sums[{i}, g, k, c]" for i, name in enumerate(TRADE_SUMS)),
            "            for t in range(max(bounds[k], 1), bounds[k + 1]):",
            *(f"                {line}" for line in (*self._decide(), *moves)),
            *(f"                {line.replace('[l]', '')}" for line in FOLLOW),
            *(f"            sums[{i}, g, k, c] = sum_{name}" for i, name in enumerate(TRADE_SUMS)),
        ]
        return "\n".join(lines) + "\n"

    def _place(self, groups: str, lanes: str) -> list[str]:
        """Which combination and which group of names this thread has."""
        return [
            "    i = cuda.grid(1)",
            f"    if i >= {groups} * {lanes}:",
            "        return",
            f"    g = i // {lanes}",
            f"    c = i % {lanes}",
            *(f"    k{i} = w{i}[c]" for i in range(len(self.reads))),
            *(f"    q{i} = p{i}[c]" for i in range(len(self.takes))),
        ]

    def _names(self, states: list[str]) -> list[str]:
        memories = [f"m{i}" for i in range(self.memories)]
        return [
            "    for s in range(g * size, min((g + 1) * size, overnight.shape[0])):",
            *(f"        {state} = 0.0" for state in (*states, *memories)),
        ]

    def _decide(self) -> list[str]:
        """The target of one name, decided on the close of the bar before t."""
        names = {node.key: f"x{i}" for i, node in enumerate(self.reads)}
        names |= {node.key: f"q{i}" for i, node in enumerate(self.takes)}
        names |= {node.key: f"v{i}" for i, node in enumerate(self.paths)}

        def leaf(node: Node) -> str | None:
            return names.get(node.key)

        lines = [f"x{i} = a{i}[s, t - 1, k{i}]" for i in range(len(self.reads))]
        first = 0
        for i, node in enumerate(self.paths):
            kept = [f"m{first + n}" for n in range(int(node.spec.size()))]
            lines.append(f"v{i}, {', '.join(kept)} = {call(node, leaf, kept)}")
            first += len(kept)
        return [*lines, f"target = {decision(self.root, leaf)}"]


def call(node: Node, leaf: Leaf, first: list[str]) -> str:
    """Source text of the node's function, `first` before its inputs and scalars."""
    assert node.spec.function is not None
    text_of = truth if node.spec.truths else emit
    inputs = [text_of(arg, leaf) for arg in node.args[: node.spec.inputs]]
    fixed = [emit(arg, leaf) for arg in node.args[node.spec.inputs :]]
    return f"{node.spec.function.__name__}({', '.join([*first, *inputs, *fixed])})"


def _paths(root: Node) -> Iterable[Node]:
    """Rules evaluated inside the kernel, arguments before users."""
    found: dict[str, Node] = {}

    def visit(node: Node) -> None:
        if node.key in found or is_tabled(node) or not node.is_series:
            return
        for arg in node.args:
            visit(arg)
        found[node.key] = node

    visit(root)
    return [node for node in found.values() if node.spec.kind is Kind.PATH]

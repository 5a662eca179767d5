"""The fused kernel of a strategy: decide, trade, pay, accumulate, for one block of lanes over all names and bars.

Generated from the expression. The shape of its loops was measured: time is cut into tiles so that the rows of returns
stay in the first-level cache over all names; inside, a few bars are unrolled within one loop over lanes, so that the
weights and the sums stay in registers; the number of lanes is a literal and each array flat, so that the compiler can
prove that nothing overlaps and vectorises without a check.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from mts1b.backtester.fills import fill_source
from mts1b.strategy.codegen import decision, emit, kernel_module, leaves, scalars, truth
from mts1b.strategy.expr import Node
from mts1b.strategy.jit import load
from mts1b.strategy.ops import Kind

UNROLLED_BARS = 4

TILE_BYTES = 16 << 10
"""Rows of returns of one tile: half of a first-level cache, the rest is for the state of the lanes."""

GROUP_BYTES = 512 << 10
"""Table rows of one tile of all names worked on together: half of a second-level cache."""

FUSED_ENTRY = '@njit(error_model="numpy", cache=True, nogil=True, fastmath={"contract"}, no_cfunc_wrapper=True)\n'
"""Products and sums of the accounting may be fused; the functions of a decision are compiled without, as everywhere."""


def is_tabled(node: Node) -> bool:
    """Read from a table: fields, windows, cross-sections. Rules with their own path are part of the kernel."""
    return node.spec.kind in (Kind.FIELD, Kind.SERIES, Kind.CROSS)


def tabled_parameters(root: Node) -> list[frozenset[str]]:
    """The parameters of each table that the kernel of this expression reads."""
    return [node.parameters for node in leaves(root, is_tabled) if node.is_series]


class Kernel:
    """The compiled kernel of one expression for one width and one set of inner parameters.

    `run` takes, in this order, J jobs that share their tables of inner values:
      reads     each node's table: [S, T * lanes] where it depends on an inner parameter, else [N, S, T]
      which     int64 [J, reads]: which of the N tables a job reads
      takes     scalars: [J, lanes] where they depend on an inner parameter, else [J]
      overnight, intraday, drift, tradable [S, T]; bounds int64 [K + 1]: edges of time segments; cost
      returns   [J, T * lanes], added to; held and each memory [J, S, lanes]: what jobs remember, zero at the start
      traded, changed, gross   [J, K, lanes], added to
    `fills[key]` fills the table [S, T * width] of a node that depends on an inner parameter.
    """

    def __init__(self, root: Node, lanes: int, inner: frozenset[str]) -> None:
        self.lanes = lanes
        self.tile_bars = max(UNROLLED_BARS, TILE_BYTES // (8 * lanes) // UNROLLED_BARS * UNROLLED_BARS)
        self.group_names = max(1, GROUP_BYTES // (8 * lanes * self.tile_bars))
        self.reads = tuple(node for node in leaves(root, is_tabled) if node.is_series)
        self.takes = tuple(scalars(root, is_tabled))
        self.paths = tuple(node for node in _fused(root) if node.spec.kind is Kind.PATH)
        self.memories = sum(int(node.spec.size()) for node in self.paths)
        self.varies: Callable[[Node], bool] = lambda node: bool(node.parameters & inner)
        below = {n.key: n for read in self.reads for n in read.walk()}.values()
        self.filled = tuple(n for n in below if n.spec.kind in (Kind.SERIES, Kind.PATH) and self.varies(n))
        self.source = kernel_module([root], FUSED_ENTRY + self._source(root))
        self.run: Any = load(self.source).run
        self.fills = {node.key: load(fill_source(node, self.varies)).filled for node in self.filled}

    def _arguments(self) -> list[str]:
        return [
            *(f"a{i}" for i in range(len(self.reads))),
            "which",
            *(f"p{i}" for i in range(len(self.takes))),
            *("overnight", "intraday", "drift", "tradable", "bounds", "cost", "returns", "held"),
            *(f"memory{i}" for i in range(self.memories)),
            *("traded", "changed", "gross"),
        ]

    def _source(self, root: Node) -> str:
        rows = [f"row{i} = a{i}[{'' if self.varies(n) else f'which[j, {i}], '}s]" for i, n in enumerate(self.reads)]
        states = ["weights = held[j, s]", *(f"kept{i} = memory{i}[j, s]" for i in range(self.memories))]
        lines = [
            f"def run({', '.join(self._arguments())}):",
            "    for k in range(bounds.shape[0] - 1):",
            f"        for start in range(max(bounds[k], 1), bounds[k + 1], {self.tile_bars}):",
            f"            stop = min(start + {self.tile_bars}, bounds[k + 1])",
            "            for j in range(returns.shape[0]):",
            "                earned = returns[j]",
            "                sum_traded = traded[j, k]",
            "                sum_changed = changed[j, k]",
            "                sum_gross = gross[j, k]",
            *(f"                q{i} = p{i}[j]" for i in range(len(self.takes))),
            "                for s in range(overnight.shape[0]):",
            *(f"                    {line}" for line in (*rows, *states)),
            "                    t = start",
            "                    while t < stop:",
            *self._choice(),
            *self._bars(root, UNROLLED_BARS, checked=True, depth=7),
            "                        else:",
            *self._bars(root, 1, checked=False, depth=7),
        ]
        return "\n".join(lines) + "\n"

    def _choice(self) -> list[str]:
        """Take several bars at once when they are all inside the tile and can be traded."""
        last = UNROLLED_BARS - 1
        tradable = " and ".join(f"tradable[s, t + {u}]" for u in range(UNROLLED_BARS))
        return [f"                        if t + {last} < stop and {tradable}:"]

    def _bars(self, root: Node, bars: int, checked: bool, depth: int) -> list[str]:
        """`bars` bars from t on, in one loop over lanes. Decisions were taken on the close of the bar before each."""
        width = self.lanes
        lines = [f"net = earned[t * {width}:(t + {bars}) * {width}]"]
        for i, node in enumerate(self.reads):
            if self.varies(node):
                lines.append(f"block{i} = row{i}[(t - 1) * {width}:(t - 1 + {bars}) * {width}]")
            else:
                lines += [f"x{i}_{u} = row{i}[t - 1 + {u}]" for u in range(bars)]
        for u in range(bars):
            lines.append(f"night{u} = overnight[s, t + {u}]")
            lines.append(f"day{u} = intraday[s, t + {u}]")
            lines.append(f"drift{u} = drift[s, t + {u}]")
        if not checked:
            lines.append("open_now = tradable[s, t]")
        lines.append(f"for l in range({width}):")
        body = ["held_now = weights[l]", "t_sum = sum_traded[l]", "c_sum = sum_changed[l]", "g_sum = sum_gross[l]"]
        body += [f"m{i} = kept{i}[l]" for i in range(self.memories)]
        for u in range(bars):
            body += self._bar(root, u, checked)
        body += ["weights[l] = held_now", "sum_traded[l] = t_sum", "sum_changed[l] = c_sum", "sum_gross[l] = g_sum"]
        body += [f"kept{i}[l] = m{i}" for i in range(self.memories)]
        lines += [f"    {line}" for line in body]
        lines.append(f"t += {bars}")
        return [" " * 4 * depth + line for line in lines]

    def _bar(self, root: Node, u: int, checked: bool) -> list[str]:
        """Decide and account for one bar of one lane."""
        leaf = self._leaf(u)
        lines = []
        first = 0
        for j, node in enumerate(self.paths):
            assert node.spec.function is not None
            size = int(node.spec.size())
            kept = [f"m{first + i}" for i in range(size)]
            text_of = truth if node.spec.truths else emit
            inputs = [text_of(arg, leaf) for arg in node.args[: node.spec.inputs]]
            fixed = [emit(arg, leaf) for arg in node.args[node.spec.inputs :]]
            call = f"{node.spec.function.__name__}({', '.join([*kept, *inputs, *fixed])})"
            lines.append(f"v{j}, {', '.join(kept)} = {call}")
            first += size
        lines.append(f"wanted = {decision(root, leaf)}")
        if not checked:
            lines.append("wanted = wanted if open_now else held_now")
        lines += [
            f"trade = abs(wanted - held_now * drift{u})",
            f"net[{u * self.lanes} + l] += held_now * night{u} + wanted * day{u} - cost * trade",
            "t_sum += trade",
            "c_sum += 1.0 if wanted != held_now else 0.0",
            "g_sum += abs(wanted)",
            "held_now = wanted",
        ]
        return lines

    def _leaf(self, u: int) -> Callable[[Node], str | None]:
        names: dict[str, str] = {}
        for i, node in enumerate(self.reads):
            names[node.key] = f"block{i}[{u * self.lanes} + l]" if self.varies(node) else f"x{i}_{u}"
        for i, node in enumerate(self.takes):
            names[node.key] = f"q{i}[l]" if self.varies(node) else f"q{i}"
        for j, node in enumerate(self.paths):
            names[node.key] = f"v{j}"
        return lambda node: names.get(node.key)


@lru_cache(maxsize=256)
def kernel_of(root: Node, lanes: int, inner: frozenset[str]) -> Kernel:
    """The compiled kernel; compiled once a process, cached on disk across processes."""
    return Kernel(root, lanes, inner)


def _fused(root: Node) -> list[Node]:
    """Nodes evaluated inside the kernel, arguments before users."""
    found: dict[str, Node] = {}

    def visit(node: Node) -> None:
        if node.key in found or is_tabled(node) or not node.is_series:
            return
        for arg in node.args:
            visit(arg)
        found[node.key] = node

    visit(root)
    return list(found.values())

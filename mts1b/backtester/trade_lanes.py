"""Round trips of every combination: a second kernel beside the fused one, run where statistics of trades are wanted.

It takes the same decisions from the same tables, follows each name's trade under way and adds it up where it ends
(`mts1b.quantkit.trades`). One job and name at a time over all bars, lanes inside: what a lane remembers stays in the
first-level cache.
"""

from __future__ import annotations

from functools import lru_cache
from inspect import getsource
from typing import Any

from mts1b.backtester.lanes import FUSED_ENTRY, Kernel
from mts1b.backtester.summary import summarise_blocks
from mts1b.quantkit.trades import TRADE_SUMS
from mts1b.strategy.codegen import ENTRY, HEADER, decision, emit, kernel_module, truth
from mts1b.strategy.expr import Node
from mts1b.strategy.jit import load


@lru_cache(maxsize=256)
def follower_of(root: Node, kernel: Kernel) -> Any:
    """The compiled loop for the tables of `kernel`; compiled once a process, cached on disk across processes.

    It takes the reads, which, takes, prices, bounds and cost of `Kernel.run`, then the sums TRADE_SUMS, [J, K, lanes]
    each, which it adds to.
    """
    return load(kernel_module([root], FUSED_ENTRY + _source(root, kernel))).follow


@lru_cache(maxsize=1)
def block_summary() -> Any:
    """`mts1b.backtester.summary.summarise_blocks`, compiled."""
    return load(HEADER + ENTRY + getsource(summarise_blocks)).summarise_blocks


def _source(root: Node, kernel: Kernel) -> str:
    reads, takes = kernel.reads, kernel.takes
    arguments = [
        *(f"a{i}" for i in range(len(reads))),
        "which",
        *(f"p{i}" for i in range(len(takes))),
        *("overnight", "intraday", "drift", "tradable", "bounds", "cost", *TRADE_SUMS),
    ]
    states = ["held", "profit", "age", *(f"memory{i}" for i in range(kernel.memories))]
    rows = [f"row{i} = a{i}[{'' if kernel.varies(n) else f'which[j, {i}], '}s]" for i, n in enumerate(reads)]
    lines = [
        f"def follow({', '.join(arguments)}):",
        *(f"    {state} = np.zeros({kernel.lanes})" for state in states),
        "    for j in range(closed.shape[0]):",
        *(f"        q{i} = p{i}[j]" for i in range(len(takes))),
        "        for s in range(overnight.shape[0]):",
        *(f"            {line}" for line in (*rows, *(f"{state}[:] = 0.0" for state in states))),
        "            for k in range(bounds.shape[0] - 1):",
        *(f"                sum_{name} = {name}[j, k]" for name in TRADE_SUMS),
        "                for t in range(max(bounds[k], 1), bounds[k + 1]):",
        "                    night, day = overnight[s, t], intraday[s, t]",
        "                    moved, open_now = drift[s, t], tradable[s, t]",
        f"                    for l in range({kernel.lanes}):",
        *(f"                        {line}" for line in (*_decide(root, kernel), *FOLLOW)),
    ]
    return "\n".join(lines) + "\n"


def _decide(root: Node, kernel: Kernel) -> list[str]:
    """The target of one lane, decided on the close of the bar before t."""
    names: dict[str, str] = {}
    for i, node in enumerate(kernel.reads):
        names[node.key] = f"row{i}[(t - 1) * {kernel.lanes} + l]" if kernel.varies(node) else f"row{i}[t - 1]"
    for i, node in enumerate(kernel.takes):
        names[node.key] = f"q{i}[l]" if kernel.varies(node) else f"q{i}"
    for j, node in enumerate(kernel.paths):
        names[node.key] = f"v{j}"

    def leaf(node: Node) -> str | None:
        return names.get(node.key)

    lines, first = [], 0
    for j, node in enumerate(kernel.paths):
        assert node.spec.function is not None
        kept = [f"memory{first + i}[l]" for i in range(int(node.spec.size()))]
        text_of = truth if node.spec.truths else emit
        inputs = [text_of(arg, leaf) for arg in node.args[: node.spec.inputs]]
        fixed = [emit(arg, leaf) for arg in node.args[node.spec.inputs :]]
        lines.append(f"v{j}, {', '.join(kept)} = {node.spec.function.__name__}({', '.join([*kept, *inputs, *fixed])})")
        first += len(kept)
    return [*lines, f"target = {decision(root, leaf)}"]


FOLLOW = (
    "before = held[l]",
    "wanted = target if open_now else before",
    "earned = profit[l] + before * night",
    "ended = before != 0.0 and before * wanted <= 0.0",
    "result = earned - cost * abs(before * moved)",
    "sum_closed[l] += 1.0 if ended else 0.0",
    "sum_won[l] += 1.0 if ended and result > 0.0 else 0.0",
    "sum_gained[l] += result if ended and result > 0.0 else 0.0",
    "sum_lost[l] -= result if ended and result < 0.0 else 0.0",
    "sum_squares[l] += result * result if ended else 0.0",
    "sum_bars[l] += age[l] if ended else 0.0",
    "sum_best[l] = result if ended and result > sum_best[l] else sum_best[l]",
    "sum_worst[l] = result if ended and result < sum_worst[l] else sum_worst[l]",
    "begun = wanted * day - cost * abs(wanted if ended else wanted - before * moved)",
    "profit[l] = begun if ended else earned + begun",
    "age[l] = (0.0 if ended else age[l]) + (1.0 if wanted != 0.0 else 0.0)",
    "held[l] = wanted",
)
"""One bar of one lane."""

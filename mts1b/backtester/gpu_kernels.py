"""The kernels of one expression, generated and loaded: tables, the fused run, trades, and those that all share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from mts1b.backtester.gpu_jit import ARCHITECTURES, ptx, signature_of
from mts1b.backtester.gpu_source import HEADER, Fused, function_sources
from mts1b.backtester.gpu_summary import SHARED
from mts1b.backtester.gpu_tables import Filling
from mts1b.strategy.codegen import TABLED
from mts1b.strategy.expr import Node
from mts1b.strategy.jit import load
from mts1b.strategy.program import unit_of

Types = list[tuple[str, int]]


@dataclass(frozen=True)
class Launchable:
    """A kernel and the types of its arguments, each the name of a dtype and the number of dimensions."""

    kernel: Any
    types: Types

    def ptx(self, architectures: Sequence[tuple[int, int]] = ARCHITECTURES) -> list[str]:
        """PTX for each of these compute capabilities, by the types it is launched with."""
        return ptx(self.kernel, signature_of(self.types), architectures)


class Kernels:
    """Every kernel of an expression by name: its tables, `run`, `follow` and those that all expressions share.

    `fillings[key]` is how the table of a node is filled. Nodes inside the fused kernel have none.
    """

    def __init__(self, root: Node) -> None:
        self.fused = Fused(root)
        below = {node.key: node for read in self.fused.reads for node in read.walk()}.values()
        tabled = [node for node in below if node.spec.kind in TABLED]
        self.fillings = {node.key: Filling(unit_of(node), f"unit_{i}") for i, node in enumerate(tabled)}
        parts = [HEADER + function_sources(root), self.fused.run_source(), self.fused.follow_source()]
        self.source = "\n\n".join([*parts, *(filling.source() for filling in self.fillings.values())])
        types: dict[str, Types] = {"run": self.fused.run_types, "follow": self.fused.follow_types}
        for filling in self.fillings.values():
            types |= filling.types
        module = load(self.source)
        self.own = {name: Launchable(getattr(module, name), kinds) for name, kinds in types.items()}

    def __getitem__(self, name: str) -> Launchable:
        return self.own[name] if name in self.own else SHARED_KERNELS[name]


SHARED_KERNELS = {name: Launchable(kernel, types) for name, (kernel, types) in SHARED.items()}


@lru_cache(maxsize=64)
def kernels_of(root: Node) -> Kernels:
    """The kernels of an expression; generated once a process."""
    return Kernels(root)

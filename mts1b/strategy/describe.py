"""A definition in words: its nodes, its parameters, how far it looks back, what combinations share."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from mts1b.strategy.expr import Node
from mts1b.strategy.ops import Kind
from mts1b.strategy.parameters import Param

KINDS = {
    Kind.FIELD: "bars",
    Kind.ELEMENT: "arithmetic",
    Kind.SERIES: "windows",
    Kind.CROSS: "across names",
    Kind.PATH: "rules",
}
"""What the kinds of nodes are called."""


def describe(root: Node, params: Mapping[str, Param]) -> list[str]:
    """Lines on the parameters, on the nodes by kind, on what each does, and on how often it is evaluated."""
    lines = [
        f"  param     {name}: {bound.kind} {bound.low:g} to {bound.high:g}, default {bound.default:g}"
        for name, bound in params.items()
    ]
    nodes = [node for node in root.walk() if node.is_series]
    counts = {kind: sum(node.spec.kind is kind for node in nodes) for kind in KINDS}
    lines.append("  nodes     " + ", ".join(f"{count} {KINDS[kind]}" for kind, count in counts.items() if count))
    explained = {node.op: node.spec for node in nodes if node.spec.kind in (Kind.SERIES, Kind.CROSS, Kind.PATH)}
    lines += [f"  node      {op}: {_first_sentence(spec.function)}" for op, spec in explained.items()]
    fused = rules_of_kernel(root)
    for node in nodes:
        if node.key in fused:
            lines.append(f"  combined  {node}: in the kernel, for each combination")
        elif node.spec.kind in (Kind.SERIES, Kind.CROSS, Kind.PATH):
            lines.append(f"  shared    {node}: {_times(node, params)}")
    return lines


def rules_of_kernel(root: Node) -> frozenset[str]:
    """Keys of the rules that are followed for every combination: those that no window or comparison reads."""
    found: set[str] = set()

    def visit(node: Node) -> None:
        if node.spec.kind in (Kind.SERIES, Kind.CROSS) or not node.is_series:
            return
        if node.spec.kind is Kind.PATH:
            found.add(node.key)
        for arg in node.args:
            visit(arg)

    visit(root)
    return frozenset(found)


def _first_sentence(function: Callable[..., Any] | None) -> str:
    text = " ".join((inspect.getdoc(function) or "").split())
    return re.split(r"(?<=\.)\s", text, maxsplit=1)[0]


def _times(node: Node, params: Mapping[str, Param]) -> str:
    if not node.parameters:
        return "once"
    by = ", ".join(sorted(node.parameters))
    most = math.prod(_values(params[name]) for name in node.parameters)
    return f"once for each value of {by}" + (f" (at most {most:.0f} tables)" if math.isfinite(most) else "")


def _values(bound: Param) -> float:
    return bound.high - bound.low + 1 if bound.kind == "int" else math.inf

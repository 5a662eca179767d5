"""Generated loops that fill a table with one column for each distinct parameter value: [S, T * width].

Time is outside, columns inside: neighbouring columns do not wait for each other, and the table comes out in the order
in which the fused kernel reads it. The update of a column is the same function as everywhere.
"""

from __future__ import annotations

from collections.abc import Callable

from mts1b.strategy.codegen import ENTRY, emit, kernel_module, leaves, scalars, truth
from mts1b.strategy.expr import Node
from mts1b.strategy.ops import Kind
from mts1b.strategy.program import unit_of


def fill_source(node: Node, varies: Callable[[Node], bool]) -> str:
    """Source of a module with `filled(state [width, floats], reads..., takes..., out)`.

    A read or a scalar that varies between columns is [S, T * width] or [width], else [S, T] or a float.
    """
    unit = unit_of(node)
    spec = node.spec
    assert spec.function is not None
    names = {n.key: f"row{i}[t * width + l]" if varies(n) else f"row{i}[t]" for i, n in enumerate(unit.reads)}
    names |= {n.key: f"p{i}[l]" if varies(n) else f"p{i}" for i, n in enumerate(unit.takes)}

    def leaf(below: Node) -> str | None:
        return names.get(below.key)

    text_of = truth if spec.truths else emit
    inputs = [text_of(arg, leaf) for arg in node.args[: spec.inputs]]
    fixed = [emit(arg, leaf) for arg in node.args[spec.inputs :]]
    arguments = ["state", *(f"a{i}" for i in range(len(unit.reads))), *(f"p{i}" for i in range(len(unit.takes))), "out"]
    head = [
        f"def filled({', '.join(arguments)}):",
        "    width = state.shape[0]",
        "    for s in range(out.shape[0]):",
        "        state[:, :] = 0.0",
        *(f"        row{i} = a{i}[s]" for i in range(len(unit.reads))),
        "        column = out[s]",
        "        for t in range(column.shape[0] // width):",
        "            for l in range(width):",
    ]
    size = int(spec.size()) if spec.kind is Kind.PATH else 0
    body = (
        _path(spec.function.__name__, inputs, fixed, size) if size else _series(spec.function.__name__, inputs, fixed)
    )
    text = "\n".join([*head, *(f"                {line}" for line in body)]) + "\n"
    return kernel_module([node], ENTRY + text)


def _series(function: str, inputs: list[str], fixed: list[str]) -> list[str]:
    xs = [f"x{i}" for i in range(len(inputs))]
    known = " and ".join(f"{x} == {x}" for x in xs)
    lines = [f"{x} = {text}" for x, text in zip(xs, inputs, strict=True)]
    call = f"{function}({', '.join(['state[l]', *xs, *fixed])})"
    return [*lines, f"column[t * width + l] = {call} if {known} else nan"]


def _path(function: str, inputs: list[str], fixed: list[str], size: int) -> list[str]:
    kept = [f"state[l, {i}]" for i in range(size)]
    return [
        f"value, {', '.join(kept)} = {function}({', '.join([*kept, *inputs, *fixed])})",
        "column[t * width + l] = value",
    ]


def combine_source(node: Node, varies: Callable[[Node], bool]) -> str:
    """Source of a module with `combine(reads..., takes..., out [S, T * width], width)`: arithmetic on other tables."""
    reads = [n for n in leaves(node) if n.is_series]
    takes = scalars(node)
    names = {n.key: f"row{i}[t * width + l]" if varies(n) else f"row{i}[t]" for i, n in enumerate(reads)}
    names |= {n.key: f"p{i}[l]" if varies(n) else f"p{i}" for i, n in enumerate(takes)}
    arguments = [*(f"a{i}" for i in range(len(reads))), *(f"p{i}" for i in range(len(takes))), "out", "width"]
    lines = [
        f"def combine({', '.join(arguments)}):",
        "    for s in range(out.shape[0]):",
        *(f"        row{i} = a{i}[s]" for i in range(len(reads))),
        "        for t in range(out.shape[1] // width):",
        "            for l in range(width):",
        f"                out[s, t * width + l] = {emit(node, lambda below: names.get(below.key))}",
    ]
    return kernel_module([node], ENTRY + "\n".join(lines) + "\n")

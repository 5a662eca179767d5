"""Expressions to source: the text of one bar's arithmetic, and of the functions it calls."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable

from mts1b.strategy.expr import Node
from mts1b.strategy.ops import Kind

HEADER = '''"""Generated from a strategy. Content-addressed: do not edit."""
from __future__ import annotations

import math
from math import nan

import numpy as np
from numba import njit

'''

INLINE = '@njit(error_model="numpy", forceinline=True)\n'
ENTRY = '@njit(error_model="numpy", cache=True, nogil=True)\n'

TABLED = frozenset((Kind.SERIES, Kind.PATH, Kind.CROSS))
"""Operations with a memory, or across names: evaluated as a unit of their own."""


def function_sources(nodes: Iterable[Node]) -> str:
    """The functions of all operations below `nodes`, with their helpers, each once, compiled to be inlined."""
    wanted: dict[str, Callable[..., object]] = {}
    for root in nodes:
        for node in root.walk():
            if node.spec.function is not None:
                for function in (*node.spec.helpers, node.spec.function):
                    wanted.setdefault(function.__name__, function)
    return "\n\n".join(INLINE + inspect.getsource(function).strip() + "\n" for function in wanted.values())


def emit(node: Node, leaf: Callable[[Node], str | None]) -> str:
    """Source text of the node's value; `leaf` names what is already computed, or returns None to go deeper."""
    named = leaf(node)
    if named is not None:
        return named
    if node.spec.kind is Kind.CONST:
        return repr(node.value)
    assert node.spec.kind is Kind.ELEMENT and node.spec.function is not None, node
    return f"{node.spec.function.__name__}({', '.join(emit(arg, leaf) for arg in node.args)})"


def is_leaf(node: Node) -> bool:
    """A series that elementwise code reads from a table: a field of the bars or the result of another unit."""
    return node.spec.kind is Kind.FIELD or node.spec.kind in TABLED


def leaves(node: Node, is_boundary: Callable[[Node], bool] = is_leaf) -> list[Node]:
    """The nearest boundary nodes at or below `node`, each once, left to right."""
    found: dict[str, Node] = {}

    def visit(here: Node) -> None:
        if is_boundary(here):
            found.setdefault(here.key, here)
        else:
            for arg in here.args:
                visit(arg)

    visit(node)
    return list(found.values())


def scalars(node: Node, is_boundary: Callable[[Node], bool] = is_leaf) -> list[Node]:
    """The largest scalar expressions, constants left out, that the code between `node` and its leaves uses."""

    def outermost(here: Node) -> bool:
        return is_boundary(here) or (not here.is_series and here.spec.kind is not Kind.CONST)

    return [found for found in leaves(node, outermost) if not found.is_series]

"""Expressions to source: the text of one bar's arithmetic, and of the functions it calls."""

from __future__ import annotations

import dis
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

from mts1b.strategy.expr import Node
from mts1b.strategy.jit import load
from mts1b.strategy.ops import OPS, Kind, fill, is_false, is_true

HEADER = '''"""Generated from a strategy. Content-addressed: do not edit."""
from __future__ import annotations

import math
from math import nan

import numpy as np
from numba import njit

'''

INLINE = '@njit(error_model="numpy", forceinline=True)\n'
CALLED = '@njit(error_model="numpy", cache=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)\n'
"""A function that compiled code calls, and Python does not."""

SHARED = CALLED.replace("cache", "forceinline=True, cache")
"""The same, become part of its callers: what runs once for a bar of all names is not worth copying, the rest is."""

ENTRY = '@njit(error_model="numpy", cache=True, nogil=True, no_cfunc_wrapper=True)\n'

TABLED = frozenset((Kind.SERIES, Kind.PATH, Kind.CROSS))
"""Operations with a memory, or across names: evaluated as a unit of their own."""


def function_sources(nodes: Iterable[Node]) -> str:
    """The functions of all operations below `nodes`, with their helpers, each once, compiled to be inlined."""
    return "\n\n".join(INLINE + inspect.getsource(function).strip() + "\n" for function in _functions(nodes))


def kernel_module(nodes: Iterable[Node], text: str) -> str:
    """Source of a module of `text`, which may call the functions of all operations below `nodes`.

    Those it does call are imported, each from a module of its own: compiled once for all that use it, and the same
    text is the same module, whatever else the nodes hold.
    """
    called = set(re.findall(r"(\w+)\(", text))
    lines = [_import_line(function) for function in _functions(nodes) if function.__name__ in called]
    return HEADER + "".join(lines) + "\n\n" + text


def _functions(nodes: Iterable[Node]) -> Iterator[Callable[..., object]]:
    """Helpers before the functions that call them."""
    wanted: dict[str, Callable[..., object]] = {"is_true": is_true, "is_false": is_false, "fill": fill}
    for root in nodes:
        for node in root.walk():
            if node.spec.function is not None:
                for function in (*node.spec.helpers, node.spec.function):
                    wanted.setdefault(function.__name__, function)
    yield from wanted.values()


@lru_cache(maxsize=1024)
def _import_line(function: Callable[..., object]) -> str:
    known = vars(sys.modules[function.__module__])
    names = [found.argval for found in dis.get_instructions(function) if found.opname == "LOAD_GLOBAL"]
    helpers = "".join(_import_line(known[name]) for name in names if inspect.isfunction(known.get(name)))
    across = (op for op in OPS.values() if op.kind is Kind.CROSS)
    decorator = CALLED if any(function in (*op.helpers, op.function) for op in across) else SHARED
    module = load(f"{HEADER}{helpers}\n\n{decorator}{inspect.getsource(function).strip()}\n")
    return f"from {module.__name__} import {function.__name__}\n"


def emit(node: Node, leaf: Callable[[Node], str | None]) -> str:
    """Source text of the node's value; `leaf` names what is already computed, or returns None to go deeper."""
    named = leaf(node)
    if named is not None:
        return named
    if node.spec.kind is Kind.CONST:
        return repr(node.value)
    assert node.spec.kind is Kind.ELEMENT and node.spec.function is not None, node
    return f"{node.spec.function.__name__}({', '.join(emit(arg, leaf) for arg in node.args)})"


COMPARISONS = {"gt": (">", "<="), "ge": (">=", "<"), "lt": ("<", ">="), "le": ("<=", ">")}
"""Operators of a comparison that is known and true, and of one that is known and false: NaN satisfies neither."""


def truth(node: Node, leaf: Callable[[Node], str | None], wanted: bool = True) -> str:
    """Source text of a bool: the node's value is known, and is true (or false, when not `wanted`).

    Equal to asking the node's number, but a comparison stays one machine instruction over all lanes.
    """
    if leaf(node) is None:
        if node.op in COMPARISONS:
            operator = COMPARISONS[node.op][0 if wanted else 1]
            return f"({emit(node.args[0], leaf)} {operator} {emit(node.args[1], leaf)})"
        if node.op == "both" and wanted:
            return f"({truth(node.args[0], leaf)} & {truth(node.args[1], leaf)})"
        if node.op == "negate":
            return truth(node.args[0], leaf, not wanted)
    return f"{'is_true' if wanted else 'is_false'}({emit(node, leaf)})"


def decision(node: Node, leaf: Callable[[Node], str | None]) -> str:
    """Source text of the target: the node's value, 0.0 where it is not known."""
    if leaf(node) is None and node.op == "where":
        condition, a, b = node.args
        otherwise = decision(b, leaf)
        if otherwise != "0.0":
            otherwise = f"({otherwise} if {truth(condition, leaf, False)} else 0.0)"
        return f"({decision(a, leaf)} if {truth(condition, leaf)} else {otherwise})"
    text = emit(node, leaf)
    return text if node.spec.kind is Kind.CONST and text != "nan" else f"fill({text}, 0.0)"


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

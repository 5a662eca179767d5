"""Expressions as data: frozen nodes, each of which only looks back. Equal expressions are equal values."""

from __future__ import annotations

import math
from collections.abc import Iterator
from numbers import Real
from typing import Any

from mts1b.foundation.errors import InputError
from mts1b.foundation.ids import digest
from mts1b.strategy.ops import OPS, Kind, Op

Number = int | float


class Node:
    """One node: an operation, its arguments, and for leaves a name or a number. Immutable; equal by structure.

    A node is a series (one value for each bar and name) or a scalar (known before the first bar: constants,
    parameters and arithmetic on them). A condition is 1, 0 or not known: a comparison, what is made of them, and 0, 1
    or a parameter where one of them is wanted. `key` is a digest of the structure, the same in every process.
    """

    __slots__ = ("args", "is_condition", "is_series", "key", "op", "parameters", "value")

    op: str
    args: tuple[Node, ...]
    value: float | str | None
    is_series: bool
    is_condition: bool
    parameters: frozenset[str]
    key: str

    def __init__(self, op: str, args: tuple[Node, ...] = (), value: float | str | None = None) -> None:
        spec = OPS[op]
        own = frozenset((str(value),)) if spec.kind is Kind.PARAM else frozenset()
        set_ = object.__setattr__
        set_(self, "op", op)
        set_(self, "args", args)
        set_(self, "value", value)
        set_(self, "is_series", spec.kind in Kind.series_kinds() or any(arg.is_series for arg in args))
        set_(self, "is_condition", spec.answers or _is_switch(spec, args, value))
        set_(self, "parameters", own.union(*(arg.parameters for arg in args)))
        set_(self, "key", digest(op, repr(value), *(arg.key for arg in args)))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"expressions are immutable: cannot set {name}")

    def __reduce__(self) -> tuple[Any, ...]:
        return Node, (self.op, self.args, self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Node) and other.key == self.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __bool__(self) -> bool:
        raise InputError("expression", str(self), "has no truth value", "use where(), & (and), | (or), ~ (not)")

    @property
    def spec(self) -> Op:
        return OPS[self.op]

    def walk(self) -> Iterator[Node]:
        """Every distinct node below and including this one, arguments before users."""
        seen: set[str] = set()

        def visit(node: Node) -> Iterator[Node]:
            if node.key not in seen:
                seen.add(node.key)
                for arg in node.args:
                    yield from visit(arg)
                yield node

        yield from visit(self)

    def __str__(self) -> str:
        kind = self.spec.kind
        if kind is Kind.CONST:
            return f"{self.value:g}"
        if kind in (Kind.FIELD, Kind.PARAM):
            return str(self.value)
        if self.spec.symbol and len(self.args) == 2:
            return f"({self.args[0]} {self.spec.symbol} {self.args[1]})"
        return f"{self.op}({', '.join(str(arg) for arg in self.args)})" if self.args else self.op

    __repr__ = __str__

    def __add__(self, other: Expression) -> Node:
        return build("add", self, other)

    def __radd__(self, other: Expression) -> Node:
        return build("add", other, self)

    def __sub__(self, other: Expression) -> Node:
        return build("sub", self, other)

    def __rsub__(self, other: Expression) -> Node:
        return build("sub", other, self)

    def __mul__(self, other: Expression) -> Node:
        return build("mul", self, other)

    def __rmul__(self, other: Expression) -> Node:
        return build("mul", other, self)

    def __truediv__(self, other: Expression) -> Node:
        return build("div", self, other)

    def __rtruediv__(self, other: Expression) -> Node:
        return build("div", other, self)

    def __neg__(self) -> Node:
        return build("neg", self)

    def __abs__(self) -> Node:
        return build("absolute", self)

    def __gt__(self, other: Expression) -> Node:
        return build("gt", self, other)

    def __ge__(self, other: Expression) -> Node:
        return build("ge", self, other)

    def __lt__(self, other: Expression) -> Node:
        return build("lt", self, other)

    def __le__(self, other: Expression) -> Node:
        return build("le", self, other)

    def __and__(self, other: Expression) -> Node:
        return build("both", self, other)

    def __or__(self, other: Expression) -> Node:
        return build("either", self, other)

    def __invert__(self) -> Node:
        return build("negate", self)


Expression = Node | Number


def _is_switch(spec: Op, args: tuple[Node, ...], value: float | str | None) -> bool:
    """A leaf that may stand for a condition, or an operation that hands conditions on."""
    if spec.kind is Kind.CONST:
        return value in (0.0, 1.0)
    return spec.kind is Kind.PARAM or (bool(spec.passes) and all(args[number].is_condition for number in spec.passes))


def lift(value: Expression) -> Node:
    """A finite number as a constant node; a node as itself. InputError for anything else."""
    if isinstance(value, Node):
        return value
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InputError(
            "expression", value, "is neither an expression nor a number", "give bars, a parameter or a number"
        )
    if not math.isfinite(value):
        raise InputError("expression", value, "is not a finite number", "give the number that is meant")
    return Node("const", (), float(value))


def build(op: str, *args: Expression) -> Node:
    """An operation on expressions, checked: series where bars are needed, scalars where one number is needed."""
    spec = OPS[op]
    nodes = tuple(lift(arg) for arg in args)
    if len(nodes) != spec.inputs + spec.scalars:
        raise InputError(op, len(nodes), f"takes {spec.inputs + spec.scalars} arguments", "see mts1b.strategy.language")
    node = Node(op, nodes)
    for number in spec.conditions:
        if not nodes[number].is_condition:
            raise InputError(str(node), str(nodes[number]), "is not a condition", "compare it: x > 0")
    if spec.kind in Kind.series_kinds():
        if not any(arg.is_series for arg in nodes[: spec.inputs]):
            raise InputError(
                str(node), op, "needs at least one series of bars", "give open, high, low, close, volume or vwap"
            )
        for arg in nodes[spec.inputs :]:
            if arg.is_series:
                raise InputError(
                    str(node), str(arg), "must be known before the first bar", "give a number or a parameter"
                )
    return node

"""Strategies that switch: what a lane decides at a bar is yes or no, and the weight behind a yes is the same for all.

Most sweeps are of this form: `where(sma(close, fast) > sma(close, slow), 1.0, 0.0)`, a latch between two conditions, a
place among the names. Each condition compares a side that has a column for each lane with one that all lanes share, or
has no lanes at all; and the weight is a product of what all lanes share and of a number for each lane.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mts1b.strategy.expr import Node
from mts1b.strategy.ops import Kind

COMPARISONS = ("gt", "ge", "lt", "le")


@dataclass(frozen=True)
class Condition:
    """`own` < `shared` is asked, of the values or their negatives; without an `own` side, `shared` is the condition.

    negated   both sides change their sign: the comparison was the other way round
    or_equal  equal values count as well
    """

    own: Node | None
    shared: Node
    negated: bool = False
    or_equal: bool = False


@dataclass(frozen=True)
class Switch:
    """Yes where all of `entry` hold; with `leave`, from then on until all of those hold (a latch).

    A yes is worth the product of the `weights`, the numbers for each lane being `scales`; `over` are divided by.
    """

    entry: tuple[Condition, ...]
    leave: tuple[Condition, ...]
    weights: tuple[tuple[Node, bool], ...]
    scales: tuple[tuple[Node, bool], ...]

    @property
    def conditions(self) -> tuple[Condition, ...]:
        return (*self.entry, *self.leave)

    @property
    def moving(self) -> bool:
        """Whether the weight may change from bar to bar."""
        return any(node.is_series for node, _ in self.weights)


def switch_of(root: Node, inner: frozenset[str]) -> Switch | None:
    """The form of `root` when the parameters `inner` vary along lanes; None for every other strategy."""
    decided: list[Node] = []
    weights: list[tuple[Node, bool]] = []
    for factor, divides in _factors(root, False):
        if _is_condition(factor) and not divides:
            decided.append(factor)
        else:
            weights.append((factor, divides))
    if len(decided) != 1:
        return None
    entry, leave = decided[0].args if decided[0].op == "latch" else (decided[0], None)
    conditions = [_conditions(node, inner) if node is not None else () for node in (entry, leave)]
    by_lane = [factor for factor in weights if factor[0].parameters & inner]
    if None in conditions or any(node.is_series for node, _ in by_lane):
        return None
    shared = [factor for factor in weights if not factor[0].parameters & inner]
    return Switch(conditions[0] or (), conditions[1] or (), tuple(shared), tuple(by_lane))


def _factors(node: Node, divides: bool) -> Iterator[tuple[Node, bool]]:
    """The factors of a product, and whether each divides."""
    if node.op == "where" and node.args[2].spec.kind is Kind.CONST and node.args[2].value == 0.0 and not divides:
        yield node.args[0], False
        yield from _factors(node.args[1], False)
    elif node.op in ("mul", "div"):
        yield from _factors(node.args[0], divides)
        yield from _factors(node.args[1], divides is not (node.op == "div"))
    else:
        yield node, divides


def _is_condition(node: Node) -> bool:
    return node.op in (*COMPARISONS, "both", "latch")


def _conditions(node: Node, inner: frozenset[str]) -> tuple[Condition, ...] | None:
    """The conditions that all have to hold; None when one has lanes on both sides."""
    if not node.parameters & inner:
        return (Condition(None, node),)
    if node.op == "both":
        parts = [_conditions(arg, inner) for arg in node.args]
        return None if None in parts else tuple(one for part in parts if part is not None for one in part)
    if node.op not in COMPARISONS:
        return None
    left, right = node.args
    own, shared = (left, right) if left.parameters & inner else (right, left)
    if shared.parameters & inner:
        return None
    above = node.op in ("gt", "ge")  # left is asked to be above right
    return (Condition(own, shared, negated=above is (own is left), or_equal=node.op in ("ge", "le")),)

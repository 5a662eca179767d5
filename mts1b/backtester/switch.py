"""Strategies that switch: by one comparison, the target is either a weight that all lanes share, or nothing.

Most sweeps are of this form: `where(sma(close, fast) > sma(close, slow), 1.0, 0.0)`. One side of the comparison has a
column for each lane, the other is one number for all of them, and so is the weight. What a bar earns and costs then
has four values, by whether the name was held before and whether it is now, and no lane has to compute them:

    earned = was * A + is * (B + was * C)        was, is: 0 or 1

This module finds the form and makes A, B and C; `switch_lanes` runs over them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mts1b.backtester.execution import Moves
from mts1b.strategy.expr import Node
from mts1b.strategy.ops import Kind

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

COMPARISONS = ("gt", "ge", "lt", "le")

TERMS = 8
"""Tables of `terms`, in the order of their names."""


@dataclass(frozen=True)
class Switch:
    """`weight` where the comparison holds, else nothing. `shared` > `own` is asked, of the values or their negatives.

    own       the side with a column for each lane; shared: the side that is the same for all lanes
    negated   both sides change their sign: the comparison was the other way round
    or_equal  equal values count as well
    """

    own: Node
    shared: Node
    weight: Node
    negated: bool
    or_equal: bool


def switch_of(root: Node, inner: frozenset[str]) -> Switch | None:
    """The form of `root` when the parameters `inner` vary along lanes; None for every other strategy."""
    if root.op != "where":
        return None
    condition, weight, otherwise = root.args
    nothing = otherwise.spec.kind is Kind.CONST and otherwise.value == 0.0
    if condition.op not in COMPARISONS or not nothing or weight.parameters & inner:
        return None
    left, right = condition.args
    own, shared = (left, right) if left.parameters & inner else (right, left)
    if shared.parameters & inner or not own.parameters & inner or not own.is_series:
        return None
    above = condition.op in ("gt", "ge")  # left is asked to be above right
    return Switch(own, shared, weight, negated=above is (own is left), or_equal=condition.op in ("ge", "le"))


def in_force(weight: Floats, tradable: NDArray[np.bool_]) -> Floats:
    """The weight in force from the open of each bar, [S, T], for a name that is held: decided on the bar before.

    It stays as it was over bars that cannot be traded. The first bar has none.
    """
    decided = np.concatenate([np.zeros((weight.shape[0], 1)), weight[:, :-1]], axis=1)
    last = np.where(tradable, np.arange(weight.shape[1]), 0)
    return np.take_along_axis(decided, np.maximum.accumulate(last, axis=1), axis=1)


@dataclass(frozen=True)
class Terms:
    """What one bar adds, [S, T] each, float32, by `was` and `is` (0 or 1: held before this open, and from it on).

    earned   was * leave + is * (enter + was * stay)
    traded   is * (bought + was * resized), the part of `was` alone counted at the bar before: see `sold`
    gross    is * weight
    changed  is * (begun + was * kept), again with the part of `was` alone at the bar before
    sold, ended   that part, of the bar itself [S, T]: needed where sums begin and end
    """

    leave: Singles
    enter: Singles
    stay: Singles
    bought: Singles
    resized: Singles
    gross: Singles
    begun: Singles
    kept: Singles
    sold: Singles
    ended: Singles


def terms(weight: Floats, moved: Moves, cost: float) -> Terms:
    """The terms for a weight [S, T] decided on the close of each bar; NaN is no target. All sums in float64."""
    held = in_force(np.where(np.isnan(weight), 0.0, weight), moved.tradable)
    before = np.concatenate([np.zeros((held.shape[0], 1)), held[:, :-1]], axis=1)
    drifted = np.where(moved.tradable, before * moved.drift, held)
    sold, bought = np.abs(drifted), np.abs(held)
    leave = before * moved.overnight - cost * sold
    enter = held * moved.intraday - cost * bought
    both = before * moved.overnight + held * moved.intraday - cost * np.abs(held - drifted)
    ended, begun = (before != 0.0) * 1.0, (held != 0.0) * 1.0
    return Terms(
        *(
            np.ascontiguousarray(table, dtype=np.float32)
            for table in (
                leave,
                enter,
                both - leave - enter,
                bought + _next(sold),
                np.abs(held - drifted) - sold - bought,
                bought,
                begun + _next(ended),
                (held != before) - ended - begun,
                sold,
                ended,
            )
        )
    )


def _next(table: Floats) -> Floats:
    """Each bar's value of the bar after it; 0 for the last."""
    return np.concatenate([table[:, 1:], np.zeros((table.shape[0], 1))], axis=1)

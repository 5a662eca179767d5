"""One name of one combination at one bar of exact books: functions of scalars, that every kernel inlines.

Without branches that a vector could not take, and without numpy, so that a GPU kernel takes them as they are. Their
readable twin is `mts1b.backtester.books`.
"""

from __future__ import annotations

import math

BAND_MIN = 1e-9
"""Distance from a target, as a fraction of its share, that is rounding, and that no order is worth."""

FITTING_ROUNDS = 4
"""How often an order that a sleeve cannot pay for is cut where its costs are not in proportion to it: each round leaves
an excess smaller by their share of the sleeve. Costs in proportion fit exactly at once."""


def ordered(
    target: float, changed: bool, held: float, waiting: float, share: float, price: float, band: float
) -> float:
    """Signed shares that bring `held` to `target` of `share`; 0 for a weight that only drifted, within the band."""
    turned = ((target > 0.0) != (held > 0.0)) | ((target < 0.0) != (held < 0.0))
    drifted = abs(held * price - share * target) > band * share
    moved = changed | turned | drifted | (waiting != 0.0)
    return share * target / price - held if moved else 0.0


def capped(order: float, most: float) -> float:
    """The order within `most` shares."""
    bought = order if order < most else most
    return bought if bought > -most else -most


def order_cost(
    shares: float, price: float, depth: float, rate: float, per_share: float, least: float, half_spread: float
) -> float:
    """Commission and slippage of an order of `shares` >= 0, in money (`mts1b.backtester.costs`)."""
    value = shares * price
    charged = per_share * shares + rate * value
    charged = charged if charged > least else least
    slipped = half_spread + depth * math.sqrt(shares)
    slipped = slipped if slipped < 1.0 else 1.0
    return (charged if shares > 0.0 else 0.0) + slipped * value


def fitted(order: float, cost: float, held: float, nav: float, price: float, limit: float) -> float:
    """The order, its opening part cut until value held is at most `limit` times what the sleeve is then worth."""
    shares, owned = abs(order), abs(held)
    less = shares if shares < owned else owned
    closing = less if held * order < 0.0 else 0.0
    opening = shares - closing
    value = shares * price
    rate = cost / value if value > 0.0 else 0.0
    room = (limit * (nav - rate * closing * price) - (owned - closing) * price) / (1.0 + limit * rate)
    room = room / price if room > 0.0 else 0.0
    kept = closing + (opening if opening < room else room)
    return kept if order > 0.0 else -kept


def growth(after: float, before: float) -> float:
    """Return of a bar; 0 once all is lost."""
    return after / before - 1.0 if before > 0.0 else 0.0

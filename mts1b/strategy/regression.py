"""Windows that relate a series to time or to another series: slope, correlation, beta. Updates as in `indicators`."""

from __future__ import annotations

import math
from math import nan
from typing import Any

from mts1b.strategy.indicators import line_sums, one_less, push, ring_after, take_line
from mts1b.strategy.ops import Kind, Op, register


def slope(state: Any, x: float, window: float) -> float:
    """Slope of the least-squares line through the last `window` values, in units of x a bar. State: `line_sums`.

    Exactly 0 when they are all equal.
    """
    n = int(window)
    line_sums(state, x, n)
    if state[6] < n:
        return nan
    middle = 0.5 * (window + 1.0)
    rise = state[2] - middle * state[1]
    if state[4] + middle * state[3] > 1e-11 * abs(rise):
        take_line(state, x, n)
        rise = state[2] - middle * state[1]
    return rise * 12.0 / (window * (window * window - 1.0))


def sums_of_products(state: Any, x: float, y: float, n: int) -> None:
    """Sums of squares and of products about the means of the last `n` pairs, after one more pair.

    State: mean x, mean y, squares x, squares y, products, largest squares x and y since they were last taken from the
    rings, ring of x, ring of y. Taken from the rings once a turn, and when the squares have become small beside what
    they were; relative to the newest pair, so that a flat window gives exactly 0.
    """
    full = state[7] >= n
    old_x = push(state, 7, x, n)
    old_y = push(state, 9 + n, y, n)
    if full:
        new_a, new_b = x - state[0], y - state[1]
        old_a, old_b = old_x - state[0], old_y - state[1]
        state[0] += (new_a - old_a) / n
        state[1] += (new_b - old_b) / n
        state[2] += new_a * new_a - old_a * old_a - (new_a - old_a) * (new_a - old_a) / n
        state[3] += new_b * new_b - old_b * old_b - (new_b - old_b) * (new_b - old_b) / n
        state[4] += new_a * new_b - old_a * old_b - (new_a - old_a) * (new_b - old_b) / n
        state[5] = max(state[5], state[2])
        state[6] = max(state[6], state[3])
        if state[8] != 0.0 and state[2] >= 1e-6 * state[5] and state[3] >= 1e-6 * state[6]:
            return
    elif state[7] < n:
        return
    a = b = aa = bb = ab = 0.0
    for i in range(n):
        da, db = state[9 + i] - x, state[11 + n + i] - y
        a += da
        b += db
        aa += da * da
        bb += db * db
        ab += da * db
    state[0] = x + a / n
    state[1] = y + b / n
    state[2] = max(aa - a * a / n, 0.0)
    state[3] = max(bb - b * b / n, 0.0)
    state[4] = ab - a * b / n
    state[5] = state[2]
    state[6] = state[3]


def correlation(state: Any, x: float, y: float, window: float) -> float:
    """Pearson's correlation of the last `window` pairs, -1 to 1; 0 when either does not move."""
    n = int(window)
    sums_of_products(state, x, y, n)
    if state[7] < n:
        return nan
    spread = math.sqrt(state[2]) * math.sqrt(state[3]) if state[2] > 0.0 and state[3] > 0.0 else 0.0
    return max(-1.0, min(1.0, state[4] / spread)) if spread > 0.0 else 0.0


def beta(state: Any, x: float, y: float, window: float) -> float:
    """Slope of the least-squares line of x on y over the last `window` pairs; 0 when y does not move."""
    n = int(window)
    sums_of_products(state, x, y, n)
    if state[7] < n:
        return nan
    return state[4] / state[3] if state[3] > 0.0 else 0.0


def two_rings(window: Any) -> int:
    return 11 + 2 * int(window)


for _function, _inputs, _size, _helpers in (
    (slope, 1, ring_after(6), (push, take_line, line_sums)),
    (correlation, 2, two_rings, (push, sums_of_products)),
    (beta, 2, two_rings, (push, sums_of_products)),
):
    register(
        Op(
            _function.__name__,
            Kind.SERIES,
            _function,
            inputs=_inputs,
            scalars=1,
            size=_size,
            warm=one_less,
            window=0,
            window_min=2,
            helpers=_helpers,
        )
    )

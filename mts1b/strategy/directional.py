"""Wilder's directional movement (New Concepts in Technical Trading Systems, 1978): +DI, -DI and ADX.

Begun as TA-Lib begins it: plain sums over the first `window - 1` changes, then Wilder's decay, and ADX with the mean of
the first `window` indices. Updates as in `mts1b.strategy.indicators`.
"""

from __future__ import annotations

from math import nan
from typing import Any

from mts1b.strategy.indicators import same
from mts1b.strategy.ops import Kind, Op, register


def directional_step(state: Any, high: float, low: float, close: float, window: float) -> float:
    """Take in one bar; how many changes were seen. State: count, last high, low and close, +DM, -DM, true range."""
    count = state[0]
    up = high - state[1]
    down = state[2] - low
    last = state[3]
    state[0] = count + 1.0
    state[1] = high
    state[2] = low
    state[3] = close
    if count == 0.0:
        return 0.0
    kept = 1.0 if count < window else 1.0 - 1.0 / window
    state[4] = state[4] * kept + (up if up > 0.0 and up > down else 0.0)
    state[5] = state[5] * kept + (down if down > 0.0 and down > up else 0.0)
    state[6] = state[6] * kept + max(high, last) - min(low, last)
    return count


def plus_di(state: Any, high: float, low: float, close: float, window: float) -> float:
    """Share of the true range that made new highs, 0 to 100; 0 when nothing has moved."""
    if directional_step(state, high, low, close, window) < window:
        return nan
    return 100.0 * state[4] / state[6] if state[6] > 0.0 else 0.0


def minus_di(state: Any, high: float, low: float, close: float, window: float) -> float:
    """Share of the true range that made new lows, 0 to 100; 0 when nothing has moved."""
    if directional_step(state, high, low, close, window) < window:
        return nan
    return 100.0 * state[5] / state[6] if state[6] > 0.0 else 0.0


def adx(state: Any, high: float, low: float, close: float, window: float) -> float:
    """Average directional index, 0 to 100: strength of a trend in either direction. State: as above, and the average.

    A bar on which neither direction has moved leaves it unchanged.
    """
    count = directional_step(state, high, low, close, window)
    if count < window:
        return nan
    moved = state[4] + state[5]
    if count < 2.0 * window:
        state[7] += 100.0 * abs(state[4] - state[5]) / moved / window if moved > 0.0 else 0.0
        return state[7] if count >= 2.0 * window - 1.0 else nan
    if moved > 0.0:
        state[7] = (state[7] * (window - 1.0) + 100.0 * abs(state[4] - state[5]) / moved) / window
    return state[7]


def twice_less_one(window: Any) -> Any:
    return 2 * window - 1


for _function, _floats, _warm in ((plus_di, 7, same), (minus_di, 7, same), (adx, 8, twice_less_one)):
    register(
        Op(
            _function.__name__,
            Kind.SERIES,
            _function,
            inputs=3,
            scalars=1,
            size=lambda _window, floats=_floats: floats,
            warm=_warm,
            window=0,
            window_min=2,
            helpers=(directional_step,),
        )
    )

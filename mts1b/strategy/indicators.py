"""Indicators: each one update of a small state by one bar. Looped over time it fills a table, called once it follows
the market, so the two cannot differ.

`state` is float64, zero before the first bar. An update is called only with inputs that are known: a missing bar is
not an observation, so windows count the name's own bars. NaN is returned until the window is full. Running sums are
compensated (Kahan), spreads refreshed once a turn of the ring and weighted sums when rounding could show, so that it
does not grow with the history.
"""

from __future__ import annotations

import math
from math import nan
from typing import Any

from mts1b.strategy.ops import Kind, Op, register


def push(state: Any, base: int, x: float, n: int) -> float:
    """Put `x` into the ring of `n` values at `base` (count, place, values); the value it replaces, NaN at first."""
    count = state[base]
    place = int(state[base + 1])
    old = state[base + 2 + place]
    state[base + 2 + place] = x
    state[base + 1] = place + 1 if place + 1 < n else 0
    if count < n:
        state[base] = count + 1.0
        return nan
    return old


def rolling_sum(state: Any, x: float, window: float) -> float:
    """Sum of the last `window` values. State: count, place, total, compensation, ring.

    The most used state of all: read into locals first, since a store to the ring makes the compiler read again.
    """
    count = state[0]
    place = int(state[1])
    total = state[2]
    lost = state[3]
    old = state[4 + place]
    state[4 + place] = x
    state[1] = place + 1 if place + 1 < int(window) else 0
    if count >= window:
        change = -old - lost
        moved = total + change
        lost = (moved - total) - change
        total = moved
    else:
        count += 1.0
        state[0] = count
    change = x - lost
    moved = total + change
    state[3] = (moved - total) - change
    state[2] = moved
    return moved if count >= window else nan


def sma(state: Any, x: float, window: float) -> float:
    """Simple moving average: the mean of the last `window` values."""
    return rolling_sum(state, x, window) / window


def ema(state: Any, x: float, window: float) -> float:
    """Exponential average with alpha 2 / (window + 1), begun with the mean of the first `window` values."""
    state[0] += 1.0
    if state[0] <= window:
        state[1] += x
        if state[0] < window:
            return nan
        state[1] = state[1] / window
        return state[1]
    state[1] += (x - state[1]) * (2.0 / (window + 1.0))
    return state[1]


def take_line(state: Any, x: float, n: int) -> None:
    """Sums of the last `n` values from the ring itself, taken relative to the newest, `x`. State as in `line_sums`."""
    place = int(state[7])
    total = 0.0
    weighted = 0.0
    for i in range(place, n):
        total += state[8 + i] - x
        weighted += (i - place + 1.0) * (state[8 + i] - x)
    for i in range(place):
        total += state[8 + i] - x
        weighted += (n - place + i + 1.0) * (state[8 + i] - x)
    state[0] = x
    state[1] = total
    state[2] = weighted
    state[3] = 0.0
    state[4] = 0.0


def line_sums(state: Any, x: float, n: int) -> None:
    """Sum of the last `n` values, and their sum with weights of 1 for the oldest to `n`, after one more value.

    State: base, that values are taken relative to, sum, weighted sum, how far rounding can have moved either since
    they were last taken from the ring (for the caller, who knows what they are for), run of equal values, ring. A
    window of equal values gives exactly 0.
    """
    count = state[6]
    place = int(state[7])
    same = count > 0.0 and x == state[8 + (place - 1 if place > 0 else n - 1)]
    state[5] = state[5] + 1.0 if same else 1.0
    if count == 0.0 or state[5] >= n:
        state[0] = x
        state[1] = 0.0
        state[2] = 0.0
        state[3] = 0.0
        state[4] = 0.0
        push(state, 6, x, n)
        return
    old = push(state, 6, x, n)
    new = x - state[0]
    before = state[1]
    if count < n:
        state[2] += (count + 1.0) * new
        state[1] += new
    else:
        state[2] += n * new - before
        state[1] += x - old
    state[3] += 2.3e-16 * (abs(before) + abs(state[1]) + abs(new))
    state[4] += state[3] + 2.3e-16 * (abs(state[2]) + abs(before) + n * abs(new))


def wma(state: Any, x: float, window: float) -> float:
    """Linearly weighted average: the newest of `window` values weighs `window`, the oldest 1. State: `line_sums`."""
    n = int(window)
    line_sums(state, x, n)
    if state[6] < n:
        return nan
    weights = 0.5 * window * (window + 1.0)
    if state[4] > 1e-13 * weights * abs(x):
        take_line(state, x, n)
    return state[0] + state[2] / weights


def squares_about_mean(state: Any, x: float, n: int) -> float:
    """Sum of squared distances from the mean of the last `n` values; exactly 0 when they are all equal.

    State: mean, squares, largest squares since they were last taken from the ring, last value, run of equal values,
    ring. They are taken from the ring once a turn, and when they have become small beside what they were.
    """
    count = state[5]
    state[4] = state[4] + 1.0 if x == state[3] and count > 0.0 else 1.0
    state[3] = x
    old = push(state, 5, x, n)
    mean = state[0]
    squares = state[1]
    if count < n:
        state[0] = mean + (x - mean) / (count + 1.0)
        squares += (x - mean) * (x - state[0])
    else:
        state[0] = mean + (x - old) / n
        squares += (x - old) * (x - state[0] + old - mean)
    state[2] = max(state[2], squares)
    if state[4] >= n:
        state[0] = x
        squares = 0.0
        state[2] = 0.0
    elif state[5] >= n and (state[6] == 0.0 or squares < 1e-6 * state[2]):
        mean = 0.0
        for i in range(n):
            mean += state[7 + i]
        mean /= n
        squares = 0.0
        for i in range(n):
            squares += (state[7 + i] - mean) * (state[7 + i] - mean)
        state[0] = mean
        state[2] = squares
    state[1] = squares
    return squares if state[5] >= n else nan


def rolling_var(state: Any, x: float, window: float, ddof: float) -> float:
    """Variance of the last `window` values, divided by `window - ddof`."""
    return squares_about_mean(state, x, int(window)) / (window - ddof)


def rolling_std(state: Any, x: float, window: float, ddof: float) -> float:
    """Standard deviation of the last `window` values; ddof 0 population, 1 sample."""
    return math.sqrt(squares_about_mean(state, x, int(window)) / (window - ddof))


def rolling_zscore(state: Any, x: float, window: float) -> float:
    """Distance from the mean of the last `window` values in their population deviations; 0 when they are all equal."""
    squares = squares_about_mean(state, x, int(window))
    return (x - state[0]) / math.sqrt(squares / window) if squares > 0.0 else 0.0 * squares


def cci(state: Any, x: float, window: float) -> float:
    """Distance from the mean of the last `window` values, in 0.015 of their mean absolute deviations (Lambert 1980).

    0 when they are all equal. State: the ring.
    """
    n = int(window)
    push(state, 0, x, n)
    if state[0] < n:
        return nan
    total = 0.0
    for i in range(n):
        total += state[2 + i] - x
    mean = total / window
    spread = 0.0
    for i in range(n):
        spread += abs(state[2 + i] - x - mean)
    return -mean / (0.015 * spread / window) if spread > 0.0 else 0.0


def highest(state: Any, x: float, window: float) -> float:
    """Largest of the last `window` values. State: the best, bars since it, ring; searched anew when it leaves."""
    n = int(window)
    push(state, 2, x, n)
    state[1] += 1.0
    if state[2] <= 1.0 or x >= state[0]:
        state[0] = x
        state[1] = 0.0
    elif state[1] >= n:
        place = int(state[3])
        state[0] = state[4 + place]
        for i in range(n):
            value = state[4 + (place + i) % n]
            if value >= state[0]:
                state[0] = value
                state[1] = n - 1.0 - i
    return state[0] if state[2] >= n else nan


def lowest(state: Any, x: float, window: float) -> float:
    """Smallest of the last `window` values."""
    return -highest(state, -x, window)


def lag(state: Any, x: float, bars: float) -> float:
    """The value `bars` bars of the name ago; 0 is the present one. State: the ring."""
    n = int(bars)
    return x if n == 0 else push(state, 0, x, n)


def rsi(state: Any, x: float, window: float) -> float:
    """Wilder's relative strength index, 0 to 100; 50 when nothing has moved. State: count, last, gain, loss."""
    change = x - state[1]
    state[1] = x
    state[0] += 1.0
    if state[0] == 1.0:
        return nan
    gain = change if change > 0.0 else 0.0
    loss = -change if change < 0.0 else 0.0
    if state[0] <= window + 1.0:
        state[2] += gain / window
        state[3] += loss / window
        if state[0] < window + 1.0:
            return nan
    else:
        state[2] = (state[2] * (window - 1.0) + gain) / window
        state[3] = (state[3] * (window - 1.0) + loss) / window
    moved = state[2] + state[3]
    return 100.0 * state[2] / moved if moved > 0.0 else 50.0


def atr(state: Any, high: float, low: float, close: float, window: float) -> float:
    """Wilder's average true range, in price; begun with a mean of `window` ranges. State: count, last close, range."""
    last = state[1]
    state[1] = close
    state[0] += 1.0
    if state[0] == 1.0:
        return nan
    reach = max(high, last) - min(low, last)
    if state[0] <= window + 1.0:
        state[2] += reach / window
        return state[2] if state[0] > window else nan
    state[2] = (state[2] * (window - 1.0) + reach) / window
    return state[2]


def one_less(window: Any, *_rest: Any) -> Any:
    return window - 1


def same(window: Any, *_rest: Any) -> Any:
    return window


def ring_after(floats: int) -> Any:
    """State of `floats` numbers and a ring of `window` values."""

    def size(window: Any, *_rest: Any) -> int:
        return floats + 2 + int(window)

    return size


for _function, _inputs, _scalars, _size, _warm, _window_min, _helpers in (
    (rolling_sum, 1, 1, ring_after(2), one_less, 1, ()),
    (sma, 1, 1, ring_after(2), one_less, 1, (rolling_sum,)),
    (ema, 1, 1, lambda *_: 2, one_less, 1, ()),
    (wma, 1, 1, ring_after(6), one_less, 1, (push, take_line, line_sums)),
    (rolling_zscore, 1, 1, ring_after(5), one_less, 2, (push, squares_about_mean)),
    (cci, 1, 1, ring_after(0), one_less, 2, (push,)),
    (rolling_var, 1, 2, ring_after(5), one_less, 2, (push, squares_about_mean)),
    (rolling_std, 1, 2, ring_after(5), one_less, 2, (push, squares_about_mean)),
    (highest, 1, 1, ring_after(2), one_less, 1, (push,)),
    (lowest, 1, 1, ring_after(2), one_less, 1, (push, highest)),
    (lag, 1, 1, ring_after(0), same, 0, (push,)),
    (rsi, 1, 1, lambda *_: 4, same, 1, ()),
    (atr, 3, 1, lambda *_: 3, same, 1, ()),
):
    register(
        Op(
            _function.__name__,
            Kind.SERIES,
            _function,
            inputs=_inputs,
            scalars=_scalars,
            size=_size,
            warm=_warm,
            window=0,
            window_min=_window_min,
            helpers=_helpers,
            passes=(0,) if _function in (highest, lowest, lag) else (),
        )
    )

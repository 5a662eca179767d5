"""The words a strategy is written in. Every one only looks back, so the future cannot be written.

    from mts1b.strategy import close, param, sma, strategy, where

    @strategy
    def sma_cross(fast=param(5, 255), slow=param(20, 420)):
        return where(sma(close, fast) > sma(close, slow), 1.0, 0.0)

Windows are in bars of the name itself: a missing bar is not an observation. NaN, "not known", passes through.
"""

from __future__ import annotations

from typing import NamedTuple

from mts1b.foundation.errors import InputError
from mts1b.strategy import cross_section, directional, indicators, regression, rules  # noqa: F401  fill the table
from mts1b.strategy.expr import Expression, Node, build, lift

open = Node("field", (), "open")
high = Node("field", (), "high")
low = Node("field", (), "low")
close = Node("field", (), "close")
volume = Node("field", (), "volume")
vwap = Node("field", (), "vwap")
"""Volume-weighted price of the bar, where the data deliver one; InputError at the first use where they do not."""
sector = Node("field", (), "sector")
"""A number for the sector of the name, for `by=sector`; not known where the name has none."""
typical_price = (high + low + close) / 3.0
"""Mean of high, low and close: what stands for vwap where the data have none."""

BARS_PER_YEAR = 252.0
"""Sessions of a US equity year: how a daily volatility becomes an annual one."""


class Bands(NamedTuple):
    """A channel round a series."""

    lower: Node
    middle: Node
    upper: Node


def universe_size() -> Node:
    """How many names the panel has: a scalar. `top_n(x, n) * universe_size() / n` is fully invested in n names."""
    return Node("names")


def where(condition: Expression, a: Expression, b: Expression) -> Node:
    """`a` where the condition holds, else `b`; not known where the condition is not."""
    return build("where", condition, a, b)


def clip(x: Expression, low: Expression, high: Expression) -> Node:
    """`x` held between `low` and `high`."""
    return build("clip", x, low, high)


def fill(x: Expression, otherwise: Expression) -> Node:
    """`x`, or `otherwise` where `x` is not known."""
    return build("fill", x, otherwise)


def smaller(a: Expression, b: Expression) -> Node:
    """The smaller of two values of one bar."""
    return build("smaller", a, b)


def larger(a: Expression, b: Expression) -> Node:
    """The larger of two values of one bar."""
    return build("larger", a, b)


def sqrt(x: Expression) -> Node:
    """Square root; not known below 0."""
    return build("sqrt", x)


def log(x: Expression) -> Node:
    """Natural logarithm; not known at or below 0."""
    return build("log", x)


def exp(x: Expression) -> Node:
    return build("exp", x)


def lag(x: Expression, bars: Expression) -> Node:
    """The value `bars` bars ago; never negative."""
    return build("lag", x, bars)


def rolling_sum(x: Expression, window: Expression) -> Node:
    """Sum of the last `window` values."""
    return build("rolling_sum", x, window)


def sma(x: Expression, window: Expression) -> Node:
    """Simple moving average."""
    return build("sma", x, window)


def ema(x: Expression, window: Expression) -> Node:
    """Exponential moving average, alpha 2 / (window + 1), begun with a simple one."""
    return build("ema", x, window)


def wma(x: Expression, window: Expression) -> Node:
    """Linearly weighted moving average."""
    return build("wma", x, window)


def var(x: Expression, window: Expression, ddof: int = 0) -> Node:
    """Variance of the last `window` values; of the population unless ddof is 1."""
    return build("rolling_var", x, window, _ddof(ddof))


def std(x: Expression, window: Expression, ddof: int = 0) -> Node:
    """Standard deviation of the last `window` values; of the population unless ddof is 1."""
    return build("rolling_std", x, window, _ddof(ddof))


def highest(x: Expression, window: Expression) -> Node:
    """Largest of the last `window` values, this one included."""
    return build("highest", x, window)


def lowest(x: Expression, window: Expression) -> Node:
    """Smallest of the last `window` values, this one included."""
    return build("lowest", x, window)


def zscore(x: Expression, window: Expression) -> Node:
    """Distance from the moving average in population standard deviations; 0 when all values are equal."""
    return build("rolling_zscore", x, window)


def bollinger(x: Expression, window: Expression, width: Expression = 2.0) -> Bands:
    """Bollinger's bands: the moving average, and `width` population standard deviations below and above it."""
    middle, spread = sma(x, window), std(x, window) * width
    return Bands(middle - spread, middle, middle + spread)


def donchian(window: Expression) -> Bands:
    """Donchian's channel: lowest low and highest high of the last `window` bars, this one included, and their mean."""
    bottom, top = lowest(low, window), highest(high, window)
    return Bands(bottom, (bottom + top) / 2.0, top)


def slope(x: Expression, window: Expression) -> Node:
    """Slope of the least-squares line through the last `window` values, in units of `x` a bar."""
    return build("slope", x, window)


def correlation(x: Expression, y: Expression, window: Expression) -> Node:
    """Pearson's correlation of two series over the last `window` bars that have both; 0 when either does not move."""
    return build("correlation", x, y, window)


def beta(x: Expression, y: Expression, window: Expression) -> Node:
    """Change of `x` for a change of `y`, by least squares over the last `window` bars that have both."""
    return build("beta", x, y, window)


def vwma(x: Expression, window: Expression) -> Node:
    """Average of the last `window` values weighted by volume; `x` itself where nothing was traded in the window."""
    traded = rolling_sum(volume, window)
    return where(traded > 0.0, rolling_sum(lift(x) * volume, window) / traded, x)


def rsi(x: Expression, window: Expression) -> Node:
    """Wilder's relative strength index, 0 to 100."""
    return build("rsi", x, window)


def atr(window: Expression) -> Node:
    """Wilder's average true range of the bars, in price."""
    return build("atr", high, low, close, window)


def adx(window: Expression) -> Node:
    """Wilder's average directional index, 0 to 100: how strong the trend is, up or down."""
    return build("adx", high, low, close, window)


def plus_di(window: Expression) -> Node:
    """Wilder's positive directional indicator, 0 to 100."""
    return build("plus_di", high, low, close, window)


def minus_di(window: Expression) -> Node:
    """Wilder's negative directional indicator, 0 to 100."""
    return build("minus_di", high, low, close, window)


def stochastic(window: Expression, smooth: Expression = 1) -> Node:
    """Lane's %K: place of the close between lowest low and highest high, 0 to 100, averaged over `smooth` bars.

    50 when there is no range. %D is `sma(stochastic(window, smooth), n)`.
    """
    bottom, top = lowest(low, window), highest(high, window)
    return sma(where(top > bottom, 100.0 * (close - bottom) / (top - bottom), 50.0), smooth)


def cci(window: Expression) -> Node:
    """Lambert's commodity channel index of the typical price; 0 when it has not moved."""
    return build("cci", typical_price, window)


def macd(x: Expression, fast: Expression, slow: Expression) -> Node:
    """Fast less slow exponential average."""
    return ema(x, fast) - ema(x, slow)


def macd_signal(x: Expression, fast: Expression, slow: Expression, window: Expression) -> Node:
    """Exponential average of `macd`: the line it is compared with."""
    return ema(macd(x, fast, slow), window)


def change(x: Expression, window: Expression) -> Node:
    """Change over `window` bars, in units of `x` (TA-Lib's MOM)."""
    return lift(x) - lag(x, window)


def roc(x: Expression, window: Expression) -> Node:
    """Change over `window` bars, a fraction."""
    return lift(x) / lag(x, window) - 1.0


def momentum(x: Expression, window: Expression, skip: Expression = 0) -> Node:
    """Change over `window` bars that ended `skip` bars ago, a fraction."""
    return lag(x, skip) / lag(x, lift(skip) + window) - 1.0


def returns(x: Expression) -> Node:
    """Change since the bar before, a fraction."""
    return roc(x, 1)


def volatility(x: Expression, window: Expression) -> Node:
    """Sample standard deviation (ddof 1) of the last `window` returns of `x`, a fraction a year of 252 bars."""
    return std(returns(x), window, ddof=1) * BARS_PER_YEAR**0.5


def rank(x: Expression, by: Expression | None = None) -> Node:
    """Place among the names at this bar, or among those of its group: 0 the smallest, 1 the largest, 0.5 if alone.

    `by`, here and below: a series with equal values for names of one group, like `sector`.
    """
    return _across("xs_rank", x, by)


def xs_zscore(x: Expression, by: Expression | None = None) -> Node:
    """Distance from the mean over the names at this bar, in population standard deviations."""
    return _across("xs_zscore", x, by)


def xs_mean(x: Expression, by: Expression | None = None) -> Node:
    """Mean over the names at this bar: `xs_mean(returns(close))` is the market, in equal weights."""
    return _across("xs_mean", x, by)


def demean(x: Expression, by: Expression | None = None) -> Node:
    """The value less its mean over the names at this bar."""
    return _across("xs_demean", x, by)


def top_n(x: Expression, n: Expression, by: Expression | None = None) -> Node:
    """1 for the `n` names (of each group) with the largest values at this bar, else 0. One ranking serves every `n`."""
    return _across("xs_place", x, by) < n


def latch(entry: Expression, exit: Expression) -> Node:
    """1 from the bar on which `entry` holds until the bar on which `exit` does; exit wins when both hold."""
    return build("latch", entry, exit)


def bars_since(condition: Expression) -> Node:
    """Bars of the name since the condition last held, 0 on that bar; not known before the first time."""
    return build("bars_since", condition)


def hold(entry: Expression, bars: Expression) -> Node:
    """1 on the bar of an entry and on the `bars` - 1 after it, counted anew from every entry; else 0."""
    return fill(bars_since(entry) < bars, 0.0)


def stop_loss(x: Expression, price: Expression, fraction: Expression) -> Node:
    """`x` until `price` is `fraction` worse than on the bar of entry, then 0 until `x` begins a new position.

    A position begins when `x` leaves 0 or changes its sign; worse is lower for a long one, higher for a short one.
    `fraction` may be a series: `3 * atr(20) / close`.
    """
    return build("stop_loss", x, price, fraction)


def take_profit(x: Expression, price: Expression, fraction: Expression) -> Node:
    """`x` until `price` is `fraction` better than on the bar of entry, then 0 until `x` begins a new position."""
    return build("take_profit", x, price, fraction)


def trailing_stop(x: Expression, price: Expression, fraction: Expression) -> Node:
    """`x` until `price` is `fraction` worse than its best since entry, then 0 until `x` begins a new position."""
    return build("trailing_stop", x, price, fraction)


def fixed(signal: Expression, weight: Expression) -> Node:
    """`weight` long while the signal is above 0, short while below, 0 otherwise."""
    return build("fixed_weight", signal, weight)


def vol_target(x: Expression, target: Expression, window: Expression, cap: Expression = 1.0) -> Node:
    """Weight that brings the name to `target` volatility a year, by its last `window` returns, at most `cap`."""
    return build("vol_target_weight", volatility(x, window), target, cap)


def kelly(x: Expression, window: Expression, fraction: Expression = 0.5, cap: Expression = 1.0) -> Node:
    """`fraction` of the Kelly weight by the mean and sample variance of the last `window` returns, within +-cap."""
    moved = returns(x)
    return build("kelly_fraction", sma(moved, window), var(moved, window, ddof=1), fraction, cap)


def _ddof(ddof: int) -> int:
    if ddof not in (0, 1):
        raise InputError("ddof", ddof, "must be 0 (population) or 1 (sample)", "choose one")
    return ddof


def _across(op: str, x: Expression, by: Expression | None) -> Node:
    return build(op, x) if by is None else build(f"{op}_by", x, by)

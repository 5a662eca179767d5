"""The words a strategy is written in. Every one only looks back, so the future cannot be written.

    from mts1b.strategy import close, param, sma, strategy, where

    @strategy
    def sma_cross(fast=param(5, 255), slow=param(20, 420)):
        return where(sma(close, fast) > sma(close, slow), 1.0, 0.0)

Windows are in bars of the name itself: a missing bar is not an observation. NaN, "not known", passes through.
"""

from __future__ import annotations

from mts1b.foundation.errors import InputError
from mts1b.strategy import indicators  # noqa: F401  fills the table of operations
from mts1b.strategy.expr import Expression, Node, build, lift

open = Node("field", (), "open")
high = Node("field", (), "high")
low = Node("field", (), "low")
close = Node("field", (), "close")
volume = Node("field", (), "volume")

BARS_PER_YEAR = 252.0
"""Sessions of a US equity year: how a daily volatility becomes an annual one."""


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
    """Distance from the moving average in population standard deviations."""
    return (lift(x) - sma(x, window)) / std(x, window)


def rsi(x: Expression, window: Expression) -> Node:
    """Wilder's relative strength index, 0 to 100."""
    return build("rsi", x, window)


def atr(window: Expression) -> Node:
    """Wilder's average true range of the bars, in price."""
    return build("atr", high, low, close, window)


def macd(x: Expression, fast: Expression, slow: Expression) -> Node:
    """Fast less slow exponential average."""
    return ema(x, fast) - ema(x, slow)


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


def rank(x: Expression) -> Node:
    """Place among the names at this bar: 0 the smallest, 1 the largest."""
    return build("xs_rank", x)


def xs_zscore(x: Expression) -> Node:
    """Distance from the mean over the names at this bar, in population standard deviations."""
    return build("xs_zscore", x)


def demean(x: Expression) -> Node:
    """The value less its mean over the names at this bar."""
    return build("xs_demean", x)


def top_n(x: Expression, n: Expression) -> Node:
    """1 for the `n` names with the largest values at this bar, else 0. One ranking serves every `n`."""
    return build("xs_place", x) < n


def latch(entry: Expression, exit: Expression) -> Node:
    """1 from the bar on which `entry` holds until the bar on which `exit` does; exit wins when both hold."""
    return build("latch", entry, exit)


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

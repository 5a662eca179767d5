"""Metrics of a return series: the readable definitions that every kernel must equal.

Returns are simple returns a bar, float64 of shape [..., T]: the last axis is time, each result drops it. One set of
conventions everywhere: 252 bars a year unless given, risk-free rate 0, sample standard deviation (ddof 1), population
skewness and kurtosis, kurtosis 3 for a normal (not excess). NaN is a bar without a return: it counts as a bar of 0
where returns compound or are ranked, and is left out of means and deviations. A ratio whose denominator is 0 is 0: a
strategy that never trades has Sharpe 0, not NaN, and so never wins a sort.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BARS_PER_YEAR = 252
"""Sessions of a US equity year."""

SPREAD_MIN = 1e-12
"""Less than this is rounding, and counts as 0: a deviation a bar, standard or downside, and a fall from a high."""


def equity(returns: Floats) -> Floats:
    """Worth of 1.0 invested at the start, after each bar: shape [..., T]."""
    return np.asarray(np.cumprod(1.0 + np.nan_to_num(returns, nan=0.0), axis=-1), dtype=np.float64)


def total_return(returns: Floats) -> Floats:
    """Compounded return over the whole series, a fraction."""
    return np.prod(1.0 + np.nan_to_num(returns, nan=0.0), axis=-1) - 1.0


def cagr(returns: Floats, bars_per_year: int = BARS_PER_YEAR) -> Floats:
    """Compounded return a year: final worth to the power of years, less 1. Ruin (worth <= 0) is -1."""
    worth = np.maximum(total_return(returns) + 1.0, 0.0)
    return np.power(worth, bars_per_year / max(returns.shape[-1], 1)) - 1.0


def volatility(returns: Floats, bars_per_year: int = BARS_PER_YEAR) -> Floats:
    """Sample standard deviation of returns (ddof 1), a year. Fewer than two returns: 0."""
    return _spread(returns) * np.sqrt(bars_per_year)


def sharpe(returns: Floats, bars_per_year: int = BARS_PER_YEAR) -> Floats:
    """Mean over standard deviation (ddof 1), times sqrt(bars a year); risk-free rate 0. A flat series: 0."""
    return ratio(_mean(returns), _spread(returns)) * np.sqrt(bars_per_year)


def downside_risk(returns: Floats, bars_per_year: int = BARS_PER_YEAR) -> Floats:
    """Root mean square of the negative returns over all bars, a year."""
    return _floored(np.sqrt(_mean(np.minimum(returns, 0.0) ** 2))) * np.sqrt(bars_per_year)


def sortino(returns: Floats, bars_per_year: int = BARS_PER_YEAR) -> Floats:
    """Mean a year over downside risk; risk-free rate 0."""
    return ratio(_mean(returns) * bars_per_year, downside_risk(returns, bars_per_year))


def drawdown(returns: Floats) -> Floats:
    """Worth over its highest so far (the start, 1.0, included), less 1: shape [..., T], at most 0."""
    worth = equity(returns)
    peak = np.maximum(np.maximum.accumulate(worth, axis=-1), 1.0)
    return worth / peak - 1.0


def max_drawdown(returns: Floats) -> Floats:
    """The deepest drawdown, a negative fraction, or 0. Ruin (worth <= 0) is -1, whatever is owed beyond it."""
    deepest = np.maximum(np.min(drawdown(returns), axis=-1, initial=0.0), -1.0)
    return np.where(deepest > -SPREAD_MIN, 0.0, deepest)


def max_drawdown_bars(returns: Floats) -> Floats:
    """Bars of the longest time below a high (the start, 1.0, included); one that lasts counts to the end."""
    worth = equity(returns)
    under = worth < np.maximum(np.maximum.accumulate(worth, axis=-1), 1.0) * (1.0 - SPREAD_MIN)
    counted = np.cumsum(under, axis=-1)
    before = np.maximum.accumulate(np.where(under, 0, counted), axis=-1)
    return np.max(counted - before, axis=-1, initial=0).astype(np.float64)


def calmar(returns: Floats, bars_per_year: int = BARS_PER_YEAR) -> Floats:
    """CAGR over the size of the deepest drawdown."""
    return ratio(cagr(returns, bars_per_year), -max_drawdown(returns))


def omega(returns: Floats, threshold: float = 0.0) -> Floats:
    """Sum of what exceeds `threshold` (a return a bar) over the sum of what falls short of it."""
    excess = returns - threshold
    return ratio(np.nansum(np.maximum(excess, 0.0), axis=-1), -np.nansum(np.minimum(excess, 0.0), axis=-1))


def tail_ratio(returns: Floats) -> Floats:
    """Size of the 95th percentile over the size of the 5th (linear interpolation)."""
    high, low = np.percentile(np.nan_to_num(returns, nan=0.0), [95.0, 5.0], axis=-1)
    return ratio(np.abs(high), np.abs(low))


def stability(returns: Floats) -> Floats:
    """R squared of a straight line through the cumulative log returns; NaN bars are left out. 1-D series only."""
    path = np.cumsum(np.log1p(returns[~np.isnan(returns)]))
    if len(path) < 2 or np.ptp(path) == 0.0:
        return np.float64(0.0)  # type: ignore[return-value]
    return np.corrcoef(np.arange(len(path)), path)[0, 1] ** 2


def skewness(returns: Floats) -> Floats:
    """Third standardised moment of the population; 0 for a flat series."""
    return _standard_moment(returns, 3)


def kurtosis(returns: Floats) -> Floats:
    """Fourth standardised moment of the population: 3 for a normal; 0 for a flat series."""
    return _standard_moment(returns, 4)


def _count(values: Floats) -> NDArray[np.int64]:
    return np.sum(~np.isnan(values), axis=-1)


def _mean(values: Floats) -> Floats:
    return np.nansum(values, axis=-1) / np.maximum(_count(values), 1)


def _spread(values: Floats) -> Floats:
    squares = np.nansum((values - _mean(values)[..., None]) ** 2, axis=-1)
    return _floored(np.sqrt(squares / np.maximum(_count(values) - 1, 1)))


def _standard_moment(values: Floats, order: int) -> Floats:
    centred = values - _mean(values)[..., None]
    return ratio(_mean(centred**order), _floored(np.sqrt(_mean(centred**2))) ** order)


def _floored(spread: Floats) -> Floats:
    return np.where(spread < SPREAD_MIN, 0.0, spread)


def ratio(top: Floats, bottom: Floats) -> Floats:
    """`top / bottom`, 0 where `bottom` is 0."""
    safe = np.where(bottom == 0.0, 1.0, bottom)
    return np.where(bottom == 0.0, 0.0, top / safe)

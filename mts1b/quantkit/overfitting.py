"""What many trials do to the best of them: probabilistic and deflated Sharpe ratio, lengths a claim needs.

Bailey and Lopez de Prado, "The Sharpe Ratio Efficient Frontier" (2012) and "The Deflated Sharpe Ratio" (2014). Sharpe
ratios here are a bar, not a year, unless a name says otherwise: divide an annual one by sqrt(bars a year). Skewness and
kurtosis are those of `mts1b.quantkit.metrics` (kurtosis 3 for a normal).
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from mts1b.quantkit.metrics import SPREAD_MIN

EULER_GAMMA = 0.5772156649015329
NORMAL = NormalDist()


def expected_maximum(trials: float) -> float:
    """Expected maximum of `trials` independent standard normals, by the extreme-value approximation. One trial: 0.

    An estimated number of trials need not be whole; between 1 and 2 it is drawn straight from 0 to the value at 2.
    """
    if trials <= 1.0:
        return 0.0
    if trials < 2.0:
        return (trials - 1.0) * expected_maximum(2.0)
    first = NORMAL.inv_cdf(1.0 - 1.0 / trials)
    second = NORMAL.inv_cdf(1.0 - 1.0 / (trials * math.e))
    return (1.0 - EULER_GAMMA) * first + EULER_GAMMA * second


def probabilistic_sharpe(
    sharpe: float, benchmark: float, observations: int, skewness: float = 0.0, kurtosis: float = 3.0
) -> float:
    """Probability that the true Sharpe ratio exceeds `benchmark`, seen `sharpe` over `observations` bars.

    NaN where the returns say nothing: fewer than two, or moments that leave no variance to the estimate.
    """
    spread = _estimate_variance(sharpe, skewness, kurtosis)
    if observations < 2 or not spread > 0.0:
        return math.nan
    return NORMAL.cdf((sharpe - benchmark) * math.sqrt(observations - 1) / math.sqrt(spread))


def expected_maximum_sharpe(trials: float, variance_of_trials: float) -> float:
    """Best Sharpe ratio that `trials` worthless strategies show by luck, given the variance of Sharpe across trials."""
    return math.sqrt(max(variance_of_trials, 0.0)) * expected_maximum(trials)


def deflated_sharpe(
    sharpe: float,
    trials: float,
    variance_of_trials: float,
    observations: int,
    skewness: float = 0.0,
    kurtosis: float = 3.0,
) -> float:
    """Probability that the best of `trials` is better than luck: PSR against the expected maximum of the trials.

    `sharpe` is the best one's; `variance_of_trials` the variance of the Sharpe ratios tried, both a bar.
    """
    benchmark = expected_maximum_sharpe(trials, variance_of_trials)
    return probabilistic_sharpe(sharpe, benchmark, observations, skewness, kurtosis)


def effective_rank(returns: NDArray[np.float64]) -> float:
    """How many uncorrelated series `returns` [N, T] are worth: exp of the entropy of their correlation's eigenvalues.

    Roy and Vetterli, "The effective rank" (2007). Equal series are 1, N uncorrelated ones N. Flat ones are left out; 0
    when all are flat.
    """
    centred = returns - returns.mean(axis=1, keepdims=True)
    size = np.sqrt((centred**2).sum(axis=1, keepdims=True))
    moving = size[:, 0] > SPREAD_MIN * math.sqrt(returns.shape[1])
    if not moving.any():
        return 0.0
    unit = centred[moving] / size[moving]
    gram = unit @ unit.T if len(unit) <= unit.shape[1] else unit.T @ unit
    weights = np.linalg.eigvalsh(gram)
    weights = weights[weights > 0.0] / weights[weights > 0.0].sum()
    return float(np.exp(-(weights * np.log(weights)).sum()))


def independent_trials(sample: NDArray[np.float64], trials: int) -> float:
    """Estimate of the number of independent trials among `trials`, from the returns `sample` [N, T] of some of them.

    The effective rank of the sample, at least 1. A sample whose rank is over half of its size does not bound that of
    all: then every trial counts.
    """
    rank = effective_rank(sample)
    if len(sample) < trials and rank > len(sample) / 2:
        return float(trials)
    return min(max(rank, 1.0), float(trials))


def minimum_track_record(
    sharpe: float, benchmark: float, skewness: float = 0.0, kurtosis: float = 3.0, confidence: float = 0.95
) -> float:
    """Bars needed to claim with `confidence` that the true Sharpe ratio exceeds `benchmark`; inf if it does not."""
    if not sharpe > benchmark:
        return math.inf
    spread = _estimate_variance(sharpe, skewness, kurtosis)
    return 1.0 + spread * (NORMAL.inv_cdf(confidence) / (sharpe - benchmark)) ** 2


def minimum_backtest_years(trials: int, sharpe_annual: float) -> float:
    """Years below which the best of `trials` worthless strategies is expected to reach `sharpe_annual` by luck."""
    return (expected_maximum(trials) / sharpe_annual) ** 2


def _estimate_variance(sharpe: float, skewness: float, kurtosis: float) -> float:
    return 1.0 - skewness * sharpe + (kurtosis - 1.0) / 4.0 * sharpe * sharpe

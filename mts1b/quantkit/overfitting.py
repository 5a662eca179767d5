"""What many trials do to the best of them: probabilistic and deflated Sharpe ratio, lengths a claim needs.

Bailey and Lopez de Prado, "The Sharpe Ratio Efficient Frontier" (2012) and "The Deflated Sharpe Ratio" (2014). Sharpe
ratios here are a bar, not a year, unless a name says otherwise: divide an annual one by sqrt(bars a year). Skewness and
kurtosis are those of `mts1b.quantkit.metrics` (kurtosis 3 for a normal).
"""

from __future__ import annotations

import math
from statistics import NormalDist

EULER_GAMMA = 0.5772156649015329
NORMAL = NormalDist()


def expected_maximum(trials: int) -> float:
    """Expected maximum of `trials` independent standard normals, by the extreme-value approximation. One trial: 0."""
    if trials < 2:
        return 0.0
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


def expected_maximum_sharpe(trials: int, variance_of_trials: float) -> float:
    """Best Sharpe ratio that `trials` worthless strategies show by luck, given the variance of Sharpe across trials."""
    return math.sqrt(max(variance_of_trials, 0.0)) * expected_maximum(trials)


def deflated_sharpe(
    sharpe: float,
    trials: int,
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

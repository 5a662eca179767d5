"""Drift: has a distribution moved away from the one it is compared with? Pure.

Two measures, and both must speak before an alert is raised: the population stability index says how far, the two-sample
Kolmogorov-Smirnov test whether chance would do it. Features are compared with the history the strategy was made on, the
fund's returns with those of its backtest.

Sources: PSI: Lewis, "An Introduction to Credit Scoring" (1994); Siddiqi, "Credit Risk Scorecards" (2006), with the
levels 0.1 and 0.25. It is Jeffreys' divergence of two histograms. Its spread under no drift: Yurdakul and Naranjo,
"Statistical properties of the population stability index", Journal of Risk Model Validation 14(4), 2020. KS: Smirnov,
"Table for estimating the goodness of fit of empirical distributions", Annals of Mathematical Statistics 19(2), 1948;
small samples: Stephens, "Use of the Kolmogorov-Smirnov ... without extensive tables", JRSS B 32(1), 1970.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from mts1b.foundation.alerts import Ease, Finding, Severity
from mts1b.foundation.errors import InputError
from mts1b.watchdog.grade import Levels

Floats = NDArray[np.float64]

BINS = 10
"""Deciles of the reference, as is usual."""

SHARE_MIN = 1e-4
"""What an empty bin counts as: the logarithm of nothing is not to be had."""

KS_TERMS = 100


@dataclass(frozen=True, slots=True)
class DriftLevels:
    """`psi`: how far, beyond what chance does to samples of this size. `p_value`: what the KS test must stay under, and
    how often chance goes beyond. `observed_min`: independent observations, below which nothing is said."""

    psi: Levels = Levels(0.1, 0.25)
    p_value: float = 1e-3
    observed_min: int = 20
    bins: int = BINS

    def __post_init__(self) -> None:
        if not 0 < self.p_value < 1:
            raise InputError("p_value", self.p_value, "must lie between 0 and 1", "give 0.001")
        if self.bins < 2:
            raise InputError("bins", self.bins, "one bin cannot tell anything", "give at least 2")


@dataclass(frozen=True, slots=True)
class Reference:
    """What live values are compared with: its values in order, its bins' upper edges, their shares.

    A value that is missing (not finite) counts as the largest of all, and has a bin of its own, the last: a feature
    that stops coming has drifted. `count`: independent observations among the values. A hundred names of one bar move
    together: they are one.
    """

    values: Floats
    edges: Floats
    shares: Floats
    count: int

    @classmethod
    def of(cls, values: Floats, bins: int = BINS, count: int | None = None) -> Reference:
        """Bins between the quantiles of `values`; equal quantiles make one bin. `count` None: all are independent.

        InputError without finite values.
        """
        ordered = _ordered(values)
        finite = ordered[np.isfinite(ordered)]
        if not len(finite):
            raise InputError("reference", len(ordered), "has no finite value", "give the values of a longer history")
        edges = np.unique(np.quantile(finite, np.linspace(0, 1, bins + 1)[1:-1]))
        return cls(ordered, edges, _shares(ordered, edges), count or len(ordered))


def _ordered(values: Floats) -> Floats:
    given = np.asarray(values, dtype=np.float64).ravel()
    return np.sort(np.where(np.isfinite(given), given, np.inf))


def _shares(values: Floats, edges: Floats) -> Floats:
    """The share of values in each bin (above the edge before it, up to its own), then that of the missing ones."""
    places = np.where(np.isinf(values), len(edges) + 1, np.searchsorted(edges, values, side="left"))
    return np.bincount(places, minlength=len(edges) + 2) / len(values)


def psi_of_shares(expected: Floats, observed: Floats) -> float:
    """sum (o - e) ln(o / e) over the bins, empty ones taken as SHARE_MIN; bins empty in both say nothing."""
    e, o = np.maximum(expected, SHARE_MIN), np.maximum(observed, SHARE_MIN)
    return float(np.sum((o - e) * np.log(o / e)))


def psi(reference: Reference, observed: Floats) -> float:
    """Population stability index of `observed` against the reference, at least 0; 0 when the shares are equal."""
    return psi_of_shares(reference.shares, _shares(_ordered(observed), reference.edges))


def psi_by_chance(bins: int, expected_count: int, observed_count: int, probability: float) -> float:
    """The PSI that two samples of one distribution exceed with `probability`.

    Yurdakul and Naranjo: PSI / (1/n + 1/m) is near chi-squared with bins - 1 degrees of freedom; its quantile by
    Wilson and Hilferty (1931).
    """
    degrees = bins - 1
    if degrees < 1:
        return 0.0
    z = NormalDist().inv_cdf(1 - probability)
    spread = 2 / (9 * degrees)
    quantile = degrees * max(0.0, 1 - spread + z * sqrt(spread)) ** 3
    return quantile * (1 / expected_count + 1 / observed_count)


def ks_statistic(first: Floats, second: Floats) -> float:
    """The largest distance between the two empirical distribution functions, 0 to 1. Both sorted, neither empty."""
    both = np.concatenate((first, second))
    below_first = np.searchsorted(first, both, side="right") / len(first)
    below_second = np.searchsorted(second, both, side="right") / len(second)
    return float(np.max(np.abs(below_first - below_second)))


def ks_p_value(statistic: float, first_count: int, second_count: int) -> float:
    """How likely a distance of at least `statistic` is when both samples are of one distribution.

    2 sum (-1)^(j-1) exp(-2 j^2 l^2), l = (sqrt n + 0.12 + 0.11 / sqrt n) D, n = n1 n2 / (n1 + n2). It supposes
    independent values: those that follow one another closely look more different than they are.
    """
    root = sqrt(first_count * second_count / (first_count + second_count))
    scaled = (root + 0.12 + 0.11 / root) * statistic
    if scaled < 0.2:
        return 1.0  # to 12 digits, where the series needs many terms
    total = sum((-1) ** (j - 1) * exp(-2 * (j * scaled) ** 2) for j in range(1, KS_TERMS + 1))
    return min(1.0, max(0.0, 2 * total))


@dataclass(frozen=True, slots=True)
class Drift:
    """How far apart two samples are. `psi_excess`: above what chance does one time in 1 / p_value. Counts are those of
    independent observations."""

    psi: float
    psi_excess: float
    ks: float
    ks_p: float
    expected_count: int
    observed_count: int


def measure(
    reference: Reference, observed: Floats, levels: DriftLevels = DriftLevels(), count: int | None = None
) -> Drift:
    """Both measures of `observed` against the reference; `count`: independent observations in it, None: all are.

    InputError when nothing was observed.
    """
    given = _ordered(observed)
    if not len(given):
        raise InputError("observed", 0, "there is nothing to compare", "wait for values")
    independent = count or len(given)
    index = psi(reference, given)
    bins = int(np.count_nonzero(reference.shares))
    excess = max(0.0, index - psi_by_chance(bins, reference.count, independent, levels.p_value))
    distance = ks_statistic(reference.values, given)
    p_value = ks_p_value(distance, reference.count, independent)
    return Drift(index, excess, distance, p_value, reference.count, independent)


def drift_finding(
    key: tuple[str, str], reference: Reference, observed: Floats, levels: DriftLevels, count: int | None = None
) -> Finding:
    """What the measures say of the alert and subject `key`. Too few observations: neither bad nor well."""
    independent = int(np.size(observed)) if count is None else count
    if independent < levels.observed_min:
        return Finding(*key, Ease.HOLDS, f"{independent} of {levels.observed_min} observations needed")
    found = measure(reference, observed, levels, independent)
    state = _state(found, levels)
    numbers = (
        ("psi", found.psi),
        ("psi_excess", found.psi_excess),
        ("ks_distance", found.ks),
        ("ks_p", found.ks_p),
        ("expected_count", float(found.expected_count)),
        ("observed_count", float(found.observed_count)),
    )
    summary = f"PSI {found.psi:.2f}, KS {found.ks:.2f} (p {found.ks_p:.1g}) over the last {independent:,} observations"
    return Finding(*key, state, summary, numbers)


def _state(found: Drift, levels: DriftLevels) -> Severity | Ease:
    """PSI and KS must agree that it is bad; PSI alone says when it is well."""
    by_psi = levels.psi.grade(found.psi_excess)
    return Ease.HOLDS if isinstance(by_psi, Severity) and found.ks_p > levels.p_value else by_psi

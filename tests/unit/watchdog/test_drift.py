"""Drift against hand-worked examples, scipy, and chance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mts1b.foundation.alerts import Ease, Severity
from mts1b.foundation.errors import InputError
from mts1b.watchdog import drift
from mts1b.watchdog.drift import DriftLevels, Floats, Reference, drift_finding, measure
from mts1b.watchdog.grade import Levels

KEY = ("drift_feature", "x")


def test_psi_of_a_worked_example() -> None:
    """Shares 10/20/40/20/10 % against 15/25/30/20/10 %: each bin by hand.

    0.05 ln 1.5 + 0.05 ln 1.25 - 0.10 ln 0.75 + 0 + 0 = 0.020273 + 0.011157 + 0.028768 = 0.060198.
    """
    expected = np.array([0.10, 0.20, 0.40, 0.20, 0.10])
    observed = np.array([0.15, 0.25, 0.30, 0.20, 0.10])
    assert drift.psi_of_shares(expected, observed) == pytest.approx(0.060198, abs=1e-6)


def test_psi_of_values_is_that_of_their_deciles() -> None:
    """1..100 has deciles of ten values each; 51..100 has nothing in the lower five and a fifth in each upper one.

    Five bins (1e-4 - 0.1) ln(1e-4 / 0.1) = 0.690085 each, five (0.2 - 0.1) ln 2 = 0.069315 each: 3.796997.
    """
    reference = Reference.of(np.arange(1.0, 101.0))
    assert reference.shares[:-1] == pytest.approx(np.full(10, 0.1)) and reference.shares[-1] == 0
    assert drift.psi(reference, np.arange(51.0, 101.0)) == pytest.approx(3.796997, abs=1e-6)
    assert drift.psi(reference, np.arange(1.0, 101.0)) == 0.0


samples = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60).map(np.array)


@settings(max_examples=60)
@given(samples, samples)
def test_psi_is_jeffreys_divergence(first: Floats, second: Floats) -> None:
    """Never negative; of two histograms the sum of both Kullback-Leibler divergences (scipy's, which normalises)."""
    reference = Reference.of(first)
    expected = np.maximum(reference.shares, drift.SHARE_MIN)
    observed = np.maximum(drift._shares(drift._ordered(second), reference.edges), drift.SHARE_MIN)
    found = drift.psi(reference, second)
    assert found >= 0
    # the floor makes sums exceed 1 a little: the divergences of what is not normalised
    wanted = np.sum(observed * np.log(observed / expected)) + np.sum(expected * np.log(expected / observed))
    assert found == pytest.approx(wanted, rel=1e-9, abs=1e-12)


@settings(max_examples=60)
@given(samples, samples)
def test_ks_is_scipys(first: Floats, second: Floats) -> None:
    wanted = stats.ks_2samp(first, second, method="asymp").statistic
    assert drift.ks_statistic(np.sort(first), np.sort(second)) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize(("n", "m"), [(20, 252), (60, 252), (200, 300)])
@pytest.mark.parametrize("shift", [0.0, 0.2, 0.4, 0.6, 0.8])
def test_ks_p_values_are_near_the_exact_ones(n: int, m: int, shift: float) -> None:
    """Within a tenth of scipy's exact two-sample p-value: near enough to decide at 0.001."""
    rng = np.random.default_rng(n)
    first, second = rng.normal(shift, 1, n), rng.normal(0, 1, m)
    exact = stats.ks_2samp(first, second, method="exact")
    assert drift.ks_p_value(float(exact.statistic), n, m) == pytest.approx(exact.pvalue, rel=0.1, abs=1e-12)


def test_ks_p_value_at_the_ends() -> None:
    assert drift.ks_p_value(0.0, 50, 50) == 1.0
    assert drift.ks_p_value(1.0, 200, 200) < 1e-40
    values = [drift.ks_p_value(d / 100, 40, 60) for d in range(101)]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("degrees", [1, 4, 9, 19])
@pytest.mark.parametrize("probability", [0.05, 1e-3])
def test_what_chance_does_is_chi_squared(degrees: int, probability: float) -> None:
    wanted = stats.chi2.isf(probability, degrees) * (1 / 300 + 1 / 200)
    assert drift.psi_by_chance(degrees + 1, 300, 200, probability) == pytest.approx(wanted, rel=0.04)


def test_chance_alone_raises_nothing_and_a_shift_does() -> None:
    """300 pairs of samples of one distribution: no alert. Shifted by one deviation: every one critical."""
    rng, levels = np.random.default_rng(5), DriftLevels()
    reference = Reference.of(rng.normal(size=2_000))
    still = [drift_finding(KEY, reference, rng.normal(size=200), levels) for _ in range(300)]
    assert {finding.state for finding in still} == {Ease.WELL}
    moved = [drift_finding(KEY, reference, rng.normal(1, 1, size=200), levels) for _ in range(20)]
    assert {finding.state for finding in moved} == {Severity.CRITICAL}
    wider = drift_finding(KEY, reference, rng.normal(0, 2.5, size=500), levels)
    assert wider.severity is not None and dict(wider.numbers)["observed_count"] == 500


def test_values_that_stop_coming_have_drifted() -> None:
    rng = np.random.default_rng(6)
    reference = Reference.of(rng.normal(size=1_000))
    found = measure(reference, np.where(rng.random(400) < 0.5, np.nan, rng.normal(size=400)))
    assert found.psi > 1 and found.ks == pytest.approx(0.5, abs=0.08)


def test_too_few_values_say_nothing() -> None:
    reference = Reference.of(np.arange(100.0))
    finding = drift_finding(KEY, reference, np.full(19, 1e9), DriftLevels(observed_min=20))
    assert finding.state is Ease.HOLDS and "19 of 20" in finding.summary


def test_names_that_move_together_are_one_observation() -> None:
    """Twenty bars of a hundred names that all fell by a deviation: 2,000 values, of which twenty are news."""
    rng, levels = np.random.default_rng(9), DriftLevels()
    bars = rng.normal(size=(252, 1)) + 0.1 * rng.normal(size=(252, 100))
    reference = Reference.of(bars, count=252)
    lately = rng.normal(-0.2, 1, size=(20, 1)) + 0.1 * rng.normal(size=(20, 100))
    assert drift_finding(KEY, Reference.of(bars), lately, levels).severity is Severity.CRITICAL
    assert drift_finding(KEY, reference, lately, levels, 20).severity is None
    assert drift_finding(KEY, reference, lately - 3, levels, 20).severity is Severity.CRITICAL


def test_a_feature_of_few_values_has_few_bins() -> None:
    reference = Reference.of(np.repeat([0.0, 1.0], 500))
    assert len(reference.edges) <= 3
    assert drift.psi(reference, np.repeat([0.0, 1.0], 50)) == pytest.approx(0, abs=1e-12)
    assert drift.psi(reference, np.zeros(100)) > 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: Reference.of(np.array([np.nan])),
        lambda: DriftLevels(p_value=0),
        lambda: DriftLevels(bins=1),
        lambda: Levels(2, 1),
        lambda: measure(Reference.of(np.arange(9.0)), np.array([])),
    ],
)
def test_what_cannot_be_is_refused(make: object) -> None:
    with pytest.raises(InputError):
        make()  # type: ignore[operator]

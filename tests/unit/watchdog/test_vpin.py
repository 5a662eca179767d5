"""VPIN against an example worked by hand, and what must hold of every tape."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mts1b.foundation.alerts import Ease, Severity
from mts1b.foundation.clock import NS_PER_DAY, NS_PER_S
from mts1b.foundation.errors import InputError
from mts1b.watchdog.flow import Flow, FlowTerms, History
from mts1b.watchdog.vpin import Sigma, Vpin, bought_share

BARS = [(1.0, 60.0), (0.0, 60.0), (-2.0, 40.0), (0.5, 140.0)]
"""Price change and volume, with s = 1 and buckets of 100."""


def test_a_tape_worked_by_hand() -> None:
    """Z(1) = 0.8413447, Z(0) = 0.5, Z(-2) = 0.0227501, Z(0.5) = 0.6914625.

    Bucket 1: 60 of bar 1, 40 of bar 2: bought 60 x 0.8413447 + 40 x 0.5 = 70.480683; |100 - 2 x 70.480683| = 40.961366.
    Bucket 2: 20 of bar 2, 40 of bar 3, 40 of bar 4: bought 10 + 0.910005 + 27.658499 = 38.568504; imbalance 22.862992.
    Bucket 3: 100 of bar 4: bought 69.146246; imbalance 38.292492.
    VPIN over 3: (40.961366 + 22.862992 + 38.292492) / 300 = 0.340390; over the last 2: 0.305777.
    """
    for buckets, wanted in ((3, 0.340390), (2, 0.305777)):
        vpin = Vpin(100.0, buckets, sigma=1.0)
        assert [vpin.take(*bar) for bar in BARS] == [0, 1, 0, 2]
        assert vpin.value == pytest.approx(wanted, abs=1e-6)


def test_nothing_is_said_before_the_buckets_are_full() -> None:
    vpin = Vpin(100.0, 4, sigma=1.0)
    for bar in BARS:
        vpin.take(*bar)
    assert vpin.value is None and not vpin.is_ready


def in_one_go(bars: list[tuple[float, float]], size: float, buckets: int, sigma: float) -> float | None:
    """The paper's algorithm as it is written there: every bar as many times as its volume, cut into buckets."""
    share = np.repeat([stats.norm.cdf(change / sigma) for change, _ in bars], [int(volume) for _, volume in bars])
    whole = int(len(share) // size)
    bought = share[: whole * int(size)].reshape(whole, int(size)).sum(axis=1)[-buckets:]
    return None if whole < buckets else float(np.abs(size - 2 * bought).sum() / (buckets * size))


tapes = st.lists(st.tuples(st.floats(-5, 5), st.integers(0, 120).map(float)), min_size=1, max_size=80)


@settings(max_examples=80)
@given(tapes, st.integers(1, 200), st.integers(1, 6), st.floats(0.1, 3))
def test_bar_by_bar_is_the_papers_algorithm(
    bars: list[tuple[float, float]], size: int, buckets: int, sigma: float
) -> None:
    vpin = Vpin(float(size), buckets, sigma)
    for bar in bars:
        vpin.take(*bar)
    wanted = in_one_go(bars, float(size), buckets, sigma)
    assert (vpin.value is None) == (wanted is None)
    if wanted is not None:
        assert vpin.value == pytest.approx(wanted, abs=1e-9)


@settings(max_examples=80)
@given(tapes, st.floats(0.5, 500), st.integers(-20, 20))
def test_it_is_a_share_and_knows_no_unit_of_volume(bars: list[tuple[float, float]], size: float, power: int) -> None:
    """Volume in other units is the same trading, to the bit where a unit is a power of two of the other."""
    scale = 2.0**power
    one, scaled = Vpin(size, 3), Vpin(size * scale, 3)
    for change, volume in bars:
        one.take(change, volume)
        scaled.take(change, volume * scale)
    assert one.value is None or 0.0 <= one.value <= 1.0
    assert (one.value, one.filled) == (scaled.value, scaled.filled)


def test_all_one_way_is_one_and_no_move_is_nothing() -> None:
    up, still = Vpin(10.0, 5, sigma=0.01), Vpin(10.0, 5, sigma=0.01)
    for _ in range(20):
        up.take(1.0, 5.0)
        still.take(0.0, 5.0)
    assert up.value == pytest.approx(1.0) and still.value == 0.0


def test_a_bar_of_many_buckets_costs_no_more_than_the_last_ones() -> None:
    vpin = Vpin(1.0, 50, sigma=1.0)
    assert vpin.take(1.0, 1e9) == pytest.approx(1e9, abs=2)
    assert vpin.value == pytest.approx(2 * stats.norm.cdf(1) - 1)


@pytest.mark.parametrize("bar", [(float("nan"), 1.0), (1.0, float("nan")), (float("inf"), 1.0), (1.0, -1.0)])
def test_a_bar_that_is_no_number_is_left_out(bar: tuple[float, float]) -> None:
    vpin = Vpin(1.0, 1, sigma=1.0)
    assert vpin.take(*bar) == 0 and vpin.take(0.0, 1.0) == 1


def test_without_a_deviation_the_sign_decides() -> None:
    assert [bought_share(change, 0.0) for change in (-1.0, 0.0, 1.0)] == [0.0, 0.5, 1.0]
    assert bought_share(0.7, 1.4) == pytest.approx(stats.norm.cdf(0.5), abs=1e-12)


@settings(max_examples=40)
@given(st.lists(st.floats(-100, 100), min_size=1, max_size=60), st.integers(2, 20))
def test_sigma_is_that_of_the_last_changes(changes: list[float], bars: int) -> None:
    sigma = Sigma(bars)
    for count in range(1, len(changes) + 1):
        found = sigma.take(changes[count - 1])
        assert found == pytest.approx(np.std(changes[max(0, count - bars) : count]), abs=1e-5)


def test_sizes_that_cannot_be_are_refused() -> None:
    for size in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="bucket_volume"):
            Vpin(size)
    with pytest.raises(InputError):
        Vpin(1.0, 0)


@settings(max_examples=40)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=50), st.integers(1, 20))
def test_a_rank_is_the_share_of_smaller_values_held(values: list[float], held: int) -> None:
    history = History(held)
    for value in values:
        history.add(value)
    kept = values[-held:]
    assert len(history) == len(kept)
    assert history.rank(0.5) == sum(value < 0.5 for value in kept) / len(kept)
    assert all(a <= b for a, b in pairwise(history._by_size))


MINUTE = 60 * NS_PER_S


def tape(flow: Flow, day: int, drift: float, rng: np.random.Generator, minutes: int = 390) -> None:
    """A day of minutes: volume about 1,000 each, prices a random walk with `drift` deviations a minute."""
    close = 100.0
    for minute in range(minutes):
        close += float(rng.normal(drift, 1.0)) * 0.05
        flow.take(day * NS_PER_DAY + minute * MINUTE, close, float(rng.integers(800, 1_200)))


def test_a_toxic_tape_raises_and_a_calm_one_clears() -> None:
    rng, flow = np.random.default_rng(1), Flow("AAPL")
    assert flow.finding().state is Ease.HOLDS
    for day in range(4):
        tape(flow, day, 0.0, rng)
    assert flow.finding().state is Ease.WELL
    tape(flow, 4, 4.0, rng)  # everybody sells to nobody: the price runs away minute after minute
    toxic = flow.finding()
    assert toxic.state is Severity.CRITICAL and dict(toxic.numbers)["rank"] > 0.99
    tape(flow, 5, 0.0, rng)
    assert flow.finding().state is Ease.WELL


def test_a_rank_alone_raises_once_there_is_history_enough() -> None:
    rng = np.random.default_rng(2)
    terms = FlowTerms(history_min=100, rank_floor=0.15)
    flow = Flow("AAPL", terms)
    for day in range(4):
        tape(flow, day, 0.0, rng)
    tape(flow, 4, 0.55, rng, minutes=250)
    found = flow.finding()
    assert found.severity is not None and dict(found.numbers)["vpin"] < terms.level.warning


def test_buckets_are_a_fiftieth_of_a_days_volume() -> None:
    flow = Flow("AAPL", FlowTerms(buckets=10))
    flow.take(0, 100.0, 500.0)
    flow.take(MINUTE, 100.0, 500.0)
    assert flow.vpin is None
    for minute in range(10):
        flow.take(NS_PER_DAY + minute * MINUTE, 100.0, 20.0)
        assert (flow.vpin is None) == (minute < 9)

"""PBO by CSCV: the paper's limits, the readable definition, and that streaming changes nothing."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mts1b.quantkit import metrics
from mts1b.quantkit.blocks import block_rows
from mts1b.quantkit.cscv import Cscv, block_edges, overfitting, scores, split_count, splits_of, usable_blocks


def sums_of(returns, blocks):
    """Sums, squares [S, N] and bars [S] of returns [N, T]."""
    edges = block_edges(returns.shape[1], blocks)
    rows = block_rows(returns, edges)
    return rows[0], rows[1], np.diff(edges)


def plainly(returns, blocks) -> float:
    """PBO by its definition, from returns [N, T]."""
    edges = block_edges(returns.shape[1], blocks)
    parts = [returns[:, a:b] for a, b in itertools.pairwise(edges)]
    found = []
    for chosen in itertools.combinations(range(blocks), blocks // 2):
        rest = [block for block in range(blocks) if block not in chosen]
        inside, outside = (metrics.sharpe(np.concatenate([parts[b] for b in s], axis=1)) for s in (chosen, rest))
        value = outside[np.argmax(inside)]
        rank = (outside < value).sum() + ((outside == value).sum() + 1) / 2
        share = rank / (len(returns) + 1)
        found.append((share < 0.5) + 0.5 * (share == 0.5))
    return float(np.mean(found))


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 150), st.sampled_from([4, 6]), st.integers(0, 99))
def test_it_is_the_definition(trials, blocks, seed) -> None:
    rng = np.random.default_rng(seed)
    returns = rng.normal(0.0, 0.01, (trials, 61)) + rng.normal(0.0, 0.001, (trials, 1))
    sums, squares, bars = sums_of(returns, blocks)
    assert overfitting([(sums, squares)], bars).pbo == pytest.approx(plainly(returns, blocks))


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 200), st.integers(1, 70), st.integers(0, 99))
def test_the_parts_do_not_matter(trials, part, seed) -> None:
    sums, squares, bars = sums_of(np.random.default_rng(seed).normal(0.0, 0.01, (trials, 90)), 8)
    parts = [(sums[:, i : i + part], squares[:, i : i + part]) for i in range(0, trials, part)]
    assert overfitting(parts, bars) == overfitting([(sums, squares)], bars)


def test_the_compiled_choice_is_the_readable_one() -> None:
    sums, squares, bars = sums_of(np.random.default_rng(2).normal(0.0, 0.01, (130, 100)), 8)
    readable, run = scores(sums, squares, bars), Cscv(bars)
    run.choose(sums, squares)
    np.testing.assert_allclose(run.best, readable.max(axis=1), rtol=1e-12)
    np.testing.assert_allclose(
        run.outside, readable[::-1][np.arange(len(readable)), readable.argmax(axis=1)], rtol=1e-12
    )


def test_the_order_is_that_of_sharpe_ratios() -> None:
    returns = np.random.default_rng(3).normal(0.0, 0.01, (20, 80))
    found = scores(*sums_of(returns, 4))
    first = returns[:, :40]  # the first split takes the first two of four blocks
    np.testing.assert_array_equal(np.argsort(found[0]), np.argsort(metrics.sharpe(first)))
    sharpe = np.sign(found[0]) * np.sqrt(np.abs(found[0]) * 39 / 40 * 252)  # ddof 1, a year
    np.testing.assert_allclose(sharpe, metrics.sharpe(first), rtol=1e-9)


def test_noise_tends_to_a_half() -> None:
    """16 blocks: the winner in-sample is anywhere out-of-sample."""
    found = []
    for seed in range(12):
        returns = np.random.default_rng(seed).normal(0.0, 0.01, (100, 640))
        found.append(overfitting([sums_of(returns, 16)[:2]], sums_of(returns, 16)[2]).pbo)
    assert np.mean(found) == pytest.approx(0.5, abs=0.12)


def test_a_trial_that_dominates_every_block_gives_0() -> None:
    returns = np.random.default_rng(5).normal(0.0, 0.01, (50, 640))
    returns[17] = 0.02 + 0.1 * returns[17]
    found = overfitting([sums_of(returns, 16)[:2]], sums_of(returns, 16)[2])
    assert (found.pbo, found.loss, found.splits, found.trials) == (0.0, 0.0, 12_870, 50)


def test_equal_trials_say_nothing() -> None:
    returns = np.tile(np.random.default_rng(6).normal(0.0, 0.01, 64), (10, 1))
    sums, squares, bars = sums_of(returns, 4)
    assert overfitting([(sums, squares)], bars).pbo == 0.5
    assert overfitting([(sums[:, :1], squares[:, :1])], bars) is None


def test_a_flat_trial_scores_0() -> None:
    returns = np.stack([np.full(40, 0.01), np.zeros(40), np.random.default_rng(0).normal(0, 0.01, 40)])
    sums, squares, bars = sums_of(returns, 4)
    rounded = (table.astype(np.float32).astype(np.float64) for table in (sums, squares))
    assert (scores(*rounded, bars)[:, :2] == 0.0).all()


def test_splits_and_their_complements() -> None:
    masks = splits_of(8)
    assert len(masks) == split_count(8) == math.comb(8, 4)
    assert (masks ^ masks[::-1] == 255).all()


@pytest.mark.parametrize(
    ("bars", "wanted", "blocks"), [(2520, 16, 16), (60, 16, 14), (19, 16, 4), (15, 16, 0), (99, 3, 0)]
)
def test_usable_blocks(bars, wanted, blocks) -> None:
    assert usable_blocks(bars, wanted) == blocks

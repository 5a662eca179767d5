"""Windows, folds, what is purged between them, and the paths they join into."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mts1b.foundation.errors import InputError
from mts1b.research.folds import Cuts, Fold, Validation, combinatorial_folds, recombined, rolling_folds


def bars_of(spans) -> list[int]:
    return [bar for start, stop in spans for bar in range(start, stop)]


def simple(train, test) -> Fold:
    return Fold((train,), (test,))


def test_windows_roll_by_the_test_length() -> None:
    expected = (simple((0, 50), (50, 70)), simple((20, 70), (70, 90)), simple((40, 90), (90, 100)))
    assert rolling_folds(100, 50, 20) == expected == Validation(train=50, test=20).cut(100)


def test_an_anchored_train_begins_at_the_first_bar() -> None:
    expected = (simple((0, 50), (50, 70)), simple((0, 70), (70, 90)), simple((0, 90), (90, 100)))
    assert Validation("anchored", 50, 20).cut(100) == expected


def test_purge_and_embargo_lie_between() -> None:
    assert rolling_folds(100, 50, 30, 5)[0] == simple((0, 50), (55, 85))
    assert Validation(train=50, test=30, purge=2, embargo=3).cut(100) == rolling_folds(100, 50, 30, 5)


def test_ten_years_of_days_have_seven_folds() -> None:
    assert len(rolling_folds(2518, 756, 252)) == 7


@given(st.integers(10, 3_000), st.integers(2, 800), st.integers(2, 300), st.integers(0, 30), st.booleans())
def test_tests_follow_their_train_and_join_up(bars, train, test, gap, anchored) -> None:
    try:
        folds = rolling_folds(bars, train, test, gap, anchored)
    except InputError as error:
        assert bars < train + gap + max(test / 2, 2) or "folds, over" in error.problem
        return
    for fold in folds:
        (begin, end), (start, stop) = fold.train[0], fold.test[0]
        assert begin == 0 if anchored else end - begin == train
        assert end + gap == start < stop <= bars
    for earlier, later in itertools.pairwise(folds):
        assert earlier.test[0][1] == later.test[0][0]


@pytest.mark.parametrize(
    ("purge", "embargo", "trains"),
    [
        (0, 0, [[8, 9, 10, 11], [4, 5, 6, 7], [0, 1, 2, 3]]),
        (1, 0, [[9, 10, 11], [5, 6], [0, 1, 2]]),
        (0, 1, [[9, 10, 11], [5, 6, 7], [0, 1, 2, 3]]),
    ],
)
def test_twelve_bars_as_skfolio_cuts_them(purge, embargo, trains) -> None:
    folds = combinatorial_folds(12, 3, 2, purge, embargo)
    assert [bars_of(fold.train) for fold in folds] == trains
    assert [fold.test for fold in folds] == [((0, 4), (4, 8)), ((0, 4), (8, 12)), ((4, 8), (8, 12))]
    assert len(recombined(folds)) == 2


def test_five_folds_two_tested_are_10_splits_and_4_paths() -> None:
    folds = combinatorial_folds(100, 5, 2)
    assert (len(folds), len(recombined(folds))) == (10, 4)


@given(st.integers(3, 8), st.data(), st.integers(0, 4), st.integers(0, 4))
def test_paths_cover_every_bar_once_and_tests_stay_out_of_train(count, data, purge, embargo) -> None:
    tested = data.draw(st.integers(1, count - 1))
    bars = data.draw(st.integers(count * 11, 200))
    folds = combinatorial_folds(bars, count, tested, purge, embargo)
    assert len(folds) == math.comb(count, tested)
    paths = recombined(folds)
    assert len(paths) == math.comb(count - 1, tested - 1)
    for path in paths:
        assert bars_of(piece.span for piece in path) == list(range(bars))
        assert all(piece.span in folds[piece.fold].test for piece in path)
    assert len({piece for path in paths for piece in path}) == len(folds) * tested  # each test is used once
    for fold in folds:
        train, test = set(bars_of(fold.train)), bars_of(fold.test)
        near = {bar + step for bar in test for step in range(-purge, purge + embargo + 1)}
        assert train.isdisjoint(near) and train | near >= set(range(bars))


def test_kfold_judges_each_part_once() -> None:
    folds = Validation("kfold", folds=4, purge=1).cut(42)
    assert [fold.test for fold in folds] == [((0, 10),), ((10, 20),), ((20, 30),), ((30, 42),)]
    assert folds[1].train == ((0, 9), (21, 42)) and len(recombined(folds)) == 1


def test_rolling_windows_are_one_path() -> None:
    (path,) = recombined(rolling_folds(100, 50, 20))
    assert [(piece.fold, piece.span) for piece in path] == [(0, (50, 70)), (1, (70, 90)), (2, (90, 100))]


def test_cuts_make_spans_of_blocks() -> None:
    folds = combinatorial_folds(60, 4, 2, purge_bars=2, embargo_bars=1)
    cuts = Cuts.at(60, folds, more=[0, 17, 60])
    assert cuts.edges[0] == 0 and cuts.edges[-1] == 60 == int(cuts.bars.sum()) and 17 in cuts.edges
    for fold in folds:
        for spans in (fold.train, fold.test):
            blocks = [(cuts.edges[k], cuts.edges[k + 1]) for k in cuts.inside(spans)]
            assert bars_of(blocks) == bars_of(spans)
    assert np.array_equal(Cuts.at(9, ()).bars, [9])


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ((100, 1, 20), "train_bars"),
        ((100, 50, 0), "test_bars"),
        ((100, 50, 20, -1), "embargo_bars"),
        ((100, 100, 20), "train_bars"),
        ((100_000, 10, 2), "test_bars"),
    ],
)
def test_bad_windows(arguments, field) -> None:
    with pytest.raises(InputError) as caught:
        rolling_folds(*arguments)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("validation", "field"),
    [
        (Validation("sideways"), "scheme"),
        (Validation("kfold", folds=2), "folds"),
        (Validation("kfold", folds=60), "folds"),
        (Validation("kfold", folds=5, purge=15, embargo=10), "folds"),
        (Validation("combinatorial", test_folds=1), "test_folds"),
        (Validation("combinatorial", folds=4, test_folds=4), "test_folds"),
        (Validation("combinatorial", folds=30, test_folds=10), "folds"),
        (Validation(purge=-1), "purge_bars"),
        (Validation("kfold", embargo=-1), "embargo_bars"),
    ],
)
def test_bad_validation(validation, field) -> None:
    with pytest.raises(InputError) as caught:
        validation.cut(100)
    assert caught.value.field == field

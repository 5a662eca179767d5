"""Walk-forward windows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mts1b.foundation.errors import InputError
from mts1b.research.folds import Fold, rolling_folds


def test_windows_roll_by_the_test_length() -> None:
    assert rolling_folds(100, 50, 20) == (Fold((0, 50), (50, 70)), Fold((20, 70), (70, 90)), Fold((40, 90), (90, 100)))


def test_an_embargo_lies_between() -> None:
    assert rolling_folds(100, 50, 30, 5)[0] == Fold((0, 50), (55, 85))


def test_ten_years_of_days_have_seven_folds() -> None:
    assert len(rolling_folds(2518, 756, 252)) == 7


@given(st.integers(10, 3_000), st.integers(2, 800), st.integers(2, 300), st.integers(0, 30))
def test_tests_follow_their_train_and_join_up(bars, train, test, embargo) -> None:
    try:
        folds = rolling_folds(bars, train, test, embargo)
    except InputError:
        assert bars < train + embargo + max(test / 2, 2)
        return
    for fold in folds:
        assert fold.train[0] >= 0 and fold.train[1] - fold.train[0] == train
        assert fold.train[1] + embargo == fold.test[0] < fold.test[1] <= bars
    for earlier, later in zip(folds, folds[1:], strict=False):
        assert earlier.test[1] == later.test[0]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ((100, 1, 20), "train_bars"),
        ((100, 50, 0), "test_bars"),
        ((100, 50, 20, -1), "embargo_bars"),
        ((100, 100, 20), "train_bars"),
    ],
)
def test_bad_windows(arguments, field) -> None:
    with pytest.raises(InputError) as caught:
        rolling_folds(*arguments)
    assert caught.value.field == field

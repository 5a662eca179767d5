"""Rolling walk-forward windows: choose on the past, judge on what came next."""

from __future__ import annotations

from dataclasses import dataclass

from mts1b.foundation.errors import InputError

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Fold:
    """Bar numbers [start, stop) to choose parameters on, and the later ones to judge the choice on."""

    train: Span
    test: Span


def rolling_folds(bars: int, train_bars: int, test_bars: int, embargo_bars: int = 0) -> tuple[Fold, ...]:
    """Windows that roll forward by `test_bars` through `bars` bars, so that the tests join up without overlap.

    `embargo_bars` are left out between train and test. A last test of at least half the length is kept. InputError
    when a length is not positive or no fold fits.
    """
    for field, value in (("train_bars", train_bars), ("test_bars", test_bars)):
        if value < 2:
            raise InputError(field, value, "a window needs two bars to have a spread", "give 2 or more")
    if embargo_bars < 0:
        raise InputError("embargo_bars", embargo_bars, "is negative", "give 0 or more")
    folds = []
    start = train_bars + embargo_bars
    while bars - start >= max(test_bars / 2, 2):
        train_stop = start - embargo_bars
        folds.append(Fold((train_stop - train_bars, train_stop), (start, min(start + test_bars, bars))))
        start += test_bars
    if not folds:
        needed = train_bars + embargo_bars + max((test_bars + 1) // 2, 2)
        raise InputError(
            "train_bars", train_bars, f"no fold fits: {needed} bars are needed, there are {bars}", "use shorter windows"
        )
    return tuple(folds)

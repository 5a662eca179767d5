"""Cross-validation over time: bars to choose parameters on, bars to judge the choice on, and how the latter join.

Rolling and anchored walk-forward judge on what came after. Purged k-fold and its combinatorial form (Lopez de Prado,
"Advances in Financial Machine Learning", 2018, chapters 7 and 12) also train on what came later: every bar is judged,
in the combinatorial form along several paths, and bars next to a test are left out of training.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mts1b.foundation.errors import InputError, unknown_name
from mts1b.foundation.limits import FOLDS_MAX

Span = tuple[int, int]

SCHEMES = ("rolling", "anchored", "kfold", "combinatorial")


@dataclass(frozen=True, slots=True)
class Fold:
    """Spans of bar numbers [start, stop), in order: those to choose parameters on, those to judge the choice on."""

    train: tuple[Span, ...]
    test: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Validation:
    """How to cut the history, lengths in bars.

    rolling, anchored: choose on `train` bars (anchored: on all bars from the first), judge on the next `test`, go on by
    `test`. kfold: cut into `folds`, judge each, choose on the others; combinatorial: judge every `test_folds` of them.
    `purge` bars are left out of training next to a test, on both sides, and another `embargo` bars after it; in the
    rolling and anchored schemes both lie between train and test.
    """

    scheme: str = "rolling"
    train: int = 756
    test: int = 252
    purge: int = 0
    embargo: int = 0
    folds: int = 10
    test_folds: int = 2

    def cut(self, bars: int) -> tuple[Fold, ...]:
        """The folds of a history of `bars` bars. InputError for lengths that do not fit, a scheme that is unknown."""
        for field, value in (("purge_bars", self.purge), ("embargo_bars", self.embargo)):
            if value < 0:
                raise InputError(field, value, "is negative", "give 0 or more")
        if self.scheme in ("rolling", "anchored"):
            gap = self.purge + self.embargo
            return rolling_folds(bars, self.train, self.test, gap, anchored=self.scheme == "anchored")
        if self.scheme == "kfold":
            return combinatorial_folds(bars, self.folds, 1, self.purge, self.embargo)
        if self.scheme == "combinatorial":
            if self.test_folds < 2:
                raise InputError("test_folds", self.test_folds, "is kfold below 2", "give 2 or more, or --scheme kfold")
            return combinatorial_folds(bars, self.folds, self.test_folds, self.purge, self.embargo)
        raise unknown_name("scheme", self.scheme, SCHEMES)


def rolling_folds(
    bars: int, train_bars: int, test_bars: int, gap_bars: int = 0, anchored: bool = False
) -> tuple[Fold, ...]:
    """Windows that roll forward by `test_bars` through `bars` bars, so that the tests join up without overlap.

    `gap_bars` are left out between train and test. Anchored trains begin at the first bar and grow. A last test of at
    least half the length is kept. InputError when a length is not positive or no fold fits.
    """
    for field, value in (("train_bars", train_bars), ("test_bars", test_bars)):
        if value < 2:
            raise InputError(field, value, "a window needs two bars to have a spread", "give 2 or more")
    if gap_bars < 0:
        raise InputError("embargo_bars", gap_bars, "is negative", "give 0 or more")
    folds = []
    start = train_bars + gap_bars
    while bars - start >= max(test_bars / 2, 2):
        stop = start - gap_bars
        train = (0 if anchored else stop - train_bars, stop)
        folds.append(Fold((train,), ((start, min(start + test_bars, bars)),)))
        start += test_bars
    if not folds:
        needed = train_bars + gap_bars + max((test_bars + 1) // 2, 2)
        raise InputError(
            "train_bars", train_bars, f"no fold fits: {needed} bars are needed, there are {bars}", "use shorter windows"
        )
    if len(folds) > FOLDS_MAX:
        raise InputError("test_bars", test_bars, f"gives {len(folds)} folds, over {FOLDS_MAX}", "use longer tests")
    return tuple(folds)


def combinatorial_folds(
    bars: int, folds: int, test_folds: int, purge_bars: int = 0, embargo_bars: int = 0
) -> tuple[Fold, ...]:
    """Every choice of `test_folds` of `folds` equal parts (the last takes the rest) as tests, the others as train.

    Of the train, `purge_bars` are left out before and after each test, and another `embargo_bars` after it.
    InputError when the parts are too short or their choices too many.
    """
    if folds < 3:
        raise InputError("folds", folds, "leaves too little to train on", "give 3 or more")
    if not 1 <= test_folds < folds:
        raise InputError("test_folds", test_folds, "must be fewer than folds", f"give 1 to {folds - 1}")
    count = math.comb(folds, test_folds)
    if count > FOLDS_MAX:
        raise InputError("folds", folds, f"gives {count:,} splits, over {FOLDS_MAX}", "use fewer folds")
    size = bars // folds
    if purge_bars + embargo_bars >= size - 1:
        problem = f"a fold has {size} bars, {purge_bars + embargo_bars} of them purged"
        raise InputError("folds", folds, problem, "use fewer folds or purge less")
    parts = [(k * size, (k + 1) * size if k < folds - 1 else bars) for k in range(folds)]
    chosen = itertools.combinations(range(folds), test_folds)
    return tuple(_split(bars, parts, tests, purge_bars, embargo_bars) for tests in chosen)


def _split(bars: int, parts: list[Span], tests: Sequence[int], purge: int, embargo: int) -> Fold:
    kept = np.ones(bars, dtype=bool)
    for k in tests:
        start, stop = parts[k]
        kept[max(start - purge, 0) : min(stop + purge + embargo, bars)] = False
    edges = np.flatnonzero(np.diff(kept.astype(np.int8), prepend=0, append=0))
    train = tuple((int(a), int(b)) for a, b in edges.reshape(-1, 2))
    return Fold(train, tuple(parts[k] for k in tests))


@dataclass(frozen=True, slots=True)
class Piece:
    """A test span of one fold, on its way into a path."""

    fold: int
    span: Span


def recombined(folds: Sequence[Fold]) -> tuple[tuple[Piece, ...], ...]:
    """The tests joined into paths that each cover every tested bar once: path j takes each span's j-th fold."""
    by_span: dict[Span, list[int]] = {}
    for number, fold in enumerate(folds):
        for span in fold.test:
            by_span.setdefault(span, []).append(number)
    spans = sorted(by_span)
    return tuple(tuple(Piece(by_span[span][j], span) for span in spans) for j in range(len(by_span[spans[0]])))


@dataclass(frozen=True, slots=True)
class Cuts:
    """A history cut into blocks at `edges`, from the first bar to the last, so fine that spans are unions of blocks."""

    edges: tuple[int, ...]

    @classmethod
    def at(cls, bars: int, folds: Sequence[Fold], more: Sequence[int] = ()) -> Cuts:
        """Cut wherever a span of `folds` begins or ends, and at `more` edges."""
        spans = (span for fold in folds for span in (*fold.train, *fold.test))
        return cls(tuple(sorted({0, bars, *more, *(edge for span in spans for edge in span)})))

    @property
    def bars(self) -> NDArray[np.int64]:
        """Length of each block, [K]."""
        edges = np.array(self.edges, dtype=np.int64)
        return edges[1:] - edges[:-1]

    def inside(self, spans: Sequence[Span]) -> list[int]:
        """The blocks that make up `spans`, in order."""
        places = {edge: place for place, edge in enumerate(self.edges)}
        return [block for start, stop in spans for block in range(places[start], places[stop])]

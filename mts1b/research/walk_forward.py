"""Cross-validation: what each fold's train bars chose, judged on its tests, which are joined into paths."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mts1b.foundation.clock import from_ns
from mts1b.foundation.errors import InputError
from mts1b.quantkit import metrics
from mts1b.quantkit.overfitting import probabilistic_sharpe
from mts1b.research.curves import returns_of
from mts1b.research.folds import Piece, Span, recombined
from mts1b.research.plan import SweepSpec
from mts1b.research.reduction import Row, fold_metrics
from mts1b.research.summary import FoldResult, PathResult, WalkForwardSummary
from mts1b.strategy.panel import Panel

Floats = NDArray[np.float64]


def judge_folds(spec: SweepSpec, panel: Panel, choices: Sequence[Row]) -> WalkForwardSummary:
    """Sum up the folds from the row each train chose. InputError when a train chose none.

    The strategy runs through the whole history with the chosen parameters, and a test takes its own bars out of that
    run: it begins with the positions the strategy would have held, not with none.
    """
    if len(choices) < len(spec.folds):
        raise InputError("train_bars", len(spec.folds), "a fold has no combination with a Sharpe ratio", "widen it")
    params = [{name: row[name] for name in spec.strategy.params} for row in choices]
    results = tuple(
        FoldResult(
            train_dates=_dates(panel, (fold.train[0][0], fold.train[-1][1])),
            tests=tuple(_dates(panel, span) for span in fold.test),
            params=params[place],
            train=fold_metrics(choices[place], place, "train"),
            test=fold_metrics(choices[place], place, "test"),
        )
        for place, fold in enumerate(spec.folds)
    )
    paths = recombined(spec.folds)
    returns = _path_returns(spec, panel, params, paths)
    joined = returns.mean(axis=0)
    sharpe = float(metrics.sharpe(joined))
    return WalkForwardSummary(
        folds=results,
        paths=tuple(_path_result(path, own) for path, own in zip(paths, returns, strict=True)),
        sharpe=sharpe,
        total_return=float(metrics.total_return(joined)),
        max_drawdown=float(metrics.max_drawdown(joined)),
        probabilistic_sharpe=probabilistic_sharpe(
            sharpe / math.sqrt(metrics.BARS_PER_YEAR),
            0.0,
            len(joined),
            float(metrics.skewness(joined)),
            float(metrics.kurtosis(joined)),
        ),
        ts_ns=np.concatenate([panel.ts_ns[slice(*piece.span)] for piece in paths[0]]),
        returns=joined,
    )


def _path_returns(
    spec: SweepSpec, panel: Panel, params: Sequence[dict[str, float]], paths: Sequence[Sequence[Piece]]
) -> Floats:
    """Returns of each path, [paths, N]. Folds that chose the same share one run."""
    distinct = list({tuple(values.items()): values for values in params}.values())
    place = {tuple(values.items()): i for i, values in enumerate(distinct)}
    curves = returns_of(spec.strategy, distinct, panel, spec.execution, spec.backend)
    of_fold = [curves[place[tuple(values.items())]] for values in params]
    return np.stack([np.concatenate([of_fold[piece.fold][slice(*piece.span)] for piece in path]) for path in paths])


def _path_result(path: Sequence[Piece], returns: Floats) -> PathResult:
    return PathResult(
        folds=tuple(piece.fold for piece in path),
        sharpe=float(metrics.sharpe(returns)),
        total_return=float(metrics.total_return(returns)),
        max_drawdown=float(metrics.max_drawdown(returns)),
    )


def _dates(panel: Panel, span: Span) -> tuple[str, str]:
    first, last = (from_ns(int(panel.ts_ns[place])).date().isoformat() for place in (span[0], span[1] - 1))
    return first, last

"""Walk-forward: what each train window chose, judged on the bars that followed, joined into one series."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mts1b.foundation.clock import from_ns
from mts1b.foundation.errors import InputError
from mts1b.quantkit import metrics
from mts1b.quantkit.overfitting import probabilistic_sharpe
from mts1b.research.curves import returns_of
from mts1b.research.plan import SweepSpec
from mts1b.research.reduction import Row, fold_metrics
from mts1b.research.summary import FoldResult, WalkForwardSummary
from mts1b.strategy.panel import Panel


def judge_folds(spec: SweepSpec, panel: Panel, choices: Sequence[Row]) -> WalkForwardSummary:
    """Sum up the folds from the row each train window chose. InputError when a window chose none.

    The strategy runs through the whole history with the chosen parameters, and a test window takes its own bars out of
    that run: it begins with the positions the strategy would have held, not with none.
    """
    if len(choices) < len(spec.folds):
        raise InputError("train_bars", len(spec.folds), "a fold has no combination with a Sharpe ratio", "widen it")
    params = [{name: row[name] for name in spec.strategy.params} for row in choices]
    results = tuple(
        FoldResult(
            train_dates=_dates(panel, *fold.train),
            test_dates=_dates(panel, *fold.test),
            params=params[place],
            train=fold_metrics(choices[place], place, "train"),
            test=fold_metrics(choices[place], place, "test"),
        )
        for place, fold in enumerate(spec.folds)
    )
    curves = returns_of(spec.strategy, params, panel, spec.execution, spec.backend)
    returns = np.concatenate([curve[slice(*fold.test)] for curve, fold in zip(curves, spec.folds, strict=True)])
    sharpe = float(metrics.sharpe(returns))
    return WalkForwardSummary(
        folds=results,
        sharpe=sharpe,
        total_return=float(metrics.total_return(returns)),
        max_drawdown=float(metrics.max_drawdown(returns)),
        probabilistic_sharpe=probabilistic_sharpe(
            sharpe / math.sqrt(metrics.BARS_PER_YEAR),
            0.0,
            len(returns),
            float(metrics.skewness(returns)),
            float(metrics.kurtosis(returns)),
        ),
        ts_ns=np.concatenate([panel.ts_ns[slice(*fold.test)] for fold in spec.folds]),
        returns=returns,
    )


def _dates(panel: Panel, start: int, stop: int) -> tuple[str, str]:
    first, last = (from_ns(int(panel.ts_ns[place])).date().isoformat() for place in (start, stop - 1))
    return first, last

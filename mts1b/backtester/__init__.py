"""Backtests as pure functions of arrays.

`targets` (decisions), `evaluate` (metrics of many combinations), `by_column` (of each of their names); `backtest` runs
one combination through an account of cash and whole shares, `statistics` and `metrics_of` say what became of it.
"""

from mts1b.backtester.account import Account
from mts1b.backtester.backends import evaluate, targets
from mts1b.backtester.evaluation import METRICS, NAME_METRICS, Evaluation, merged
from mts1b.backtester.event import Run, backtest
from mts1b.backtester.execution import Execution
from mts1b.backtester.gpu_detect import gpu_available
from mts1b.backtester.run_statistics import metrics_of, statistics
from mts1b.backtester.sleeves import by_column

__all__ = [
    "METRICS",
    "NAME_METRICS",
    "Account",
    "Evaluation",
    "Execution",
    "Run",
    "backtest",
    "by_column",
    "evaluate",
    "gpu_available",
    "merged",
    "metrics_of",
    "statistics",
    "targets",
]

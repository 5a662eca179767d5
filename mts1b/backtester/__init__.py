"""Backtests as pure functions of arrays: `targets` (decisions) and `evaluate` (metrics of many combinations)."""

from mts1b.backtester.backends import evaluate, targets
from mts1b.backtester.evaluation import METRICS, Evaluation
from mts1b.backtester.execution import Execution

__all__ = ["METRICS", "Evaluation", "Execution", "evaluate", "targets"]

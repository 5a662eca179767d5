"""The accounting for the trials as words: the same questions on the page and in the terminal, each with its answer."""

from __future__ import annotations

import math

from mts1b.quantkit.metrics import BARS_PER_YEAR
from mts1b.report.tables import facts, probability
from mts1b.research.accounting import SUBSET_MAX, Accounting

NOT_DECLARED = (
    "no subset was declared, and one chosen afterwards would prove nothing: run the sweep again with "
    f"--spa name=values, at most {SUBSET_MAX} combinations fixed before the result is known"
)
"""Why Hansen's test is missing, and how to have it."""


def table(found: Accounting) -> str:
    """The questions and their answers, as HTML."""
    return facts(answers(found))


def answers(found: Accounting) -> list[tuple[str, str]]:
    """Question and answer, one for each statistic."""
    return [
        (
            "Probabilistic Sharpe",
            f"{probability(found.probabilistic_sharpe)} that the true Sharpe is above 0, one trial",
        ),
        (
            "Deflated Sharpe",
            f"{probability(found.deflated_sharpe)} that it is above luck: about {found.independent_trials:,.1f} "
            f"independent trials (effective rank of {found.trials_sampled}) would show {found.sharpe_by_luck:.2f}",
        ),
        ("Overfitting (CSCV)", _overfitting(found)),
        ("Superior to holding (SPA)", _superiority(found)),
        ("Minimum track record", _track_record(found.track_record_bars)),
    ]


def _overfitting(found: Accounting) -> str:
    over = found.overfitting
    if over is None:
        return "not to be said: one trial, or a history too short to cut"
    return (
        f"probability {probability(over.pbo)}; the choice loses out of sample in {over.loss:.1%} of {over.splits:,} "
        f"splits ({over.blocks} blocks, all {over.trials:,} trials)"
    )


def _superiority(found: Accounting) -> str:
    test = found.superiority
    if test is None:
        return NOT_DECLARED
    return (
        f"p = {test.p_value:.3f} (between {test.lower:.3f} and {test.upper:.3f}) for the best of {test.models} "
        "declared combinations against buy and hold"
    )


def _track_record(bars: float | None) -> str:
    if bars is None:
        return "no history is long enough"
    return (
        f"{math.ceil(bars):,} bars ({bars / BARS_PER_YEAR:.1f} years of days) for 95 % confidence in a Sharpe above 0"
    )

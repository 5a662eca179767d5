"""What a reader must know of the data before believing a result."""

from __future__ import annotations

import numpy as np

from mts1b.strategy.panel import Panel

ADJUSTED = (
    "prices are adjusted for splits and dividends with factors known only later: returns are right, price levels are "
    "not those of the day"
)
SURVIVORSHIP = (
    "survivorship: every name still trades at the end, as in a universe chosen today; the names that failed are "
    "missing and the results are better than anyone could have had"
)
LATECOMERS = "{late} of {names} names have no bar yet at the start: they are in the universe because of what came later"

YEAR_BARS = 252
"""Histories shorter than this say nothing about survival."""


def panel_warnings(panel: Panel) -> tuple[str, ...]:
    """What the bars themselves show of how their universe was chosen."""
    bars, names = panel.close.shape
    if bars < YEAR_BARS or names < 2:
        return ()
    known = np.isfinite(panel.close)
    found = []
    recent = max(bars // 50, 1)
    if known[-recent:].any(axis=0).all():
        found.append(SURVIVORSHIP)
    late = int((~known[:recent].any(axis=0)).sum())
    if late:
        found.append(LATECOMERS.format(late=late, names=names))
    return tuple(found)

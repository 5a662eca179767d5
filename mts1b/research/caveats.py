"""What a reader must know of the data before believing a result."""

from __future__ import annotations

import numpy as np

from mts1b.strategy.panel import Lineage, Panel

ADJUSTED = (
    "prices are adjusted for splits and dividends with factors known only later: returns are right, price levels are "
    "not those of the day"
)
SPLITS_ONLY = "prices are adjusted for splits only: dividends are missing from every return"
UNDIVIDED = (
    "the lake knows no dividends, splits or adjusted closes of these names: unless they came adjusted, a split in the "
    "prices is a loss or gain that nobody had, and dividends are missing"
)
AS_DELIVERED = "prices are as delivered: a split in them is a loss or gain that nobody had, and dividends are missing"
SURVIVORSHIP = (
    "survivorship: every name still trades at the end, as in a universe chosen today; the names that failed are "
    "missing and the results are better than anyone could have had"
)
MISSING = (
    "{missing} of {members} members of {universe} have no bars in the lake ({some}): if they are the ones that failed, "
    "the results are better than anyone could have had"
)
LATECOMERS = "{late} of {names} names have no bar yet at the start: they are in the universe because of what came later"

NAMED_MAX = 5
"""Names that a warning lists."""

YEAR_BARS = 252
"""Histories shorter than this say nothing about survival."""


def panel_warnings(panel: Panel) -> tuple[str, ...]:
    """What a panel really is: how its prices came about, and what its names say of how they were chosen."""
    return (*price_warnings(panel.lineage), *universe_warnings(panel))


def price_warnings(lineage: Lineage | None) -> tuple[str, ...]:
    """What was done to the prices. Of bars from elsewhere nothing is known: they are taken as adjusted."""
    if lineage is None:
        return (ADJUSTED,)
    if lineage.undivided and lineage.adjust is not None:
        return (UNDIVIDED,)
    return ({"total": ADJUSTED, "split": SPLITS_ONLY, None: AS_DELIVERED}[lineage.adjust],)


def universe_warnings(panel: Panel) -> tuple[str, ...]:
    """How the names were chosen: by the members of each day, or, as the bars themselves show, by what came later."""
    lineage = panel.lineage
    if lineage is not None and lineage.universe:
        if not lineage.missing:
            return ()
        some = ", ".join(lineage.missing[:NAMED_MAX]) + (", ..." if len(lineage.missing) > NAMED_MAX else "")
        members = len(panel.symbols) + len(lineage.missing)
        told = {"missing": len(lineage.missing), "members": members, "universe": lineage.universe, "some": some}
        return (MISSING.format(**told),)
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

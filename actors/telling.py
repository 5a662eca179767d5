"""What a desk's workers tell the world of what they see: bars for whoever follows the market, and for the watchdog the
features a strategy decided on, those of its history, and the returns that history would have had."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from actors.feed import Closed
from actors.portfolio import Mandate
from mts1b.foundation.clock import NS_PER_S
from mts1b.foundation.ids import FundId, digest
from mts1b.marketdata.published import BarsClosed
from mts1b.platform.later import PublishLater
from mts1b.strategy.panel import Floats, Panel
from mts1b.watchdog.features import bar_features, first_order_returns
from mts1b.watchdog.published import FeaturesExpected, FeaturesObserved, ReturnsExpected
from mts1b.watchdog.series import thinned

EXPECTED_BARS = 252
"""Bars of history that live ones are compared with: a year of days."""

NAMES_MAX = 1_000
"""Values of a feature at one bar that are told, evenly spaced: as many as names change nothing of a distribution."""


class StrategyTelling:
    """A `BarListener` that publishes, in the background."""

    def __init__(self, later: PublishLater, mandate: Mandate) -> None:
        self._later, self._fund_id = later, mandate.fund_id
        self._subject = f"{mandate.fund_id}/{mandate.strategy_id}"
        self._before: Floats | None = None

    def history(self, panel: Panel, targets: Floats) -> None:
        """Tell what the last EXPECTED_BARS bars looked like, and what they earned."""
        rows = np.stack((panel.open, panel.high, panel.low, panel.close, panel.volume))[:, -EXPECTED_BARS - 1 :]
        decided = targets[-EXPECTED_BARS - 1 :]
        self._before = rows[:, -1]
        bars = rows.shape[1] - 1
        if bars < 1:
            return
        ts_ns = int(panel.ts_ns[-1])
        found = bar_features(rows[:, :-1], rows[:, 1:], decided[1:])
        given = {name: values.ravel() for name, values in found.items() if np.isfinite(values).any()}
        self._later.put(
            FeaturesExpected(
                event_id=digest("expected", self._subject, ts_ns),
                subject=self._subject,
                ts_ns=ts_ns,
                observations=bars,
                features=_columns(given, 2 * NAMES_MAX),
            )
        )
        self._later.put(
            ReturnsExpected(
                event_id=digest("returns", self._subject, ts_ns),
                fund_id=self._fund_id,
                ts_ns=ts_ns,
                returns=first_order_returns(rows[3], decided).tolist(),
            )
        )

    def bar(self, bar: Closed, targets: Floats) -> None:
        """Tell the features of one bar; of the first one without history nothing can be said."""
        before, self._before = self._before, bar.rows
        if before is None:
            return
        self._later.put(
            FeaturesObserved(
                event_id=digest("observed", self._subject, bar.ts_ns),
                subject=self._subject,
                ts_ns=bar.ts_ns,
                features=_columns(bar_features(before, bar.rows, targets), NAMES_MAX),
            )
        )


class FeedTelling:
    """Publishes each closed bar, in the background. `panel` says whose bars they are, and how long."""

    def __init__(self, later: PublishLater, fund_id: FundId, panel: Panel) -> None:
        self._later, self._source, self._symbols = later, f"replay-{fund_id}", list(panel.symbols)
        steps = np.diff(panel.ts_ns)
        self._interval_s = float(np.median(steps)) / NS_PER_S if len(steps) else 0.0

    def closed(self, bar: Closed) -> None:
        """Tell one bar of every name."""
        columns = {
            name: _plain(row) for name, row in zip(("open", "high", "low", "close", "volume"), bar.rows, strict=False)
        }
        self._later.put(
            BarsClosed(
                event_id=digest("bars", self._source, bar.ts_ns),
                source=self._source,
                interval_s=self._interval_s,
                ts_ns=bar.ts_ns,
                symbols=self._symbols,
                **columns,
            )
        )


def _columns(features: Mapping[str, Floats], most: int) -> dict[str, list[float | None]]:
    return {name: _plain(thinned(values, most)) for name, values in features.items()}


def _plain(values: Floats) -> list[float | None]:
    """As JSON has them: what is no number is None."""
    return [float(value) if np.isfinite(value) else None for value in values]

"""What the desk's workers tell of what they see: complete, plain, and never waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
import pytest

from actors.feed import Closed
from actors.telling import EXPECTED_BARS, NAMES_MAX, FeedTelling, StrategyTelling
from mts1b.foundation.clock import NS_PER_DAY, NS_PER_S
from mts1b.foundation.errors import StackError
from mts1b.foundation.ids import FundId
from mts1b.marketdata.published import BarsClosed
from mts1b.platform import later as later_module
from mts1b.platform.events import Event
from mts1b.platform.later import PublishLater
from mts1b.strategy.panel import Panel
from mts1b.watchdog.published import FeaturesExpected, FeaturesObserved, ReturnsExpected
from tests.paper_market import small_market, small_plan


class Bus:
    """Takes events, or is away as often as it is told to be."""

    def __init__(self, away: int = 0) -> None:
        self.events: list[Event] = []
        self.away = away

    async def publish_typed(self, happened: Event) -> None:
        if self.away:
            self.away -= 1
            raise StackError("nats", "h", "is away", "wait")
        self.events.append(happened)


def told(work: Callable[[PublishLater], None], bus: Bus | None = None) -> list[Event]:
    found = bus or Bus()

    async def connect() -> Bus:
        return found

    async def run() -> None:
        later = PublishLater(connect)
        work(later)
        await later.close(5)
        assert later.sent == len(found.events)

    asyncio.run(run())
    return found.events


def bar_of(panel: Panel, row: int) -> Closed:
    rows = np.stack([getattr(panel, name)[row] for name in ("open", "high", "low", "close", "volume")])
    return Closed(row, int(panel.ts_ns[row]), 0, {}, rows)


def test_a_strategy_tells_its_history_once_and_each_bar() -> None:
    panel, plan = small_market(names=5, bars=60), small_plan("fund")
    targets = np.linspace(0, 1, 300).reshape(60, 5)

    def work(later: PublishLater) -> None:
        telling = StrategyTelling(later, plan.mandate)
        telling.history(panel.rows(0, 50), targets[:50])
        for row in (50, 51):
            telling.bar(bar_of(panel, row), targets[row])

    expected, returns, *observed = told(work)
    assert isinstance(expected, FeaturesExpected) and isinstance(returns, ReturnsExpected)
    assert expected.subject == "fund/vol_target_cross" and expected.observations == 49
    assert {name: len(values) for name, values in expected.features.items()} == dict.fromkeys(
        ("return", "range", "volume", "target"), 49 * 5
    )
    moves = panel.close[1:50] / panel.close[:49] - 1
    assert returns.fund_id == "fund" and returns.returns == pytest.approx((targets[:49] * moves).mean(axis=1))
    for row, event in zip((50, 51), observed, strict=True):
        assert isinstance(event, FeaturesObserved) and event.ts_ns == panel.ts_ns[row]
        assert event.features["return"] == pytest.approx(np.log(panel.close[row] / panel.close[row - 1]))
        assert event.features["target"] == targets[row].tolist()


def test_what_is_told_is_bounded_whatever_the_universe() -> None:
    panel, plan = small_market(names=1_500, bars=300), small_plan("fund")

    def work(later: PublishLater) -> None:
        telling = StrategyTelling(later, plan.mandate)
        telling.history(panel, np.zeros((300, 1_500)))
        telling.bar(bar_of(panel, 299), np.zeros(1_500))

    expected, returns, observed = told(work)
    assert isinstance(expected, FeaturesExpected) and len(expected.features["return"]) == 2 * NAMES_MAX
    assert isinstance(returns, ReturnsExpected) and len(returns.returns) == EXPECTED_BARS == expected.observations
    assert isinstance(observed, FeaturesObserved) and len(observed.features["range"]) == NAMES_MAX
    assert all(len(event.model_dump_json()) < 1 << 20 for event in (expected, returns, observed))  # what NATS takes


def test_a_first_bar_without_history_has_no_features() -> None:
    panel, plan = small_market(names=2, bars=2), small_plan("fund")

    def work(later: PublishLater) -> None:
        telling = StrategyTelling(later, plan.mandate)
        for row in (0, 1):
            telling.bar(bar_of(panel, row), np.zeros(2))

    (observed,) = told(work)
    assert isinstance(observed, FeaturesObserved)


def test_the_feed_tells_bars_as_they_are() -> None:
    panel = small_market(names=3, bars=4)
    bar = bar_of(panel, 2)
    bar.rows[:, 1] = np.nan
    (event,) = told(lambda later: FeedTelling(later, FundId("fund"), panel).closed(bar))
    assert isinstance(event, BarsClosed)
    assert event.interval_s == NS_PER_DAY / NS_PER_S and event.symbols == list(panel.symbols)
    assert event.close == [panel.close[2, 0], None, panel.close[2, 2]]


def test_a_bus_that_is_away_is_told_when_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(later_module, "RETRY_S", 0.001)
    panel = small_market(names=2, bars=3)

    def work(later: PublishLater) -> None:
        telling = FeedTelling(later, FundId("fund"), panel)
        for row in range(3):
            telling.closed(bar_of(panel, row))

    assert len(told(work, Bus(away=4))) == 3


def test_with_too_many_waiting_the_oldest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(later_module, "QUEUE_DEPTH_MAX", 2)
    panel = small_market(names=2, bars=5)

    def work(later: PublishLater) -> None:
        telling = FeedTelling(later, FundId("fund"), panel)
        for row in range(5):
            telling.closed(bar_of(panel, row))
        assert later.dropped == 3

    assert [event.ts_ns for event in told(work) if isinstance(event, BarsClosed)] == panel.ts_ns[3:].tolist()

"""What the watchdog hears on the bus: bars, features, expected returns, and what services say of themselves."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import numpy as np

from mts1b.foundation.alerts import Finding
from mts1b.foundation.clock import Clock
from mts1b.foundation.errors import StackError
from mts1b.marketdata.published import BarsClosed
from mts1b.platform.alerts import ConditionReported
from mts1b.platform.eventbus import EventBus, Message
from mts1b.platform.events import Event
from mts1b.watchdog.drift import Floats
from mts1b.watchdog.flow import Flow, FlowTerms
from mts1b.watchdog.published import FeaturesExpected, FeaturesObserved, ReturnsExpected
from mts1b.watchdog.series import FEATURE_ALERT, PNL_ALERT, SeriesBook
from mts1b.watchdog.store import AlertStore

INTERVAL_S_MAX = 1_800.0
"""Longer bars are no tape: a bucket of a fiftieth of a day must not be a part of one bar."""

FLOWS_MAX = 5_000
"""Names whose trading is followed at a time."""

RETRY_S = 1.0

Handler: TypeAlias = Callable[[Any], Awaitable[None]]


class Hearing:
    """Takes events in, one at a time. `flows` and `series` are what the checks look at, `heard` counts by event."""

    def __init__(
        self, series: SeriesBook, terms: FlowTerms, store: AlertStore, tell: Callable[[Finding], None], clock: Clock
    ) -> None:
        self.series, self.flows = series, dict[str, Flow]()
        self._terms, self._store, self._tell, self._clock = terms, store, tell, clock
        self.heard: Counter[str] = Counter()

    async def remember(self) -> None:
        """Compare with what was given to an earlier watchdog. StackError while Postgres is away."""
        for key, (values, count) in (await self._store.references()).items():
            self.series.expect(key, values, count)

    async def listen(self, connect: Callable[[], Awaitable[EventBus]]) -> None:
        """Hear everything, for ever; what fails is heard again, as the bus has it."""
        await asyncio.gather(
            self._hear(connect, BarsClosed, self.on_bars, "watchdog-bars", "now"),
            self._hear(connect, FeaturesObserved, self.on_features, "watchdog-features", "now"),
            self._hear(connect, FeaturesExpected, self.on_expected_features, "watchdog-expected-features", "first"),
            self._hear(connect, ReturnsExpected, self.on_expected_returns, "watchdog-expected-returns", "first"),
            self._hear(connect, ConditionReported, self.on_condition, "watchdog-conditions", "first"),
        )

    async def on_bars(self, bars: BarsClosed) -> None:
        """Follow the trading of every name, on bars short enough."""
        if bars.interval_s > INTERVAL_S_MAX:
            return
        for symbol, close, volume in zip(bars.symbols, bars.close, bars.volume, strict=True):
            if close is None or volume is None:
                continue
            if symbol not in self.flows and len(self.flows) < FLOWS_MAX:
                self.flows[symbol] = Flow(symbol, self._terms)
            if symbol in self.flows:
                self.flows[symbol].take(bars.ts_ns, close, volume)

    async def on_features(self, seen: FeaturesObserved) -> None:
        for name, values in seen.features.items():
            self.series.observe((FEATURE_ALERT, f"{seen.subject}/{name}"), _floats(values))

    async def on_expected_features(self, given: FeaturesExpected) -> None:
        for name, values in given.features.items():
            key = FEATURE_ALERT, f"{given.subject}/{name}"
            kept = self.series.expect(key, _floats(values), given.observations)
            await self._store.keep_reference(key, kept, given.observations, self._clock.now_ns())

    async def on_expected_returns(self, given: ReturnsExpected) -> None:
        key = PNL_ALERT, given.fund_id
        kept = self.series.expect(key, np.array(given.returns, dtype=np.float64))
        await self._store.keep_reference(key, kept, len(kept), self._clock.now_ns())

    async def on_condition(self, told: ConditionReported) -> None:
        self._tell(told.finding)

    async def _hear(
        self,
        connect: Callable[[], Awaitable[EventBus]],
        model: type[Event],
        handler: Handler,
        durable: str,
        since: str,
    ) -> None:
        async def handle(message: Message[Any]) -> None:
            await handler(message.event)
            self.heard[model.__name__] += 1

        while True:
            try:
                bus = await connect()
                subscription = await bus.subscribe(model, durable, since=since)
                await subscription.consume(handle)
            except StackError:  # the bus is away, which the dependency check tells of
                pass
            await asyncio.sleep(RETRY_S)


def _floats(values: list[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)

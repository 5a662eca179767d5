"""The strategy worker: follows the market bar by bar, sizes its targets, hands its orders over."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from actors.feed import Closed
from actors.latency import ORDER_TOTAL, REBALANCE, SIGNAL, SIZING
from actors.portfolio import Holdings, Mandate, rebalance
from mts1b.foundation.clock import NS_PER_S, Clock
from mts1b.foundation.commands import SubmitOrder
from mts1b.foundation.errors import InvariantBroken, StackError
from mts1b.foundation.ids import Symbol
from mts1b.foundation.limits import START_TIMEOUT_S
from mts1b.foundation.order import Order
from mts1b.platform.telemetry import Recorder
from mts1b.strategy.definition import Strategy, Values
from mts1b.strategy.panel import Panel
from mts1b.strategy.stepper import Stepper

RETRY_S = 0.1


class BarListener(Protocol):
    """Hears what a strategy sees and decides. Must return at once."""

    def history(self, panel: Panel, targets: NDArray[np.float64]) -> None:
        """What was decided [T, S] along the history before the first bar."""

    def bar(self, bar: Closed, targets: NDArray[np.float64]) -> None:
        """A bar, and what was decided [S] on it."""


class Unheard:
    """Nobody listens."""

    def history(self, panel: Panel, targets: NDArray[np.float64]) -> None:
        return

    def bar(self, bar: Closed, targets: NDArray[np.float64]) -> None:
        return


class OrderEntry(Protocol):
    """The OMS as a strategy sees it."""

    async def submit(self, command: SubmitOrder) -> Order: ...

    async def holdings(self) -> Holdings: ...


@dataclass(frozen=True, slots=True)
class Rebalanced:
    """What became of one bar: targets [S] and the number of orders by the status they had when handed over.

    `sized_ns`: UTC nanoseconds when its orders were ready to be handed over; 0 when it was not to make any.
    """

    index: int
    targets: NDArray[np.float64]
    statuses: dict[str, int]
    took_ns: int
    sized_ns: int = 0

    @property
    def orders(self) -> int:
        return sum(self.statuses.values())


class StrategyWorker:
    """One strategy of one fund. `history` is asked for rows before the bar at hand only.

    A worker that was started late or restarted takes the bars it has missed from the history and trades on none of
    them. Repeating a bar is harmless: its orders carry the same idempotency keys.
    """

    def __init__(
        self,
        strategy: Strategy,
        values: Values,
        history: Panel,
        mandate: Mandate,
        oms: OrderEntry,
        clock: Clock,
        recorder: Recorder,
        in_flight: int = 1,
        listener: BarListener = Unheard(),
    ) -> None:
        self._strategy, self._values, self._history = strategy, values, history
        self._symbols = tuple(Symbol(name) for name in history.symbols)
        self._mandate, self._oms, self._clock, self._recorder = mandate, oms, clock, recorder
        self._in_flight, self._listener = in_flight, listener
        self._stepper = strategy.stepper(values, self._symbols, history.sectors)
        self._next = 0
        self._last: tuple[int, NDArray[np.float64]] | None = None
        self._counts: Counter[str] = Counter()

    async def start(self, index: int) -> None:
        """Catch up with the history so that bar `index` comes next."""
        self._stepper = self._caught_up(index)
        self._next, self._last = index, None

    async def on_bar(self, bar: Closed, trade: bool = True) -> Rebalanced:
        """Decide on a closed bar and hand the orders for the next opening over; returns when the venue has them all.

        `trade` False: only follow. StackError when the OMS stays away.
        """
        began_ns = self._clock.monotonic_ns()
        targets = await self._targets(bar)
        statuses: Counter[str] = Counter()
        sized_ns = 0
        if trade:
            holdings = await self._oms.holdings()
            sizing_ns = self._clock.monotonic_ns()
            commands = rebalance(self._mandate, self._symbols, targets.tolist(), bar.closes, holdings, bar.ts_ns)
            self._recorder.record(SIZING, self._clock.monotonic_ns() - sizing_ns)
            sized_ns = self._clock.now_ns()
            statuses.update(order.status.value for order in await self._hand_over(commands))
        took_ns = self._clock.monotonic_ns() - began_ns
        if statuses:
            self._recorder.record(REBALANCE, took_ns)
        self._counts.update(statuses)
        self._counts["bars"] += 1
        self._listener.bar(bar, targets)
        return Rebalanced(bar.index, targets, dict(statuses), took_ns, sized_ns)

    async def statistics(self) -> dict[str, int]:
        return dict(self._counts)

    async def durations(self) -> Recorder:
        """What each step took so far."""
        return self._recorder

    async def _targets(self, bar: Closed) -> NDArray[np.float64]:
        """The targets of `bar`, catching up first where bars were missed."""
        if self._last is not None and bar.index == self._last[0]:
            return self._last[1]
        if bar.index != self._next:
            await self.start(bar.index)
        if int(self._history.ts_ns[bar.index]) != bar.ts_ns:
            raise InvariantBroken("bar", bar.ts_ns, f"is not row {bar.index} of the history")
        began_ns = self._clock.monotonic_ns()
        targets = self._stepper.step(*bar.rows)
        self._recorder.record(SIGNAL, self._clock.monotonic_ns() - began_ns)
        self._next, self._last = bar.index + 1, (bar.index, targets)
        return targets

    def _caught_up(self, index: int) -> Stepper:
        stepper = self._strategy.stepper(self._values, self._symbols, self._history.sectors)
        if index:
            before = self._history.rows(0, index)
            self._listener.history(before, stepper.warm(before))
        return stepper

    async def _hand_over(self, commands: Sequence[SubmitOrder]) -> list[Order]:
        """Submit in order with at most `in_flight` unanswered. All are answered, or the first error is raised."""
        orders: list[Order] = []
        waiting: set[asyncio.Task[Order]] = set()
        for command in commands:
            if len(waiting) >= self._in_flight:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                orders += [task.result() for task in done]
            waiting.add(asyncio.create_task(self._submit(command)))
            await asyncio.sleep(0)  # lets the call leave before the next one, so that they arrive in order
        return orders + list(await asyncio.gather(*waiting))

    async def _submit(self, command: SubmitOrder) -> Order:
        """Hand one order over; while the OMS is away, again under the same key, which makes no second order."""
        began_ns = self._clock.monotonic_ns()
        while True:
            try:
                order = await self._oms.submit(command)
            except StackError:
                self._counts["retries"] += 1
                if self._clock.monotonic_ns() - began_ns > START_TIMEOUT_S * NS_PER_S:
                    raise
                await asyncio.sleep(RETRY_S)
            else:
                self._recorder.record(ORDER_TOTAL, self._clock.monotonic_ns() - began_ns)
                return order

"""What carries messages between processes: slowly, twice, out of order, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from mts1b.foundation.clock import NS_PER_MS, NS_PER_S
from mts1b.testing.sim.loop import Process, SimLoop

QUICK_NS = (200_000, 3 * NS_PER_MS)
SLOW_NS = (50 * NS_PER_MS, 8 * NS_PER_S)


@dataclass(frozen=True, slots=True)
class Weather:
    """How often, of all messages, one is lost, comes twice, or comes late (and so out of order)."""

    lost_ratio: float = 0.0
    twice_ratio: float = 0.0
    late_ratio: float = 0.0


CALM = Weather()


@dataclass(slots=True)
class Lane:
    """A connection: what goes its usual way over it arrives in the order it was sent."""

    last_ns: int = 0


class Network:
    """All links share one weather, which the story changes."""

    def __init__(self, loop: SimLoop, random: Random, note: Callable[[str], None]) -> None:
        self._loop, self._random, self._note = loop, random, note
        self.weather = CALM
        self.carried = 0

    def send(self, to: Process, receive: Callable[..., object], *message: object, lane: Lane | None = None) -> None:
        """Bring a message to a process, as the weather permits."""
        self.carried += 1
        weather, draw = self.weather, self._random.random()
        if weather is CALM or draw >= weather.lost_ratio + weather.twice_ratio + weather.late_ratio:
            to.call(self._quick(lane), receive, *message)
            return
        if draw < weather.lost_ratio:
            self._note("message_lost")
            return
        if draw < weather.lost_ratio + weather.twice_ratio:
            self._note("message_twice")
            to.call(self._quick(lane), receive, *message)
        else:
            self._note("message_late")
        to.call(self._random.randint(*SLOW_NS), receive, *message)

    def loses(self) -> bool:
        """Whether a message that is carried otherwise is lost."""
        is_lost = self._random.random() < self.weather.lost_ratio
        if is_lost:
            self._note("message_lost")
        return is_lost

    async def ask(self, me: Process, other: Process, answer: Callable[..., Any], *question: object) -> Any:
        """What `answer(*question)` gives in the other process; an exception as it was raised there.

        Waits for ever when a message is lost: bound it in time.
        """
        answered: asyncio.Future[Any] = self._loop.create_future()

        def take(result: Any, error: BaseException | None) -> None:
            if answered.done():
                return
            if error is not None:
                answered.set_exception(error)
            else:
                answered.set_result(result)

        def heard() -> None:
            result, error = None, None
            try:
                result = answer(*question)
            except Exception as raised:  # noqa: BLE001 it goes to whoever asked
                error = raised
            self.send(me, take, result, error)

        self.send(other, heard)
        return await answered

    async def ask_task(self, me: Process, other: Process, answer: Callable[..., Any], *question: object) -> Any:
        """As `ask`, of a coroutine function: the other process works on it in a task of its own."""
        answered: asyncio.Future[Any] = self._loop.create_future()

        def take(task: asyncio.Task[Any]) -> None:
            if answered.done() or task.cancelled():
                return
            error = task.exception()
            if error is not None:
                answered.set_exception(error)
            else:
                answered.set_result(task.result())

        def heard() -> None:
            task = other.start(answer(*question))
            task.add_done_callback(lambda ended: self.send(me, take, ended))

        self.send(other, heard)
        return await answered

    def _quick(self, lane: Lane | None) -> int:
        delay_ns = self._random.randint(*QUICK_NS)
        if lane is None:
            return delay_ns
        lane.last_ns = max(lane.last_ns, self._loop.now_ns + delay_ns)
        return lane.last_ns - self._loop.now_ns

"""An event loop whose time is simulated, and processes on it that can be killed and stopped.

A process is a context variable: every callback and task started from one belongs to it, and so does what they start.
Killed, none of its callbacks ever runs again: no `finally`, no goodbye. Stopped, they wait, also those whose time
comes meanwhile, and run late when it goes on. Time moves only when nobody has anything to do.
"""

from __future__ import annotations

import asyncio
import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar, cast

from mts1b.foundation.clock import NS_PER_S

T = TypeVar("T")


CALLBACKS_MAX = 100_000
"""Callbacks at one moment of time; more go round in a circle."""


class Process:
    """One process of the simulated machine room."""

    def __init__(self, loop: SimLoop, name: str) -> None:
        self.name, self._loop = name, loop
        self.is_dead, self.is_stopped = False, False
        self._frozen: list[asyncio.Handle] = []
        self._context = copy_context()
        self._context.run(_PROCESS.set, self)

    def start(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task of this process."""
        return self._loop.create_task(coroutine, context=self._context.copy())

    def call(self, delay_ns: int, callback: Callable[..., object], *given: object) -> None:
        """Call in this process, later."""
        self._loop.at(self._loop.now_ns + delay_ns, callback, given, self._context)

    def kill(self) -> None:
        """As SIGKILL: what it was doing ends in the middle."""
        self.is_dead = True
        self._frozen.clear()

    def stop(self) -> None:
        """As SIGSTOP."""
        self.is_stopped = True

    def go_on(self) -> None:
        """As SIGCONT: everything that has waited runs now, late."""
        self.is_stopped = False
        self._loop.resume(self._frozen)
        self._frozen = []

    def hold(self, handle: asyncio.Handle) -> None:
        """Keep a callback until it goes on; nothing when it is dead."""
        if not self.is_dead:
            self._frozen.append(handle)


_PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)


def current() -> Process | None:
    """The process that this code runs in."""
    return _PROCESS.get()


class SimLoop:
    """What asyncio needs of a loop, on simulated time. `instant` is called when all that could happen now has."""

    def __init__(self, instant: Callable[[], None] | None = None) -> None:
        self.now_ns = 0
        self.instant = instant
        self.failures: list[BaseException] = []
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[int, int, asyncio.Handle]] = []
        self._number = 0
        self._running = False
        self._loop = cast(asyncio.AbstractEventLoop, self)  # it has what tasks, futures and timers ask for

    # -- what asyncio asks -------------------------------------------------------------------------------------------

    def time(self) -> float:
        return self.now_ns / NS_PER_S

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self._loop, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self._loop, context)
        self._push(round(when * NS_PER_S), handle)
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self._loop)

    def create_task(
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[T]:
        return asyncio.Task(coro, loop=self._loop, name=name, context=context)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """An error nobody waited for. Those of callbacks are defects of the simulation or of what it runs."""
        error = context.get("exception")
        if error is not None and "handle" in context:
            self.failures.append(error)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled timer is dropped when its time comes."""

    # -- what the simulation asks ------------------------------------------------------------------------------------

    def at(self, when_ns: int, callback: Callable[..., object], given: tuple[object, ...], context: Context) -> None:
        """Call at a time in simulated nanoseconds."""
        self._push(when_ns, asyncio.Handle(callback, given, self._loop, context))

    def resume(self, handles: list[asyncio.Handle]) -> None:
        self._ready.extend(handles)

    def run_until(self, is_over: Callable[[], bool]) -> None:
        """Run until `is_over` says so, asked between instants, or nothing is left to happen."""
        events._set_running_loop(self._loop)
        self._running = True
        try:
            while not is_over():
                self._run_ready()
                if self.instant is not None:
                    self.instant()
                if not self._advance():
                    return
        finally:
            self._running = False
            events._set_running_loop(None)

    def _run_ready(self) -> None:
        ready, done = self._ready, 0
        while ready:
            done += 1
            if done > CALLBACKS_MAX:
                raise RuntimeError(f"time stands still at {self.time()} s: {ready[0]}")
            handle = ready.popleft()
            if handle._cancelled:
                continue
            process = handle._context.get(_PROCESS)  # type: ignore[attr-defined]
            if process is not None and (process.is_dead or process.is_stopped):
                process.hold(handle)
            else:
                handle._run()
                if self.failures:
                    raise self.failures[0]

    def _advance(self) -> bool:
        """Move time to what happens next; False when nothing does."""
        timers = self._timers
        while timers and timers[0][2]._cancelled:
            heapq.heappop(timers)
        if not timers:
            return bool(self._ready)
        self.now_ns = max(self.now_ns, timers[0][0])
        while timers and timers[0][0] <= self.now_ns:
            self._ready.append(heapq.heappop(timers)[2])
        return True

    def _push(self, when_ns: int, handle: asyncio.Handle) -> None:
        self._number += 1
        heapq.heappush(self._timers, (when_ns, self._number, handle))


class SimClock:
    """The clock of one machine: its time of day is `offset_ns` off, its monotonic one runs as all do."""

    def __init__(self, loop: SimLoop, offset_ns: int = 0) -> None:
        self._loop, self._offset_ns = loop, offset_ns + EPOCH_NS

    def now_ns(self) -> int:
        return self._loop.now_ns + self._offset_ns

    def monotonic_ns(self) -> int:
        return self._loop.now_ns


EPOCH_NS = 20_000 * 86_400 * NS_PER_S
"""When every story begins: a day like any other."""

"""How long the workers of a sweep were busy, and how much of that inside compiled code.

Every compiled function of this project is loaded by `mts1b.strategy.jit.load`, which can be asked to hand them out
wrapped. A worker asks at its first task, before it has loaded any, and from then on adds up the time between call and
return. Rows of a sweep do not change and hold no times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeVar

from mts1b.foundation.clock import NS_PER_S, SystemClock
from mts1b.research.runner import Runner
from mts1b.strategy import jit

Shared = TypeVar("Shared")
Item = TypeVar("Item")
Result = TypeVar("Result")


class Stopwatch:
    """Nanoseconds spent inside the functions it wraps, outermost call counted once."""

    def __init__(self) -> None:
        self.spent_ns = 0
        self._clock = SystemClock()

    def wrapped(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            began_ns = self._clock.monotonic_ns()
            try:
                return function(*given)
            finally:
                self.spent_ns += self._clock.monotonic_ns() - began_ns

        return call


_stopwatches: list[Stopwatch] = []


def stopwatch() -> Stopwatch:
    """This process's stopwatch; the first call has compiled code handed out wrapped from then on."""
    if not _stopwatches:
        _stopwatches.append(Stopwatch())
        jit.wrap_with(_stopwatches[0].wrapped)
    return _stopwatches[0]


class TimedRunner:
    """A runner that also adds up what its tasks took. `tasks`, `busy_s`, `kernel_s`: over all finished ones."""

    def __init__(self, inner: Runner) -> None:
        self.inner = inner
        self.tasks = 0
        self.busy_s = 0.0
        self.kernel_s = 0.0

    @property
    def workers(self) -> int:
        return self.inner.workers

    def run(
        self, function: Callable[[Shared, Item], Result], shared: Shared, items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result]]:
        for item, (result, busy_ns, kernel_ns) in self.inner.run(partial(timed_task, function), shared, items):
            self.tasks += 1
            self.busy_s += busy_ns / NS_PER_S
            self.kernel_s += kernel_ns / NS_PER_S
            yield item, result


def timed_task(function: Callable[[Any, Any], Any], shared: Any, item: Any) -> tuple[Any, int, int]:
    """One task: its result, nanoseconds it took, and of those inside compiled code."""
    watch, clock = stopwatch(), SystemClock()
    began_ns, before_ns = clock.monotonic_ns(), watch.spent_ns
    result = function(shared, item)
    return result, clock.monotonic_ns() - began_ns, watch.spent_ns - before_ns

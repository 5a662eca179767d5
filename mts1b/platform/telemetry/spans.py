"""Spans: what an operation was called, how long it took, in which trace.

    with span("db.execute", pool="primary"):
        ...

Each is counted in a histogram of its process, whether anybody looks or not; that costs two microseconds. A record of it
is made only for those who asked to hear of operations that long: the stream of slow operations, an OpenTelemetry
exporter, a test.
"""

from __future__ import annotations

import functools
import random
from collections import Counter
from collections.abc import Callable, Mapping
from contextvars import Token
from dataclasses import dataclass
from threading import Lock
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from mts1b.foundation.clock import NS_PER_MS, Clock, SystemClock, iso
from mts1b.platform.telemetry.histogram import Histogram
from mts1b.platform.telemetry.recorder import STEPS_MAX
from mts1b.platform.telemetry.trace import CURRENT, Place

P = ParamSpec("P")
R = TypeVar("R")
Attributes = Mapping[str, Any]

UNHEARD_NS = 1 << 62
"""The floor when nobody wants records: no operation lasts a century."""

THE_REST = "other"
"""What operations are counted under once STEPS_MAX names are in use: memory is bounded whatever they are called."""

_ids = random.SystemRandom()
_random = random.Random(_ids.getrandbits(128))


@dataclass(frozen=True, slots=True)
class Operation:
    """One span that has ended. `began_ns`: UTC; `parent_id` 0: it began the trace; `error`: its class, "" if none."""

    service: str
    name: str
    trace_id: int
    span_id: int
    parent_id: int
    began_ns: int
    duration_ns: int
    attributes: Attributes
    error: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values; ids in hexadecimal, as in a `traceparent`."""
        return {
            "service": self.service,
            "operation": self.name,
            "duration_ms": self.duration_ns / NS_PER_MS,
            "began": iso(self.began_ns),
            "trace_id": f"{self.trace_id:032x}",
            "span_id": f"{self.span_id:016x}",
            "parent_id": f"{self.parent_id:016x}" if self.parent_id else "",
            "error": self.error,
            "attributes": dict(self.attributes),
        }


Listener = Callable[[Operation], None]
"""Called in the thread of the operation, at its end: it must be quick and must not raise."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Durations and failures by operation."""

    durations: dict[str, Histogram]
    failures: dict[str, int]


class Collector:
    """Counts the operations of one process and hands the long ones on. For any number of threads."""

    def __init__(self, clock: Clock | None = None, service: str = "mts1b") -> None:
        self.service = service
        self.clock = clock or SystemClock()
        self.monotonic_ns = self.clock.monotonic_ns
        self._floor_ns = UNHEARD_NS
        self._listeners: dict[Listener, int] = {}
        self._lock = Lock()
        self._recent: dict[str, Histogram] = {}
        self._recent_failures: Counter[str] = Counter()
        self._earlier: dict[str, Histogram] = {}
        self._earlier_failures: Counter[str] = Counter()

    def listen(self, listener: Listener, threshold_ns: int = 0) -> None:
        """Hand operations of at least `threshold_ns` to `listener`; again with another threshold to change it."""
        with self._lock:
            self._listeners = {**self._listeners, listener: threshold_ns}
            self._floor_ns = min(self._listeners.values())

    def unlisten(self, listener: Listener) -> None:
        """Hand it nothing more."""
        with self._lock:
            self._listeners = {known: floor for known, floor in self._listeners.items() if known != listener}
            self._floor_ns = min(self._listeners.values(), default=UNHEARD_NS)

    def ended(
        self,
        name: str,
        duration_ns: int,
        ids: tuple[int, int, int],
        attributes: Attributes,
        raised: type[BaseException] | None = None,
    ) -> None:
        """Count one operation. `ids`: trace, span, parent."""
        with self._lock:
            histogram = self._recent.get(name)
            if histogram is None:
                histogram = self._begun(name)
            histogram.add(duration_ns)
            if raised is not None and issubclass(raised, Exception):
                self._recent_failures[name] += 1
        if duration_ns >= self._floor_ns:
            self._tell(name, duration_ns, ids, attributes, "" if raised is None else raised.__name__)

    def recent(self, clear: bool = False) -> Totals:
        """What ended since this was cleared last; with `clear`, `totals` alone tells of it from now on."""
        with self._lock:
            found = _copied(self._recent, self._recent_failures)
            if clear:
                _merge(self._earlier, self._recent)
                self._earlier_failures += self._recent_failures
                self._recent, self._recent_failures = {}, Counter()
        return found

    def totals(self) -> Totals:
        """Everything since the process began."""
        with self._lock:
            found = _copied(self._earlier, self._earlier_failures + self._recent_failures)
            _merge(found.durations, self._recent)
            return found

    def _begun(self, name: str) -> Histogram:
        known = len(self._earlier) + sum(item not in self._earlier for item in self._recent)
        if known >= STEPS_MAX and name not in self._earlier:
            name = THE_REST
        return self._recent.setdefault(name, Histogram())

    def _tell(self, name: str, duration_ns: int, ids: tuple[int, int, int], attributes: Attributes, error: str) -> None:
        began_ns = self.clock.now_ns() - duration_ns
        operation = Operation(self.service, name, *ids, began_ns, duration_ns, attributes, error)
        for listener, threshold_ns in self._listeners.items():
            if duration_ns >= threshold_ns:
                listener(operation)


def _copied(durations: Mapping[str, Histogram], failures: Mapping[str, int]) -> Totals:
    return Totals({name: histogram.copy() for name, histogram in durations.items()}, dict(failures))


def _merge(into: dict[str, Histogram], durations: Mapping[str, Histogram]) -> None:
    for name, histogram in durations.items():
        into.setdefault(name, Histogram()).merge(histogram)


COLLECTOR = Collector()
"""This process's own."""


class span:  # noqa: N801 - read as a statement: `with span("db.execute"):`
    """Time the body as one operation, a child of the span around it. Attributes never hold secrets or parameters."""

    __slots__ = ("_began_ns", "_collector", "_parent_id", "_token", "attributes", "name", "span_id", "trace_id")

    def __init__(self, name: str, /, **attributes: Any) -> None:
        self.name, self.attributes = name, attributes
        self._collector = COLLECTOR

    def __enter__(self) -> span:
        around = CURRENT.get()
        if around is None:
            self.trace_id, self._parent_id = _random.getrandbits(128) or 1, 0
        else:
            self.trace_id, self._parent_id = around.trace_id, around.span_id
        self.span_id = _random.getrandbits(64) or 1
        self._token: Token[Place | None] = CURRENT.set(self)
        self._began_ns = self._collector.monotonic_ns()
        return self

    def __exit__(
        self, raised: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        duration_ns = self._collector.monotonic_ns() - self._began_ns
        CURRENT.reset(self._token)
        ids = (self.trace_id, self.span_id, self._parent_id)
        self._collector.ended(self.name, duration_ns, ids, self.attributes, raised)


def recorded(name: str, duration_ns: int, **attributes: Any) -> None:
    """An operation that ends now and was timed by somebody else, a child of the current span."""
    around = CURRENT.get()
    trace_id, parent_id = (_random.getrandbits(128) or 1, 0) if around is None else (around.trace_id, around.span_id)
    COLLECTOR.ended(name, duration_ns, (trace_id, _random.getrandbits(64) or 1, parent_id), attributes)


def operation(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make each call of a function (not a coroutine's) one operation."""

    def wrap(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*given: P.args, **named: P.kwargs) -> R:
            with span(name):
                return function(*given, **named)

        return call

    return wrap

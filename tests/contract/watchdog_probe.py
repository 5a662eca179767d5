"""A watchdog at work beside the tests, on an event loop of its own, and everything it says."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Coroutine
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

from actors.watchdog import WatchdogPlan, WatchdogWorker
from mts1b.foundation.clock import NS_PER_S, SystemClock
from mts1b.foundation.errors import StackError
from mts1b.platform import eventbus
from mts1b.watchdog.book import Change

T = TypeVar("T")
CLOCK = SystemClock()
WITHIN_S = 5.0
"""From the check noticing to every sink, as the platform promises."""

QUICK: dict[str, dict[str, float]] = {
    "dependency": {"period_s": 0.2, "timeout_s": 1.0, "down_for_s": 0},
    "consumer": {"period_s": 0.1, "wait_warning": 50, "wait_critical": 500, "slow_for_s": 0, "unread_for_s": 1},
    "database": {
        "period_s": 0.1,
        "transaction_s_warning": 0.3,
        "lock_wait_s_warning": 0.2,
        "dead_rows_min": 200,
        "waiting_for_s": 0.2,
    },
    "drift": {"period_s": 0.1},
    "vpin": {"period_s": 0.1},
}
"""The checks as they are, at thresholds that a test reaches soon."""


class Hook(BaseHTTPRequestHandler):
    """A receiver of webhooks that keeps what it was posted."""

    posted: list[dict[str, Any]]

    def do_POST(self) -> None:
        self.posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_words: object) -> None:
        return


class Receiver:
    """The server behind a webhook."""

    def __init__(self) -> None:
        self.posted: list[dict[str, Any]] = []
        handler = type("Handler", (Hook,), {"posted": self.posted})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/alerts?key=hidden-in-the-url"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class Lines(logging.Handler):
    """Log lines of the watchdog."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


class Watching:
    """A worker on a stack. `run` runs something on its event loop."""

    def __init__(self, plan: WatchdogPlan) -> None:
        self.changes: list[Change] = []
        self.failures: list[BaseException] = []
        self.heard: list[tuple[str, Any]] = []
        self.log = Lines()
        logging.getLogger("mts1b.watchdog").addHandler(self.log)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.worker = self.run(self._begin(plan))
        self._listening = self.run(self._listen(plan.stack.nats_url))

    def run(self, work: Coroutine[Any, Any, T], timeout_s: float = 30.0) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout_s)

    def wait_for(self, what: str, wanted: Callable[[], T | None], timeout_s: float) -> T:
        """The first thing that `wanted` finds."""
        deadline_ns = CLOCK.monotonic_ns() + int(timeout_s * NS_PER_S)
        while (found := wanted()) is None:
            assert CLOCK.monotonic_ns() < deadline_ns, f"{what}; {self.told()} {self.sinks()}"
            assert not self.failures, self.failures
            threading.Event().wait(0.02)
        return found

    def told(self) -> list[tuple[str, ...]]:
        return [(c.kind.value, c.alert.alert, c.alert.subject, c.alert.summary) for c in self.changes]

    def sinks(self) -> Any:
        return self.run(self.worker.statistics()).sinks

    def change(self, kind: str, alert: str, subject: str, timeout_s: float = 20.0) -> Change:
        """The next change of this kind that nobody has asked for yet."""

        def look() -> Change | None:
            for change in self.changes:
                if (change.kind.value, change.alert.alert, change.alert.subject) == (kind, alert, subject):
                    self.changes.remove(change)
                    return change
            return None

        return self.wait_for(f"no {kind} {alert} of {subject}", look, timeout_s)

    def delivered(self, change: Change, posted: list[dict[str, Any]]) -> None:
        """The change arrives at bus, log and webhook, in time."""
        event = {"kind": change.kind.value, "alert_id": change.alert.alert_id}

        def at_the_webhook() -> Any:
            return next((body for body in posted if event.items() <= body.items()), None)

        def on_the_bus() -> Any:
            wanted = f"mts.v1.watchdog.alerts.{change.kind.value}"
            return next((e for subject, e in self.heard if subject == wanted and e.alert_id == event["alert_id"]), None)

        def in_the_log() -> Any:
            return next((line for line in self.log.lines if change.alert.subject in line), None)

        for place in (at_the_webhook, on_the_bus, in_the_log):
            self.wait_for(f"{event} is not {place.__name__}", place, WITHIN_S)

    def restart(self, plan: WatchdogPlan) -> None:
        """The watchdog ends, and another begins where it ended."""
        self.run(self.worker.close())
        self.worker = self.run(self._begin(plan))

    def close(self) -> None:
        self.run(self._end())
        assert self.failures == []
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        logging.getLogger("mts1b.watchdog").removeHandler(self.log)

    async def _begin(self, plan: WatchdogPlan) -> WatchdogWorker:
        worker = WatchdogWorker(plan, CLOCK, self.failures.append)
        worker.on_change(self.changes.append)
        await worker.start()
        return worker

    async def _listen(self, nats_url: str) -> asyncio.Task[None]:
        return asyncio.create_task(self._hear(nats_url))

    async def _end(self) -> None:
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        await self.worker.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}  # a client's own, of connections that were cut
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _hear(self, nats_url: str) -> None:
        """As a person's program would: a durable consumer of both kinds of event."""
        bus = await eventbus.connect(nats_url)
        try:
            while True:
                try:
                    subscription = await bus.subscribe("mts.v1.watchdog.alerts.*", f"test-{id(self)}", ack_wait_s=2)
                    async for message in subscription:
                        self.heard.append((message.subject, message.event))
                        await message.ack()
                except StackError:  # the tests stop the bus
                    await asyncio.sleep(0.1)
        finally:
            await bus.close()

"""A watchdog's actor as the tests see it: calls made from their own thread."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from actors.watchdog import WatchdogStatistics
from mts1b.deploy.ray_client import NAMESPACE, connect_ray
from mts1b.foundation.clock import NS_PER_S, SystemClock
from mts1b.foundation.errors import StackError
from tests.conftest import RunningStack

T = TypeVar("T")
CLOCK = SystemClock()


def statistics() -> WatchdogStatistics | None:
    """What the actor says; None while it is away."""
    from actors.wiring import running_watchdog

    async def ask() -> WatchdogStatistics | None:
        found = running_watchdog()
        try:
            return None if found is None else await found.statistics()
        except StackError:
            return None

    with ThreadPoolExecutor(1) as apart:  # a session asks from within its own event loop
        return apart.submit(lambda: asyncio.run(ask())).result()


def wait_for(wanted: Callable[[WatchdogStatistics], bool], timeout_s: float = 60.0) -> WatchdogStatistics:
    deadline_ns = CLOCK.monotonic_ns() + int(timeout_s * NS_PER_S)
    while True:
        now = statistics()
        if now is not None and wanted(now):
            return now
        assert CLOCK.monotonic_ns() < deadline_ns, now
        threading.Event().wait(0.2)


def pid(stack: RunningStack) -> int:
    ray = connect_ray(stack.settings)
    handle: Any = ray.get_actor("watchdog", namespace=NAMESPACE)
    return int(ray.get(handle.__ray_call__.remote(lambda _worker: os.getpid())))

"""The watchdog as Ray runs it."""

from __future__ import annotations

from collections.abc import Callable

import ray

from actors.watchdog import WatchdogPlan, WatchdogWorker
from mts1b.foundation.clock import SystemClock


class WatchdogActor(WatchdogWorker):
    """One for a stack, whatever trades on it. It begins by itself, also when Ray has started it again."""

    def __init__(self, plan: WatchdogPlan, give_up: Callable[[BaseException], None]) -> None:
        super().__init__(plan, SystemClock(), give_up)
        ray.get_runtime_context().current_actor.start.remote()

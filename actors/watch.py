"""Begin the stack's watchdog: `python -m actors.watch DATA_DIR`, as its supervisor does each time that Ray is new."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from actors.watchdog import WatchdogPlan, WatchdogStatistics
from mts1b.config import Settings, load_settings
from mts1b.deploy.endpoints import endpoints
from mts1b.deploy.observation import observation, targets_dir
from mts1b.deploy.ray_client import connect_ray
from mts1b.foundation.errors import MtsError
from mts1b.platform.logging import get_logger, setup_logging


def plan_of(settings: Settings) -> WatchdogPlan:
    """What to watch: the stack as it is up now. StackError when it is not."""
    return WatchdogPlan(endpoints(settings), settings, str(targets_dir(settings)))


def begin(settings: Settings) -> WatchdogStatistics:
    """Start the actor, or find it, and say what it has done so far. StackError when the stack is down or lacks Ray."""
    plan = plan_of(settings)
    connect_ray(settings)
    from actors.wiring import start_watchdog  # after the connection, which sets the environment Ray reads

    async def work() -> WatchdogStatistics:
        found = start_watchdog(plan, observation(settings, plan.stack))
        await found.start()
        return await found.statistics()

    return asyncio.run(work())


def main(arguments: list[str]) -> int:
    """Exit code 0 once it watches, that of the error otherwise."""
    setup_logging("watchdog")
    try:
        begin(load_settings(data_dir=Path(arguments[0])))
    except MtsError as error:
        get_logger("mts1b.watchdog").error("the watchdog does not begin", problem=str(error))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

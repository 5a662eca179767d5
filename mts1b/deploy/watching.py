"""How the supervisor has the watchdog begun: by a process that hands its actor to Ray and ends."""

from __future__ import annotations

import sys

from mts1b.config import child_environment
from mts1b.deploy.part import Part
from mts1b.deploy.plan import Plan
from mts1b.deploy.ray_head import SETTINGS_OF_A_CLIENT


def watchdog_errand(plan: Plan) -> Part:
    """The process to run on a stack that is up; it ends with 0 once the watchdog watches."""
    environment = child_environment(MTS_DATA_DIR=plan.data_dir)

    async def answers() -> bool:
        return True

    return Part(
        name="watchdog",
        command=(sys.executable, "-P", "-m", "actors.watch", plan.data_dir),
        environment={key: value for key, value in environment.items() if key not in SETTINGS_OF_A_CLIENT},
        work_dir=plan.root,
        log_path=plan.log_dir / "watchdog.log",
        fields={},
        prepare=lambda: None,
        answers=answers,
    )

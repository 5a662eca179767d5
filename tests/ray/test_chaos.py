"""A live fund's processes killed and stopped under load: a short run of what `mts chaos` does for long."""

from __future__ import annotations

import asyncio

import pytest

from mts1b.deploy.health import read_states
from mts1b.foundation.clock import SystemClock
from mts1b.testing.chaos import run
from mts1b.testing.chaos.stand import Chain
from tests.conftest import RunningStack


@pytest.mark.timeout(240)
def test_nothing_is_lost_or_doubled_when_processes_die_under_load(ray_stack: RunningStack) -> None:
    async def struck() -> tuple[list[run.Trial], int]:
        chain, done = Chain(), []
        async for trial in run.trials(ray_stack.settings, 1, 11, SystemClock(), chain, ("risk", "exchange")):
            done.append(trial)
        return done, chain.links

    done, links = asyncio.run(struck())
    assert [trial.violations for trial in done] == [()]
    assert min(trial.orders for trial in done) > 0 and links > sum(trial.orders for trial in done)
    assert not [name for name in read_states(ray_stack.settings) if name.startswith(("desk-", "exchange-"))]

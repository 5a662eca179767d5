"""Begin and end a live fund on a running stack."""

from __future__ import annotations

import asyncio

from actors.desk import DeskPlan
from actors.live_files import LivePlan
from mts1b.config import Settings
from mts1b.deploy.endpoints import endpoints
from mts1b.deploy.health import read_states
from mts1b.deploy.live import HOLD_FILE, PROGRESS_FILE, VenueCosts, fund_folder, parts_of
from mts1b.deploy.ray_client import connect_ray
from mts1b.deploy.stack import keep, let_go
from mts1b.foundation.clock import Clock
from mts1b.foundation.errors import StackError
from mts1b.foundation.ids import FundId


def begin(settings: Settings, plan: DeskPlan, costs: VenueCosts, interval_s: float, clock: Clock) -> None:
    """Write down what the fund is to trade and have its exchange and desk kept running; returns once they are up.

    Harmless when they are up: the fund goes on with what it trades. StackError when the stack is down or lacks Ray.
    """
    if not endpoints(settings).ray_address:
        raise StackError("ray", str(settings.data_dir), "this stack runs without Ray", "run `mts up`")
    folder, parts = fund_folder(settings.data_dir, plan.fund_id), parts_of(plan.fund_id)
    if parts[1] not in read_states(settings):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / HOLD_FILE).unlink(missing_ok=True)
        (folder / PROGRESS_FILE).unlink(missing_ok=True)
        costs.save(folder)
        LivePlan(plan, interval_s).save(folder, connect_ray(settings).cloudpickle.dumps)
    keep(settings, clock, parts)


def end(settings: Settings, fund_id: FundId, clock: Clock) -> None:
    """Stop the desk, with its actors, then the exchange. Harmless when they do not run."""
    exchange, desk = parts_of(fund_id)
    let_go(settings, clock, desk)
    if endpoints(settings).ray_address:
        connect_ray(settings)
        from actors.wiring import end_desk  # after the connection, as always

        asyncio.run(end_desk(fund_id))
    let_go(settings, clock, exchange)

"""A live desk's sessions: what is written down comes back, and a session held twice trades once."""

from __future__ import annotations

import asyncio
import pickle
from pathlib import Path
from typing import cast

import numpy as np

from actors.live import LiveDesk, Progress, progress_of, session
from actors.live_files import LivePlan, kept_panel
from actors.local import local_desk
from mts1b.brokers.paper.client import PaperMarket
from mts1b.deploy.live import HOLD_FILE
from mts1b.foundation.clock import SystemClock
from mts1b.testing.bus import MemoryBus
from mts1b.testing.journal import MemoryJournal, MemoryStore
from mts1b.testing.venue import MemoryVenue
from tests.paper_market import FIRST, small_plan

CLOCK = SystemClock()


def test_a_plan_and_its_panel_come_back_from_the_folder(tmp_path: Path) -> None:
    plan = small_plan("kept")
    LivePlan(plan, 0.5).save(tmp_path, pickle.dumps)
    back = LivePlan.load(tmp_path)
    assert back.interval_s == 0.5
    assert (back.desk.fund_id, back.desk.limits, back.desk.values) == (plan.fund_id, plan.limits, plan.values)
    np.testing.assert_array_equal(back.desk.panel.close, plan.panel.close)
    assert kept_panel(tmp_path).get().symbols == plan.panel.symbols


def test_progress_is_replaced_whole(tmp_path: Path) -> None:
    assert progress_of(tmp_path) == {}
    Progress(7, "trading", pids={"oms": 8}).save(tmp_path)
    assert progress_of(tmp_path)["pids"] == {"oms": 8}


def test_a_session_held_twice_trades_once() -> None:
    async def run() -> tuple[list[int], int]:
        plan, store, venue = small_plan("twice"), MemoryStore(), MemoryVenue(CLOCK)
        desk = local_desk(plan, MemoryJournal(store, plan.fund_id), MemoryBus(), venue, venue, CLOCK)
        counts = []
        for row, opened in ((FIRST, False), (FIRST, True), (FIRST + 1, False), (FIRST + 1, True)):
            await session(desk, row, opened)
            counts.append(len(store.orders))
        return counts, len(venue.exchange.orders)

    counts, at_venue = asyncio.run(run())
    assert counts[0] == counts[1] > 0 and counts[2] == counts[3] == at_venue


def test_a_desk_that_is_held_has_an_oms_that_tells_what_it_has_to(tmp_path: Path) -> None:
    """What a lost OMS had journalled and not published must not wait for the next session."""

    async def run() -> tuple[int, MemoryBus, Progress]:
        plan, store, venue, bus = small_plan("held"), MemoryStore(), MemoryVenue(CLOCK), MemoryBus()
        bus.is_down = True
        before = local_desk(plan, MemoryJournal(store, plan.fund_id), bus, venue, venue, CLOCK)
        for row in (FIRST, FIRST + 1):
            await session(before, row, opened=False)
        await before.oms.close()
        waiting = len(store.outbox)
        (tmp_path / HOLD_FILE).touch()
        bus.is_down = False
        after = local_desk(plan, MemoryJournal(store, plan.fund_id), bus, venue, venue, CLOCK)
        live = LiveDesk(LivePlan(plan), after, cast(PaperMarket, venue), tmp_path, CLOCK)
        running = asyncio.create_task(live.run())
        async with asyncio.timeout(10):
            while store.outbox:  # noqa: ASYNC110 nothing tells of it
                await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.wait([running])
        await after.oms.close()
        return waiting, bus, live.progress

    waiting, bus, progress = asyncio.run(run())
    assert waiting > 0 and len(bus.published) == waiting
    assert (progress.state, progress.sessions) == ("held", 0)

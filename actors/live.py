"""The desk of a live fund: `python -m actors.live DATA_DIR FUND`, kept running by the stack's supervisor.

It sees to it that the fund's five actors are there, and lets session after session of the replayed market take place.
It knows nothing that it could lose: where the market stands, the exchange says. However it ends, its actors stay, and
the next one finds them (`actors.live_fund.end` ends them).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from bisect import bisect_left
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from actors.desk import Desk
from actors.live_files import LivePlan, kept_panel
from actors.strategy import Rebalanced
from mts1b.brokers.paper.client import PaperMarket
from mts1b.brokers.paper.endpoint import Endpoint, read_endpoint
from mts1b.config import Settings, load_settings
from mts1b.deploy.endpoints import endpoints
from mts1b.deploy.health import read_states
from mts1b.deploy.live import HOLD_FILE, PROGRESS_FILE, READY_FILE, fund_folder
from mts1b.deploy.observation import observation
from mts1b.deploy.ray_client import connect_ray
from mts1b.deploy.ray_head import head_answers
from mts1b.foundation.clock import NS_PER_S, Clock, SystemClock
from mts1b.foundation.errors import MtsError
from mts1b.foundation.ids import FundId
from mts1b.platform.logging import get_logger, setup_logging

LOG = get_logger("mts1b.live")
RETRY_S = 0.2
HELD_POLL_S = 0.05
ROLES = ("feed", "strategy", "risk", "oms", "broker")


@dataclass(slots=True)
class Progress:
    """Where the desk is. `state`: trading, held, ended or waiting (then `problem` says for what). Times UTC ns.

    `pids`: of the actors, as they answered after the last session; `began_ns`, `ended_ns`: of that session.
    """

    pid: int
    state: str = "starting"
    problem: str = ""
    row: int = -1
    rows: int = 0
    sessions: int = 0
    orders: int = 0
    began_ns: int = 0
    ended_ns: int = 0
    pids: dict[str, int] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Replace the file at once, so that nobody reads half of it."""
        fresh = folder / f".{PROGRESS_FILE}"
        fresh.write_text(json.dumps(asdict(self)))
        fresh.replace(folder / PROGRESS_FILE)


class LiveDesk:
    """Conducts one fund's sessions, each repeated until it is whole; every step of one may be repeated."""

    def __init__(self, plan: LivePlan, desk: Desk, market: PaperMarket, folder: Path, clock: Clock) -> None:
        self._plan, self._desk, self._market, self._folder, self._clock = plan, desk, market, folder, clock
        self._times = plan.desk.panel.ts_ns.tolist()
        self._done = -1
        self.progress = Progress(os.getpid(), rows=len(self._times))

    async def run(self) -> None:
        """Until it is cancelled. Also between sessions the OMS is up: it recovers, and tells the bus what it has to."""
        while True:
            try:
                if (self._folder / HOLD_FILE).exists():
                    await self._held()
                elif not await self._next():
                    self._note("ended")
                    await self._desk.oms.start()
                    await asyncio.sleep(1.0)
            except MtsError as error:
                LOG.warning("a session is repeated", row=self._done + 1, problem=str(error))
                self._note("waiting", str(error))
                await asyncio.sleep(RETRY_S)

    async def _held(self) -> None:
        """A second at most of holding no session, with an OMS that works."""
        await self._desk.oms.start()
        for _ in range(int(1.0 / HELD_POLL_S)):
            self._note("held")
            await asyncio.sleep(HELD_POLL_S)
            if not (self._folder / HOLD_FILE).exists():
                return

    async def _next(self) -> bool:
        """One session, or what is left of it. False when the panel has no more."""
        began_ns, market_ns = self._clock.now_ns(), await self._market.market_ns()
        row = self._row_at(market_ns)
        if row >= len(self._times):
            return False
        decided = await session(self._desk, row, opened=self._times[row] <= market_ns)
        pids = await asyncio.gather(*(getattr(self._desk, role).pid() for role in ROLES))
        self._done, now = row, self.progress
        now.row, now.sessions, now.orders = row, now.sessions + 1, now.orders + decided.orders
        now.began_ns, now.ended_ns, now.pids = began_ns, self._clock.now_ns(), dict(zip(ROLES, pids, strict=True))
        self._note("trading")
        await asyncio.sleep(max(0.0, self._plan.interval_s - (now.ended_ns - began_ns) / NS_PER_S))
        return True

    def _row_at(self, market_ns: int) -> int:
        """The session to hold: the one that the market is in, unless it has been held to its end."""
        row = max(bisect_left(self._times, market_ns), self._plan.desk.first)
        return row + 1 if row == self._done else row

    def _note(self, state: str, problem: str = "") -> None:
        self.progress.state, self.progress.problem = state, problem
        try:
            self.progress.save(self._folder)
        except OSError as error:  # trading goes on, whether it can be told or not
            LOG.warning("progress is not written", problem=error.strerror)


async def session(desk: Desk, row: int, opened: bool) -> Rebalanced:
    """One session: auction, booked fills, marks, decision. `opened`: its auction was held before."""
    if not opened:
        await desk.oms.caught_up((await desk.feed.open_session(row)).sequence)
    bar = await desk.feed.close_session(row)
    await desk.oms.caught_up(bar.sequence)
    await desk.oms.mark(bar.closes, bar.ts_ns)
    return await desk.strategy.on_bar(bar)


async def found_venue(folder: Path) -> Endpoint:
    """Where the fund's exchange answers, once it has said so."""
    while True:
        endpoint = await asyncio.to_thread(read_endpoint, folder)
        if endpoint is not None:
            return endpoint
        await asyncio.sleep(RETRY_S)


async def ray_is_up(settings: Settings) -> None:
    """Returns once the cluster takes work; asked before Ray's own client is, which waits long and ends processes."""
    while True:
        found = endpoints(settings)
        if not found.dashboard_url:
            return
        if head_pid(settings):
            token = await asyncio.to_thread(Path(found.ray_token_path).read_text)
            if await head_answers(found.dashboard_url, found.ray_agent_url, token):
                return
        await asyncio.sleep(RETRY_S)


def head_pid(settings: Settings) -> int:
    """The process of the stack's Ray head while it is up; 0 while it is not, or is not ours."""
    state = read_states(settings).get("ray", {})
    return int(str(state.get("pid", 0))) if state.get("state") == "up" else 0


async def head_lost(settings: Settings) -> None:
    """Returns once the head that is up now is another or gone. Its actors are then gone too, and Ray's client would go
    on asking for them: it takes the next head, at the same address, for the one it knew."""
    first = head_pid(settings)
    while True:
        await asyncio.sleep(RETRY_S)
        if first and head_pid(settings) != first:
            return


async def keep(settings: Settings, fund_id: FundId) -> None:
    """Bring the desk up, or find it, and conduct it until SIGTERM or SIGINT."""
    folder, told = fund_folder(settings.data_dir, fund_id), asyncio.Event()
    venue, _ = await asyncio.gather(found_venue(folder), ray_is_up(settings))
    connect_ray(settings)
    plan = await asyncio.to_thread(LivePlan.load, folder)  # a user's strategy may need Ray's pickle
    from actors.wiring import ray_desk  # after the connection, which sets the environment Ray reads

    for number in (signal.SIGTERM, signal.SIGINT):  # Ray has set its own
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    stack, market = endpoints(settings), PaperMarket(venue)
    watched = observation(settings, stack)
    async with ray_desk(plan.desk, stack, venue, settings, watched, kept_panel(folder)) as desk:
        live = LiveDesk(plan, desk, market, folder, SystemClock())
        await asyncio.to_thread((folder / READY_FILE).touch)
        trading = asyncio.ensure_future(live.run())
        lost, ends = asyncio.ensure_future(head_lost(settings)), asyncio.ensure_future(told.wait())
        await asyncio.wait({trading, lost, ends}, return_when=asyncio.FIRST_COMPLETED)
        if lost.done():
            LOG.warning("the Ray head is lost; the desk begins again")
            os._exit(1)  # Ray's client would wait for the head on its way out
        lost.cancel()
    if trading.done():
        trading.result()  # what no repetition mends ends this process; the supervisor starts the next
    trading.cancel()
    await asyncio.wait([trading])
    await market.close()


def main(arguments: list[str]) -> int:
    """Exit code 0 when told to end, that of the error otherwise."""
    data_dir, fund_id = arguments
    setup_logging("live")
    try:
        asyncio.run(keep(load_settings(data_dir=Path(data_dir)), FundId(fund_id)))
    except MtsError as error:
        LOG.error("the desk ends", problem=str(error))
        return error.exit_code
    return 0


def progress_of(folder: Path) -> dict[str, Any]:
    """What the desk noted last; empty when it has not."""
    try:
        return dict(json.loads((folder / PROGRESS_FILE).read_text()))
    except FileNotFoundError:
        return {}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""One OMS process: its worker, its risk engine, its journal, its broker, as they are wired in actors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any, cast

import numpy as np

from actors.local import Local
from actors.oms import OmsWorker, RiskMarks
from mts1b.foundation.clock import NS_PER_MS
from mts1b.foundation.commands import SubmitGroup, SubmitOrder
from mts1b.foundation.errors import InvariantBroken, LeaseLost, StackError, VenueError
from mts1b.foundation.ids import FundId, Symbol
from mts1b.foundation.order import Order
from mts1b.oms.local_risk import LocalRisk
from mts1b.oms.ports import NoRecorder
from mts1b.oms.service import Oms
from mts1b.platform.telemetry import Recorder
from mts1b.riskengine.service import RiskService
from mts1b.riskengine.verdict import Standing
from mts1b.testing.bus import MemoryBus
from mts1b.testing.journal import MemoryStore
from mts1b.testing.risk import plain_master, wide_limits
from mts1b.testing.sim.auditor import Auditor
from mts1b.testing.sim.broker import SimBroker
from mts1b.testing.sim.faults import Fault, Kind
from mts1b.testing.sim.journal import SimJournal
from mts1b.testing.sim.loop import Process, SimClock, SimLoop
from mts1b.testing.sim.network import Network
from mts1b.testing.sim.risk import RiskProcess, WatchedRisk
from mts1b.testing.sim.venue import SimVenue

FUND = FundId("fund")
SYMBOLS = (Symbol("A"), Symbol("B"), Symbol("C"))
PRICE = 10
OPENING_CASH = 1_000_000
RISK_APART_RATIO = 0.5
"""How many hosts have their risk engine in a process of its own."""

OFFSET_NS = 200 * NS_PER_MS
LIMITS = wide_limits(
    SYMBOLS,
    quantity_max="400",
    name_to_nav_max="0.008",
    leverage_max="0.05",
    net_to_nav_max="0.05",
    price_collar="0.4",
    day_drawdown_reduce="0.0008",
    day_drawdown_halt="0.0016",
    peak_drawdown_reduce="0.001",
    peak_drawdown_halt="0.002",
)
MASTER = plain_master(SYMBOLS)
COVARIANCE = np.diag([1e-4] * len(SYMBOLS))


class Host:
    """A process with an OMS. `points` are the faults that wait at persistence points, by the commit's number."""

    def __init__(
        self,
        number: int,
        loop: SimLoop,
        random: Random,
        store: MemoryStore,
        bus: MemoryBus,
        venue: SimVenue,
        at_venue: Process,
        network: Network,
        auditor: Auditor,
        note: Callable[[str], None],
        trouble: Callable[[Host, bool], Fault | None],
    ) -> None:
        self.process = Process(loop, f"oms-{number}")
        self.clock = SimClock(loop, random.randint(-OFFSET_NS, OFFSET_NS))
        self.auditor, self._note, self._trouble = auditor, note, trouble
        self.journal = SimJournal(store, FUND, SimClock(loop), random, self, auditor)
        self._at_hand = self._risk()
        self.risk_process = (
            RiskProcess(f"risk-{number}", loop, random, self.process, self._risk)
            if random.random() < RISK_APART_RATIO
            else None
        )
        risk = LocalRisk(self._at_hand) if self.risk_process is None else self.risk_process.link
        broker = SimBroker(venue, at_venue, self.process, network, self.clock, self._sent)
        self.oms = Oms(
            FUND,
            self.journal,
            risk,
            broker,
            bus,
            self.clock,
            auditor.opening_cash,
            NoRecorder(),
            content_window_s=0.05,
        )
        marks: RiskMarks = cast(RiskMarks, Local(self._at_hand))
        if self.risk_process is not None:
            marks = self.risk_process.link
            self.risk_process.link.restore_it = self.oms.restore_risk
        self.worker = OmsWorker(self._built, broker, marks, cast(Recorder, NoRecorder()), self._give_up)
        self._was_ready = False
        self.cancel, self.cancel_all, self.replace = self.worker.cancel, self.worker.cancel_all, self.worker.replace
        self.mark, self.resume, self.rearm = self.worker.mark, self.worker.resume, self.worker.rearm

    def start(self) -> None:
        """Begin, as Ray does with an actor that is called."""
        self.process.start(self._run())

    @property
    def is_up(self) -> bool:
        return not (self.process.is_dead or self.process.is_stopped)

    @property
    def risk(self) -> RiskService:
        """The fund's risk engine, wherever it runs."""
        return self._at_hand if self.risk_process is None else self.risk_process.service

    def look(self) -> None:
        """At the end of an instant: an OMS that takes orders has a risk engine at hand that knows of them all."""
        if self.risk_process is not None:
            return
        steps = self.oms._steps
        ready = steps.ready and steps.accepting and self.is_up and self.journal.holds_lease()
        if ready and not self._was_ready:
            self.auditor.recheck()
        self._was_ready = ready
        if ready:
            self.auditor.look_at_risk(self.risk)

    async def submit(self, command: SubmitOrder) -> Order:
        """As the worker; whoever is told of an order may rely on it."""
        order = await self.worker.submit(command)
        self.auditor.told(order)
        return order

    async def submit_group(self, command: SubmitGroup) -> tuple[Order, ...]:
        made = await self.worker.submit_group(command)
        for order in made:
            self.auditor.told(order)
        return made

    async def halt(self) -> Standing:
        """As the worker; whoever is told that the fund is halted may rely on it."""
        halts = self.auditor.halts
        standing = await self.worker.halt()
        self.auditor.halted(halts)
        return standing

    async def before_point(self) -> None:
        await self._meet(self._trouble(self, True))

    async def after_point(self) -> None:
        await self._meet(self._trouble(self, False))

    async def _meet(self, fault: Fault | None) -> None:
        if fault is None:
            return
        if fault.kind in (Kind.FAIL_BEFORE, Kind.FAIL_AFTER):
            raise StackError("journal", FUND, "the connection was lost in the middle of a commit", "recover")
        await asyncio.sleep(0)  # the process was killed or stopped: this is as far as it comes

    def _risk(self) -> WatchedRisk:
        """A fresh risk engine."""
        made = WatchedRisk(FUND, LIMITS, self.clock, MASTER)
        made.set_covariance(SYMBOLS, COVARIANCE)
        made.auditor, made.counts, made.worst = self.auditor, self.journal.holds_lease, {}
        return made

    async def _built(self, _recorder: Recorder) -> Oms:
        return self.oms

    async def _run(self) -> None:
        """Start; when that fails, whoever calls next starts it again."""
        try:
            await self.worker.start()
        except (StackError, VenueError, LeaseLost) as error:
            self._note(f"{self.process.name} could not start: {error}")
        except Exception as error:  # noqa: BLE001 whatever it is, the process cannot go on
            self._give_up(error)

    def _give_up(self, error: BaseException) -> None:
        if isinstance(error, InvariantBroken):
            self.auditor.found(str(error))
        self._note(f"{self.process.name} gave up: {error}")
        self.process.kill()

    def _sent(self, what: str, subject: Any) -> None:
        self.auditor.sent(self.journal, what, subject)

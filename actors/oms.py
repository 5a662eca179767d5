"""The OMS worker: keeps one fund's OMS in step with its venue's reports, and brings it back when it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any, Protocol

from actors.portfolio import Holdings
from actors.referring import REFER_S, Referring
from mts1b.brokers.port import Broker, VenueReport
from mts1b.foundation.alerts import AlertPort, Finding, NoAlerts, Severity
from mts1b.foundation.commands import CancelAll, CancelOrder, ReplaceOrder, SubmitGroup, SubmitOrder
from mts1b.foundation.errors import InvariantBroken, LeaseLost, MtsError, StackError, VenueError
from mts1b.foundation.events import CashMoved, NavMarked
from mts1b.foundation.ids import Symbol
from mts1b.foundation.limits import LEASE_S, QUEUE_DEPTH_MAX, START_TIMEOUT_S
from mts1b.foundation.order import Order
from mts1b.oms.recovery import RecoveryReport
from mts1b.oms.service import Oms
from mts1b.platform.logging import get_logger
from mts1b.platform.telemetry import Recorder
from mts1b.riskengine.verdict import Mode, Standing

_LOG = get_logger("mts1b.oms")

BATCH_REPORTS = 64
"""Reports followed at once: an auction of hundreds of fills lets orders in between."""
RETRY_S = 0.2
RETRY_S_MAX = 5.0
LOCK_RETRY_S = 0.25
MARK_ATTEMPTS_MAX = 50
RECOVERY_ALERT_S = 300.0
"""How long a recovery stays an alert, counted from the last one."""

HALT_ALERT_S = 60.0
"""How long a failed recovery stays an alert; the next one follows within seconds."""

SETTLE_S = 1.0
"""How often the venue is asked again about orders and cancels that it has not answered."""


class RiskMarks(Protocol):
    """Where risk takes new prices, in order with everything else it hears from the OMS."""

    async def mark(self, prices: Mapping[Symbol, Decimal], ts_ns: int) -> NavMarked: ...

    async def standing(self) -> Standing: ...


class OmsWorker:
    """`start` recovers and follows the venue; the other calls start it when nobody has, as after a restart.

    What recovery cannot mend (LeaseLost for twice as long as a lease, InvariantBroken) is handed to `give_up`, which
    ends the process so that the next one begins with the journal; without it every later call raises it.
    """

    def __init__(
        self,
        build: Callable[[Recorder], Awaitable[Oms]],
        broker: Broker,
        risk: RiskMarks,
        recorder: Recorder,
        give_up: Callable[[BaseException], None] | None = None,
        alerts: AlertPort = NoAlerts(),
        referring: Referring | None = None,
    ) -> None:
        self._build, self._broker, self._risk, self._recorder = build, broker, risk, recorder
        self._give_up, self._alerts, self._referring = give_up, alerts, referring
        self._oms: Oms | None = None
        self._starting = asyncio.Lock()
        self._followed = asyncio.Condition()
        self._sequence = 0
        self._follower: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None
        self._recovery: RecoveryReport | None = None
        self._beginning: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Start without being asked, however often that takes. Returns at once.

        A desk that is held calls nobody: until it trades again nothing would follow the venue, or publish what waits.
        """
        self._beginning = asyncio.create_task(self._begin())

    async def start(self) -> RecoveryReport:
        """Recover from the journal, then accept work. Does nothing when it has already."""
        async with self._starting:
            if self._recovery is None:
                self._oms = self._oms or await self._build(self._recorder)
                self._recovery = await _recovered(self._oms)
                self._sequence = self._recovery.report_sequence
                self._follower = asyncio.create_task(self._follow(self._oms))
                self._follower.add_done_callback(self._ended)
            return self._recovery

    async def submit(self, command: SubmitOrder) -> Order:
        return await (await self._running()).submit(command)

    async def submit_group(self, command: SubmitGroup) -> tuple[Order, ...]:
        return await (await self._running()).submit_group(command)

    async def replace(self, command: ReplaceOrder) -> Order:
        return await (await self._running()).replace(command)

    async def cancel(self, command: CancelOrder) -> Order:
        return await (await self._running()).cancel(command)

    async def cancel_all(self, command: CancelAll) -> list[Order]:
        return await (await self._running()).cancel_all(command)

    async def halt(self, mode: Mode = Mode.HALTED, by: str = "", why: str = "") -> Standing:
        """A person's word that holds until `resume` or `rearm`, whatever restarts; HALTED cancels all that is open."""
        return await (await self._running()).halt(mode, by, why)

    async def resume(self, by: str = "", why: str = "") -> Standing:
        """Take that word back."""
        return await (await self._running()).resume(by, why)

    async def rearm(self, by: str = "", why: str = "") -> Standing:
        """A person's word that the fund may trade again, whatever held it."""
        return await (await self._running()).rearm(by, why)

    async def move_cash(self, move: CashMoved) -> Decimal:
        """Money came or went without a trade; returns the cash after it."""
        return await (await self._running()).move_cash(move)

    async def mark(self, prices: Mapping[Symbol, Decimal], ts_ns: int) -> NavMarked:
        """Value the fund, here and in risk. InvariantBroken when the two books do not agree."""
        oms = await self._running()
        for _ in range(MARK_ATTEMPTS_MAX):
            book = oms.book
            marked = await oms.mark(prices, ts_ns)
            theirs = await self._risk.mark(prices, ts_ns)
            if oms.book is not book:
                continue  # a fill came between the two: they are of different moments
            if (marked.nav, marked.cash) != (theirs.nav, theirs.cash):
                raise InvariantBroken("nav", marked.nav, f"risk has {theirs.nav}")
            await oms.note_standing(await self._risk.standing())
            return marked
        raise StackError("nav", oms.fund_id, "fills come faster than the fund can be valued", "mark it again")

    async def holdings(self) -> Holdings:
        """NAV at the last marks, positions and open orders. StackError before the first mark."""
        oms = await self._running()
        nav = oms.nav()
        if nav is None:
            raise StackError("nav", oms.fund_id, "is unknown: a name that is held has no price", "mark the fund first")
        working: dict[Symbol, Decimal] = {}
        for order in oms.open_orders():
            working[order.symbol] = working.get(order.symbol, Decimal(0)) + order.side.sign * order.open_quantity
        positions = {item.symbol: item.quantity for item in oms.book.positions.values() if item.quantity}
        return Holdings(nav, positions, working)

    async def caught_up(self, sequence: int) -> None:
        """Returns once every venue report up to `sequence` is journalled. StackError when they do not come."""
        await self._running()
        try:
            async with asyncio.timeout(START_TIMEOUT_S), self._followed:
                await self._followed.wait_for(lambda: self._sequence >= sequence)
        except TimeoutError:
            problem = f"venue reports stop at {self._sequence}, {sequence} expected"
            raise StackError("oms", "reports", problem, "is the venue up?") from None

    async def drain(self) -> int:
        """Wait until the bus has everything so far."""
        return await (await self._running()).drain()

    async def restore_risk(self) -> None:
        """Give a restarted risk engine the journal's view."""
        await (await self._running()).restore_risk()

    async def statistics(self) -> dict[str, Any]:
        """As the OMS, and the version of the limits that risk goes by: 0 when they were handed in."""
        told = (await self._running()).statistics()
        return {**told, "limits_version": 0 if self._referring is None else self._referring.reference.limits_version}

    async def order_counts(self) -> dict[str, int]:
        """Every order of the fund by its status, from the journal."""
        return await (await self._running()).order_counts()

    async def durations(self) -> Recorder:
        """What each step took so far."""
        return self._recorder

    async def close(self) -> None:
        """Let orders in flight finish and stop being the fund's writer. Open orders stay at the venue."""
        tasks = [task for task in (self._beginning, self._follower) if task is not None]
        self._beginning = self._follower = None
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._oms is not None:
            await self._oms.close()

    async def _begin(self) -> None:
        wait_s = RETRY_S
        while True:
            try:
                await self.start()
                return
            except (VenueError, StackError, LeaseLost) as error:  # anything else the next caller hears of
                _LOG.warning("the OMS has not started yet", problem=str(error))
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, RETRY_S_MAX)

    async def _running(self) -> Oms:
        if self._recovery is None or self._oms is None:
            await self.start()
        assert self._oms is not None
        if self._failure is not None:
            raise self._failure
        return self._oms

    def _ended(self, follower: asyncio.Task[None]) -> None:
        """The follower never returns: it was cancelled by `close`, or it met what recovery cannot mend."""
        if follower.cancelled():
            return
        self._failure = follower.exception()
        if self._failure is not None and self._give_up is not None:
            self._give_up(self._failure)

    async def _follow(self, oms: Oms) -> None:
        """Follow the venue for ever; after a failure of venue or journal, recover and go on."""
        while True:
            try:
                await self._follow_reports(oms)
            except (VenueError, StackError):
                await self._recover_again(oms)

    async def _follow_reports(self, oms: Oms) -> None:
        waiting: asyncio.Queue[VenueReport] = asyncio.Queue(QUEUE_DEPTH_MAX)

        async def listen() -> None:
            async for report in self._broker.reports(oms.report_sequence):
                await waiting.put(report)
            raise VenueError("venue", oms.fund_id, "ended its reports", "connect again")

        async def book() -> None:
            while True:
                batch = [await waiting.get()]
                while len(batch) < BATCH_REPORTS and not waiting.empty():
                    batch.append(waiting.get_nowait())
                await oms.on_reports(batch)
                async with self._followed:
                    self._sequence = max(self._sequence, batch[-1].sequence)
                    self._followed.notify_all()

        async def watch() -> None:
            await oms.failed()
            raise StackError("oms", oms.fund_id, "memory and journal have parted", "recover")

        async def settle() -> None:
            while True:
                await asyncio.sleep(SETTLE_S)
                await oms.settle()

        async def refer() -> None:
            while self._referring is not None:
                await self._referring.refresh(oms)
                await asyncio.sleep(REFER_S)
            await asyncio.Event().wait()

        tasks = [asyncio.create_task(task()) for task in (listen, book, watch, settle, refer)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _recover_again(self, oms: Oms) -> None:
        """Recover, however often it takes; the waits between double up to RETRY_S_MAX."""
        wait_s = RETRY_S
        while True:
            await asyncio.sleep(wait_s)
            try:
                self._recovery = await _recovered(oms)
            except (VenueError, StackError) as error:
                wait_s = min(2 * wait_s, RETRY_S_MAX)
                if wait_s == RETRY_S_MAX:  # not for what passes within seconds
                    self._alerts.tell(halted(oms.fund_id, error))
            else:
                self._alerts.tell(recovered(oms.fund_id, self._recovery))
                return


def halted(fund_id: str, error: MtsError) -> Finding:
    """What the watchdog hears while recovery goes on failing: the fund takes no orders until it succeeds."""
    return Finding("oms_halted", fund_id, Severity.CRITICAL, f"no order is taken: {error}", (), HALT_ALERT_S)


def recovered(fund_id: str, report: RecoveryReport) -> Finding:
    """What the watchdog hears after a failure in the midst of trading."""
    summary = f"venue or journal failed; recovered with {report.open_orders} open orders, {report.in_doubt} in doubt"
    numbers = (("open_orders_count", float(report.open_orders)), ("in_doubt_count", float(report.in_doubt)))
    return Finding("oms_recovered", fund_id, Severity.WARNING, summary, numbers, RECOVERY_ALERT_S)


async def _recovered(oms: Oms) -> RecoveryReport:
    """Recover. A lease that has not run out, as that of a process just lost, is waited for."""
    for _ in range(int(2 * LEASE_S / LOCK_RETRY_S)):
        with suppress(LeaseLost):
            return await oms.recover()
        await asyncio.sleep(LOCK_RETRY_S)
    return await oms.recover()

"""The OMS of one fund as a plain object: the OMS actor holds one and forwards its calls."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from mts1b.brokers.port import Broker, VenueReport
from mts1b.foundation.clock import NS_PER_S, Clock
from mts1b.foundation.commands import CancelOrder, SubmitOrder
from mts1b.foundation.errors import StackError, unknown_name
from mts1b.foundation.events import NavMarked
from mts1b.foundation.ids import FundId, IdempotencyKey, OrderId, Symbol
from mts1b.foundation.limits import DEDUP_WINDOW_S
from mts1b.foundation.order import Order, OrderStatus
from mts1b.oms.book import Book
from mts1b.oms.control import Control
from mts1b.oms.dispatch import STEP_BROKER, Dispatch, message_of
from mts1b.oms.machine import Step
from mts1b.oms.messages import Admission, QueryVenue
from mts1b.oms.outbox import Outbox
from mts1b.oms.ports import BusPort, DuplicateOrder, Entry, JournalPort, JournalState, NoRecorder, Recorder, RiskPort
from mts1b.oms.recovery import RecoveryReport, risk_snapshot
from mts1b.oms.steps import STEP_JOURNAL, Steps
from mts1b.riskengine.gates.idempotency import DUPLICATE_KEY
from mts1b.riskengine.verdict import Decision, Mode, Refused, Standing

STEP_RECEIVE = "oms_receive"
STEP_RISK = "risk_check"
STEP_SUBMIT = "oms_submit"
GATES_TIMED = 7
UNANSWERED = (OrderStatus.IN_DOUBT, OrderStatus.SUBMITTING, OrderStatus.PENDING_CANCEL)

STEPS = (
    STEP_RECEIVE,
    STEP_RISK,
    *(f"risk_gate_{gate}" for gate in range(1, GATES_TIMED + 1)),
    STEP_BROKER,
    STEP_JOURNAL,
    STEP_SUBMIT,
)
"""Every step an OMS records: `oms_receive` is the look-up of the key plus the commit that admits the order,
`risk_check` the round trip to risk, `risk_gate_n` each gate, `broker_submit` the round trip to the venue,
`oms_journal` every commit, `oms_submit` the whole of `submit`."""


class Oms:
    """Takes commands and venue reports, keeps the fund's orders and book. `recover` first; nothing works before.

    All methods belong to one event loop. StackError from any of them means that the journal failed: `recover` again.
    """

    def __init__(
        self,
        fund_id: FundId,
        journal: JournalPort,
        risk: RiskPort,
        broker: Broker,
        bus: BusPort,
        clock: Clock,
        opening_cash: Decimal,
        recorder: Recorder | None = None,
    ) -> None:
        self.fund_id = fund_id
        self._recorder = recorder or NoRecorder()
        self._outbox = Outbox(journal, bus, clock)
        self._steps = Steps(fund_id, journal, risk, self._outbox, clock, self._recorder)
        self._dispatch = Dispatch(self._steps, broker, clock, self._recorder)
        self._journal, self._risk, self._clock = journal, risk, clock
        self._opening_cash = opening_cash
        self._control = Control(fund_id, self._steps.append, risk, clock)
        self._marks: dict[Symbol, Decimal] = {}
        self._admitting: dict[IdempotencyKey, asyncio.Task[Order]] = {}

    # -- asked of it -------------------------------------------------------------------------------------------------

    async def recover(self) -> RecoveryReport:
        """Start, or start again: read the journal, ask the venue about every open order, then accept work.

        An order that the venue has never heard of is sent again under its client order id. Orders whose question
        stays unanswered remain in doubt (`reconcile` asks again). LeaseLost when another OMS writes this fund.
        """
        self._steps.stop()
        await self._journal.open()
        state = await self._load()
        self._steps.load(state, self._opening_cash)
        self._marks = dict(state.marks)
        self._control.load(state)
        self._admitting.clear()  # what was under way ends with StackError; its caller asks again
        if state.cash is None:
            cash = self._opening_cash
            opening = Entry(self.fund_id, self._clock.now_ns(), cash=cash, opening_cash=cash)
            await self._steps.append(opening)
        await self._restore_risk(state)
        self._steps.ready = True
        found = len(self.open_orders())
        doubtful = await self.reconcile()
        self._steps.accepting = True
        self._outbox.wake()
        return RecoveryReport(found, doubtful, self.report_sequence)

    async def submit(self, command: SubmitOrder) -> Order:
        """Take an order through risk and journal to the venue. Returns it as it stands then.

        WORKING once acknowledged; DENIED by a gate, REJECTED by the venue; IN_DOUBT when the venue did not answer. The
        same key again, within a day, gives the order it made then and sends nothing. Goes on when the caller gives up.
        """
        began_ns = self._clock.monotonic_ns()
        self._steps.require_accepting()
        key = IdempotencyKey(str(command.idempotency_key))  # whatever came: gate 1 refuses what is not text
        if key not in self._admitting:
            existing = await self._steps.held(self._existing(key))
            if existing is not None:
                self._steps.counts["duplicates"] += 1
                return existing
        if key in self._admitting:
            self._steps.counts["duplicates"] += 1
        else:
            self._admitting[key] = task = asyncio.create_task(self._admit(command, began_ns))
            task.add_done_callback(lambda ended: self._admitted(key, ended))
        return await asyncio.shield(self._admitting[key])

    async def cancel(self, command: CancelOrder) -> Order:
        """Ask the venue to take an order back. UnknownNameError for an order we do not have."""
        self._steps.require_accepting()
        order = await self._steps.held(self.order(command.order_id))
        if order is None or order.fund_id != self.fund_id:
            raise unknown_name("order_id", command.order_id, [item.order_id for item in self.open_orders()])
        if order.idempotency_key in self._admitting:
            arriving = asyncio.shield(self._admitting[order.idempotency_key])  # it is on its way out: let it arrive
            order = await self._steps.held(arriving)
        return await self._dispatch.take(order, command)

    async def on_report(self, report: VenueReport) -> Order | None:
        """Follow one venue report; returns the order afterwards, None when it is not an order of ours."""
        return (await self.on_reports([report]))[0]

    async def on_reports(self, reports: Sequence[VenueReport]) -> list[Order | None]:
        """Follow reports in their order, with one wait for all commits. Reports that came before change nothing."""
        self._steps.require_ready()
        await self._steps.held(self._find_old(reports))
        waiting: list[Awaitable[None]] = []
        touched: list[Order | None] = []
        steps: list[Step] = []
        try:
            for report in reports:
                order = self._steps.table.by_client(report.client_order_id)
                touched.append(order)
                self._steps.report_sequence = max(self._steps.report_sequence, report.sequence)
                if order is None:
                    self._steps.counts["foreign_reports"] += 1
                else:
                    steps.append(self._steps.decide(order, message_of(order, report)))
                    waiting.append(self._steps.commit(steps[-1]))
        finally:
            await asyncio.gather(*waiting)
        for taken in steps:
            await self._dispatch.perform(taken.order, taken.effects)
        return [None if order is None else self._steps.latest(order) for order in touched]

    async def mark(self, prices: Mapping[Symbol, Decimal], ts_ns: int) -> NavMarked:
        """Value the fund at new prices per share and journal it. DataError when a name that is held has no price."""
        self._steps.require_ready()
        self._marks.update(prices)
        marked = self.book.marked(self._marks, ts_ns)
        await self._steps.append(Entry(self.fund_id, self._clock.now_ns(), nav=marked, marks=tuple(prices.items())))
        self._control.marked_ns = ts_ns
        return marked

    async def halt(self, mode: Mode = Mode.HALTED, by: str = "", why: str = "") -> Standing:
        """A person's word, at once and beyond every restart, until `resume` or `rearm`. HALTED is the kill switch: only
        cancels pass, and every open order is asked back. REDUCING lets through what brings positions nearer to zero."""
        self._steps.require_ready()
        standing = await self._steps.held(self._control.halt(mode, by, why))
        if standing.manual is Mode.HALTED:
            await self.cancel_all(why or "halted")
        return standing

    async def resume(self, by: str = "", why: str = "") -> Standing:
        """Take back a person's `halt`. What the drawdown has latched stays: `rearm` opens that."""
        self._steps.require_ready()
        return await self._steps.held(self._control.resume(by, why))

    async def rearm(self, by: str = "", why: str = "") -> Standing:
        """A person's word that the fund may trade again, whatever held it: drawdown counts from NAV now."""
        self._steps.require_ready()
        return await self._steps.held(self._control.rearm(self.nav(), by, why))

    async def note_standing(self, standing: Standing) -> None:
        """Journal how risk stands when that has changed."""
        await self._control.note(standing)

    async def cancel_all(self, reason: str) -> list[Order]:
        """Ask every open order back, those under way to the venue as well; returns them as they stand then."""
        self._steps.require_accepting()
        asked = [self.cancel(CancelOrder(order.order_id, reason)) for order in self.open_orders()]
        return list(await asyncio.gather(*asked))

    async def reconcile(self) -> int:
        """Ask the venue about every order that it may hold; returns how many stay without an answer."""
        return await self._ask_about(self.open_orders())

    async def settle(self) -> int:
        """Ask again about orders and cancels that the venue has not answered; returns how many stay so."""
        return await self._ask_about(self.unsettled())

    async def restore_risk(self) -> None:
        """Give risk the fund's view again, as after a restart of risk. Orders may be in flight meanwhile."""
        self._steps.require_ready()
        await self._restore_risk(await self._steps.held(self._load()))

    async def drain(self) -> int:
        """Wait until the bus has everything journalled so far; returns how many messages it was given since start."""
        await self._outbox.drain()
        return self._outbox.published

    async def close(self) -> None:
        """Let orders in flight finish, empty the outbox, stop being the writer. The venue keeps what it holds."""
        await asyncio.gather(*self._admitting.values(), return_exceptions=True)
        self._steps.stop()
        await self._outbox.close()
        await self._journal.close()

    async def failed(self) -> None:
        """Returns once memory and journal have parted and `recover` is needed."""
        await self._steps.failed()

    # -- what it knows -----------------------------------------------------------------------------------------------

    @property
    def book(self) -> Book:
        """Cash and positions; a value that does not change."""
        return self._steps.book

    @property
    def report_sequence(self) -> int:
        """The last venue report followed: resume `Broker.reports` after it."""
        return self._steps.report_sequence

    def nav(self) -> Decimal | None:
        """Cash and shares at the last marks; None while a name held has no mark."""
        return self.book.nav(self._marks)

    def open_orders(self) -> list[Order]:
        """Orders that have not ended, oldest first."""
        return list(self._steps.table.open())

    def doubtful(self) -> int:
        """How many orders were sent without an answer so far."""
        return sum(order.status in (OrderStatus.IN_DOUBT, OrderStatus.SUBMITTING) for order in self.open_orders())

    @property
    def standing(self) -> Standing:
        """What holds the fund back."""
        return self._control.standing

    def unsettled(self) -> list[Order]:
        """Orders that were sent, or asked back, without an answer so far, and that nobody is busy with."""
        waiting = [order for order in self.open_orders() if order.status in UNANSWERED]
        return [order for order in waiting if order.idempotency_key not in self._admitting]

    async def order_counts(self) -> dict[str, int]:
        """Every order of the fund by its status, however often anything restarted.

        `denied` has also those refusals since start that made no order of their own.
        """
        counts = {status.value: count for status, count in (await self._journal.order_counts()).items()}
        if unkept := self._steps.counts["refused_unkept"]:
            counts[OrderStatus.DENIED.value] = counts.get(OrderStatus.DENIED.value, 0) + unkept
        return counts

    async def order(self, order_id: OrderId) -> Order | None:
        """One order, however old."""
        return self._steps.table.get(order_id) or await self._journal.order(order_id)

    def statistics(self) -> dict[str, Any]:
        """Counts since start, and where the fund stands."""
        return {
            **self._steps.counts,
            "ready": self._steps.ready,
            "open_orders": len(self.open_orders()),
            "in_doubt": self.doubtful(),
            "cash": self.book.cash,
            "nav": self.nav(),
            "report_sequence": self.report_sequence,
            "published": self._outbox.published,
        }

    # -- inside ------------------------------------------------------------------------------------------------------

    async def _ask_about(self, orders: Sequence[Order]) -> int:
        self._steps.require_ready()
        for listed in orders:
            order = self._steps.latest(listed)
            if order.idempotency_key not in self._admitting and not order.status.is_terminal:
                await self._dispatch.perform(order, (QueryVenue(),))
        return self.doubtful()

    async def _load(self) -> JournalState:
        return await self._journal.load(self._clock.now_ns() - DEDUP_WINDOW_S * NS_PER_S)

    async def _restore_risk(self, state: JournalState) -> None:
        """History from the journal, orders and book from memory, which is ahead of it by what is in flight."""
        self._steps.snapshot_taken()
        await self._risk.restore(risk_snapshot(state, self.book, self.open_orders(), self._marks, self.standing))

    def _admitted(self, key: IdempotencyKey, ended: asyncio.Task[Order]) -> None:
        if self._admitting.get(key) is ended:
            del self._admitting[key]
        if not ended.cancelled():
            ended.exception()  # its caller may have gone: nobody is left to ask

    async def _existing(self, key: IdempotencyKey) -> Order | None:
        found = self._steps.table.by_key(key, self._clock.now_ns() - DEDUP_WINDOW_S * NS_PER_S)
        return None if found is None else await self.order(found)

    async def _find_old(self, reports: Sequence[VenueReport]) -> None:
        """Fetch orders from the journal that reports are about and memory has let go of."""
        for report in reports:
            if self._steps.table.by_client(report.client_order_id) is None:
                old = await self._journal.order_by_client_id(report.client_order_id)
                if old is not None and old.fund_id == self.fund_id:
                    self._steps.table.put(old)

    async def _admit(self, command: SubmitOrder, began_ns: int) -> Order:
        looked_ns = self._clock.monotonic_ns()
        decision = await self._steps.held(self._risk.check(command))
        decided_ns = self._clock.monotonic_ns()
        await self._steps.held(self._control.decided(decision.standing))
        if decision.accepted and self.standing.mode.severity > decision.mode.severity:
            self._risk.release(command.idempotency_key)  # the fund was held back meanwhile: it counts for this one too
            decision = await self._steps.held(self._risk.check(command))
        if isinstance(decision.verdict, Refused) and decision.verdict.reason == DUPLICATE_KEY:
            existing = await self._journal.order_by_key(command.idempotency_key)
            if existing is not None:  # older than the keys in memory
                self._steps.counts["duplicates"] += 1
                return existing
        taken = self._steps.decide(None, Admission(command, decision.verdict))
        order = taken.order
        if taken.is_kept:
            self._steps.table.remember_key(order.idempotency_key, order.order_id, order.created_ns)
        try:
            await self._steps.commit(taken, is_new=True)
        except DuplicateOrder:
            return await self._other_writers_order(command, decision.accepted)
        journalled_ns = self._clock.monotonic_ns()
        self._steps.counts["denied" if isinstance(decision.verdict, Refused) else "submitted"] += 1
        self._steps.counts["refused_unkept"] += not taken.is_kept
        order = await self._dispatch.perform(order, taken.effects)
        self._record(decision, looked_ns - began_ns + journalled_ns - decided_ns, decided_ns - looked_ns)
        self._recorder.record(STEP_SUBMIT, self._clock.monotonic_ns() - began_ns)
        return order

    async def _other_writers_order(self, command: SubmitOrder, accepted: bool) -> Order:
        """The journal barred our order: its key made another before."""
        self._steps.counts["duplicates"] += 1
        if accepted:
            self._risk.release(command.idempotency_key)
        order = await self._journal.order_by_key(command.idempotency_key)
        if order is None:
            raise StackError("journal", command.idempotency_key, "barred a key that it does not hold", "run recover()")
        self._steps.table.remember_key(order.idempotency_key, order.order_id, order.created_ns)
        return order

    def _record(self, decision: Decision, receive_ns: int, risk_ns: int) -> None:
        self._recorder.record(STEP_RECEIVE, receive_ns)
        self._recorder.record(STEP_RISK, risk_ns)
        for step, ns in zip(STEPS[2 : 2 + GATES_TIMED], decision.gate_ns, strict=False):
            self._recorder.record(step, ns)

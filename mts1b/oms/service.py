"""The OMS of one fund as a plain object: the OMS actor holds one and forwards its calls."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, TypeVar

from mts1b.brokers.port import Broker, VenueReport
from mts1b.foundation.alerts import AlertPort, NoAlerts
from mts1b.foundation.clock import NS_PER_S, Clock
from mts1b.foundation.commands import CancelAll, CancelOrder, ReplaceOrder, SubmitGroup, SubmitOrder
from mts1b.foundation.errors import InputError, unknown_name
from mts1b.foundation.events import CashMoved, NavMarked
from mts1b.foundation.ids import FundId, IdempotencyKey, OrderId, Symbol
from mts1b.foundation.limits import CONTENT_WINDOW_S, DEDUP_WINDOW_S
from mts1b.foundation.order import Order, OrderStatus, Role
from mts1b.oms import adoption, cash, form, replacing
from mts1b.oms.admission import Admissions
from mts1b.oms.book import Book
from mts1b.oms.control import Control
from mts1b.oms.dispatch import Dispatch, message_of
from mts1b.oms.group_keeper import GroupKeeper
from mts1b.oms.messages import QueryVenue, ReplaceDenied
from mts1b.oms.outbox import Outbox
from mts1b.oms.ports import BusPort, Entry, JournalPort, JournalState, NoRecorder, Note, Recorder, RiskPort
from mts1b.oms.recovery import RecoveryReport, risk_snapshot
from mts1b.oms.steps import Steps
from mts1b.oms.transitions import Step
from mts1b.oms.veto import Veto, VetoGate
from mts1b.riskengine.master import Reference
from mts1b.riskengine.replacing import replace_key
from mts1b.riskengine.verdict import Mode, Refused, Standing

T = TypeVar("T")

UNANSWERED = (
    OrderStatus.IN_DOUBT,
    OrderStatus.SUBMITTING,
    OrderStatus.PENDING_CANCEL,
    OrderStatus.PENDING_REPLACE,
)


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
        content_window_s: float = CONTENT_WINDOW_S,
        alerts: AlertPort = NoAlerts(),
    ) -> None:
        self.fund_id = fund_id
        recorder = recorder or NoRecorder()
        self._outbox = Outbox(journal, bus, clock)
        self._steps = Steps(fund_id, journal, risk, self._outbox, clock, recorder)
        self._dispatch = Dispatch(self._steps, broker, clock, recorder)
        self._groups = GroupKeeper(self._steps, self._dispatch)
        self._veto = VetoGate(clock, alerts)
        self._control = Control(fund_id, self._steps.append, risk, clock)
        self._admissions = Admissions(
            self._steps, self._dispatch, journal, risk, clock, recorder, self._control, content_window_s, self._veto
        )
        self._journal, self._risk, self._clock = journal, risk, clock
        self._opening_cash = opening_cash
        self._marks: dict[Symbol, Decimal] = {}
        self._moving, self._alerts = asyncio.Lock(), alerts

    # -- asked of it -------------------------------------------------------------------------------------------------

    async def recover(self) -> RecoveryReport:
        """Start, or start again: read the journal, ask the venue about every open order, then accept work.

        An order that the venue has never heard of is sent again under its client order id; what is open of a fund that
        a person has halted is asked back. Orders whose question stays unanswered remain in doubt (`reconcile` asks
        again). LeaseLost when another OMS writes this fund.
        """
        self._steps.stop()
        await self._journal.open()
        state = await self._load()
        self._steps.load(state, self._opening_cash)
        self._marks = dict(state.marks)
        self._control.load(state)
        self._admissions.clear()
        if state.cash is None:
            money = self._opening_cash
            opening = Entry(self.fund_id, self._clock.now_ns(), cash=money, opening_cash=money)
            await self._steps.append(opening)
        await self._restore_risk(state)
        self._steps.ready = True
        found = len(self.open_orders())
        doubtful = await self.reconcile()
        self._groups.wake_all()
        self._steps.accepting = True
        self._outbox.wake()
        if self.standing.manual is Mode.HALTED:  # said while no OMS ran, or just before one died
            await self.cancel_all(CancelAll("halted"))
        return RecoveryReport(found, doubtful, self.report_sequence)

    async def submit(self, command: SubmitOrder) -> Order:
        """Take an order through risk and journal to the venue. Returns it as it stands then.

        WORKING once acknowledged; DENIED by a gate, REJECTED by the venue; IN_DOUBT when the venue did not answer. The
        same key again, within a day, gives the order it made then and sends nothing. Goes on when the caller gives up.
        """
        form.require(command, SubmitOrder)
        self._steps.require_accepting()
        return await self._admissions.submit(command)

    async def submit_group(self, command: SubmitGroup) -> tuple[Order, ...]:
        """Take a bracket or one-cancels-other whole, or refuse it whole; returns its orders, the entry first.

        Legs with an entry rest here as ACCEPTED until it fills. A group that is none is one refusal.
        """
        form.require(command, SubmitGroup)
        self._steps.require_accepting()
        made = await self._admissions.submit_group(command)
        self._groups.wake(made)
        return made

    async def cancel(self, command: CancelOrder) -> Order:
        """Ask the venue to take an order back. UnknownNameError for an order we do not have."""
        form.require(command, CancelOrder)
        order = await _whole(self._dispatch.take(await self._found(command.order_id), command))
        self._groups.wake([order])
        return order

    async def cancel_all(self, command: CancelAll) -> list[Order]:
        """Ask for every open order back, those on their way in included; returns them as they stand then."""
        form.require(command, CancelAll)
        self._steps.require_accepting()
        wanted = [order for order in self.open_orders() if _is_meant(order, command)]
        asked = (self.cancel(CancelOrder(order.order_id, command.reason)) for order in wanted)
        return list(await asyncio.gather(*asked))

    async def replace(self, command: ReplaceOrder) -> Order:
        """Give an open order other terms. Returns it as it stands then: with `wanted` set when the venue has not
        answered; unchanged, with the reason, when a gate refused.

        InputError when the terms make no sense for it. UnknownNameError for an order we do not have.
        """
        form.require(command, ReplaceOrder)
        order = await self._found(command.order_id)
        if order.group is not None and command.quantity is not None and order.group.role is Role.LEG:
            raise InputError("quantity", command.quantity, "of a leg follows its group", "replace its price only")
        if wrong := replacing.problem(order, command):
            raise InputError("order", order.order_id, wrong, "look at it again")
        wanted = replace(order, wanted=replacing.terms_after(order, command))
        decision = await self._steps.held(self._risk.check_replace(wanted))
        if isinstance(decision.verdict, Refused):
            return await _whole(self._dispatch.take(order, ReplaceDenied(decision.verdict)))
        return await _whole(self._replaced(order, command, replace_key(wanted)))

    async def _replaced(self, order: Order, command: ReplaceOrder, reserved: IdempotencyKey) -> Order:
        try:
            return await self._dispatch.take(order, command)
        finally:
            self._risk.release(reserved)

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
        self._groups.wake(taken.order for taken in steps)
        return [None if order is None else self._steps.latest(order) for order in touched]

    async def mark(self, prices: Mapping[Symbol, Decimal], ts_ns: int) -> NavMarked:
        """Value the fund at new prices per share and journal it. DataError when a name that is held has no price."""
        self._steps.require_ready()
        self._marks.update(prices)
        marked = self.book.marked(self._marks, ts_ns)
        await self._steps.append(Entry(self.fund_id, self._clock.now_ns(), nav=marked, marks=tuple(prices.items())))
        self._control.marked_ns = ts_ns
        return marked

    async def move_cash(self, move: CashMoved) -> Decimal:
        """Money came or went without a trade; returns the cash after it. The same id again changes nothing.

        InputError for what cannot be posted, or another movement under a known id.
        """
        cash.checked(move, self.fund_id)
        self._steps.require_ready()
        async with self._moving:  # whether an id is known is asked before it is used
            if not cash.is_posted(move, await self._steps.held(self._journal.cash_move(move.move_id))):
                await _whole(self._steps.move(move))
        return self.book.cash

    async def halt(self, mode: Mode = Mode.HALTED, by: str = "", why: str = "") -> Standing:
        """A person's word, at once and beyond every restart, until `resume` or `rearm`. HALTED is the kill switch: only
        cancels pass, and every open order is asked back. REDUCING lets through what brings positions nearer to zero."""
        self._steps.require_ready()
        standing = await self._steps.held(self._control.halt(mode, by, why))
        if standing.manual is Mode.HALTED:
            await self.cancel_all(CancelAll(why or "halted"))
        return standing

    async def resume(self, by: str = "", why: str = "") -> Standing:
        """Take back a person's `halt`. What the drawdown has latched stays: `rearm` opens that."""
        self._steps.require_ready()
        return await self._steps.held(self._control.resume(by, why))

    async def rearm(self, by: str = "", why: str = "") -> Standing:
        """A person's word that the fund may trade again, whatever held it: drawdown counts from NAV now."""
        self._steps.require_ready()
        return await self._steps.held(self._control.rearm(self.nav(), by, why))

    async def refer(self, reference: Reference, notes: tuple[Note, ...]) -> None:
        """Risk goes by these limits and master data from the next order on; which versions, as `notes` say, is on
        record before."""
        self._steps.require_ready()
        entry = Entry(self.fund_id, self._clock.now_ns(), notes=notes)
        await self._steps.held(self._steps.append(entry))
        await self._steps.held(self._risk.refer(reference))

    def register_veto(self, veto: Veto | None) -> None:
        """Gate 7 asks this about every order that the other gates let through; None asks nobody."""
        self._veto.veto = veto

    async def note_standing(self, standing: Standing) -> None:
        """Journal how risk stands when that has changed."""
        await self._control.note(standing)

    async def reconcile(self) -> int:
        """Ask the venue about every order that it may hold; returns how many stay without an answer."""
        return await self._ask_about(self.open_orders())

    async def settle(self) -> int:
        """Ask again about what the venue has not answered, and keep the rule of groups; returns how many stay so."""
        doubtful = await self._ask_about(self.unsettled())
        self._groups.wake_all()
        return doubtful

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
        await self._admissions.settled()
        await self._groups.settled()
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
        return [order for order in waiting if not self._admissions.is_arriving(order)]

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
            if not (self._admissions.is_arriving(order) or order.status.is_terminal or order.is_held):
                await self._dispatch.perform(order, (QueryVenue(),))
        return self.doubtful()

    async def _load(self) -> JournalState:
        return await self._journal.load(self._clock.now_ns() - DEDUP_WINDOW_S * NS_PER_S)

    async def _restore_risk(self, state: JournalState) -> None:
        """History from the journal, orders and book from memory, which is ahead of it by what is in flight."""
        self._steps.snapshot_taken()
        await self._risk.restore(risk_snapshot(state, self.book, self.open_orders(), self._marks, self.standing))

    async def _found(self, order_id: OrderId) -> Order:
        """An order of the fund, once it is no longer on its way in."""
        self._steps.require_accepting()
        order = await self._steps.held(self.order(order_id))
        if order is None or order.fund_id != self.fund_id:
            raise unknown_name("order_id", order_id, [item.order_id for item in self.open_orders()])
        return await self._admissions.arrived(order)

    async def _find_old(self, reports: Sequence[VenueReport]) -> None:
        """Fetch orders from the journal that reports are about and memory has let go of; those that the journal has
        lost, from the venue."""
        for report in reports:
            if self._steps.table.by_client(report.client_order_id) is None:
                old = await self._journal.order_by_client_id(report.client_order_id)
                if old is None and adoption.may_be_ours(report):
                    await self._adopt(report)
                elif old is not None and old.fund_id == self.fund_id:
                    self._steps.table.put(old)

    async def _adopt(self, report: VenueReport) -> None:
        """What is written down is written before it is sent: an order at the venue alone was lost from the journal."""
        state = await self._dispatch.asked(report.client_order_id)
        order = None if state is None else adoption.adopted(self.fund_id, state, self._clock.now_ns(), self._marks)
        if order is not None:
            await self._steps.adopt(order, adoption.note(order))
            self._alerts.tell(adoption.alert(order))


async def _whole(work: Coroutine[Any, Any, T]) -> T:
    """Go on to the end when the caller gives up: what a step led to must be sent and told."""
    return await asyncio.shield(asyncio.create_task(work))


def _is_meant(order: Order, command: CancelAll) -> bool:
    return command.strategy_id in (None, order.strategy_id) and command.symbol in (None, order.symbol)

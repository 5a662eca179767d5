"""What follows from a step at the venue: send, cancel, ask; and what the venue answers, as messages of the machine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from mts1b.brokers.port import Broker, ReportKind, VenueAck, VenueOrderState, VenueReport, VenueStatus
from mts1b.foundation.changing import changed
from mts1b.foundation.clock import NS_PER_S, Clock
from mts1b.foundation.errors import StackError, VenueError
from mts1b.foundation.fill import Fill
from mts1b.foundation.ids import ClientOrderId
from mts1b.foundation.limits import BROKER_TIMEOUT_S, RESENDS_MAX
from mts1b.foundation.order import Order, OrderStatus
from mts1b.oms.messages import (
    Acknowledged,
    Cancelled,
    CancelRefused,
    Effect,
    Executed,
    Expired,
    Message,
    NoAnswer,
    QueryVenue,
    Rejected,
    Replaced,
    ReplaceRefused,
    SendCancel,
    SendOrder,
    SendReplace,
    UnknownAtVenue,
)
from mts1b.oms.ports import Recorder
from mts1b.oms.steps import Steps
from mts1b.oms.transitions import SEND_WITHIN_NS

REASON_CHARACTERS_MAX = 300

OPEN_AT_VENUE = (VenueStatus.WORKING, VenueStatus.PARTIALLY_FILLED)

STEP_BROKER = "broker_submit"


T = TypeVar("T")


class Dispatch:
    """Runs effects. Every request is bounded by BROKER_TIMEOUT_S; one call tries RESENDS_MAX times at most and then
    leaves the order as it is, for the next reconciliation.

    What changes anything at the venue leaves inside the writer's lease and before the order's own deadline, and carries
    the earlier of the two along: a process that was stopped in between wakes up with nothing it may still send.
    """

    def __init__(self, steps: Steps, broker: Broker, clock: Clock, recorder: Recorder) -> None:
        self._steps, self._broker, self._clock, self._recorder = steps, broker, clock, recorder

    async def take(self, order: Order, message: Message, resends: int = 0) -> Order:
        """One step, made durable, with what follows from it. Returns the order as it stands then."""
        taken = await self._steps.apply(order, message)
        return await self.perform(taken.order, taken.effects, resends)

    async def perform(self, order: Order, effects: Sequence[Effect], resends: int = 0) -> Order:
        """Run effects of a durable step."""
        for effect in effects:
            match effect:
                case SendOrder():
                    order = await self._send(order, resends)
                case SendCancel():
                    order = await self._cancel(order, resends)
                case SendReplace():
                    order = await self._replace(order, resends)
                case QueryVenue():
                    order = await self._query(order, resends)
        return self._steps.latest(order)

    async def _send(self, order: Order, resends: int) -> Order:
        began_ns = self._clock.monotonic_ns()
        try:
            bound = self._bounded(order)
            answer = await self._steps.held(self._in_time(self._broker.submit(bound)))
        except (VenueError, TimeoutError) as error:
            return await self._unanswered(order, error, resends)
        self._recorder.record(STEP_BROKER, self._clock.monotonic_ns() - began_ns)
        if isinstance(answer, VenueAck):
            return await self.take(order, Acknowledged(answer.venue_order_id))
        return await self.take(order, Rejected(said(answer.reason)))

    async def _cancel(self, order: Order, resends: int) -> Order:
        self._require_lease()
        try:
            answer = await self._steps.held(self._in_time(self._broker.cancel(order.client_order_id)))
        except (VenueError, TimeoutError) as error:
            return await self._unanswered(order, error, resends)
        message = Cancelled(order.reason) if isinstance(answer, VenueAck) else CancelRefused(said(answer.reason))
        return await self.take(order, message, resends + 1)

    async def _replace(self, order: Order, resends: int) -> Order:
        wanted = order.wanted
        if wanted is None:
            return order
        try:
            anew = changed(order, send_by_ns=self._clock.now_ns() + SEND_WITHIN_NS)  # a revision may come again
            answer = await self._steps.held(self._in_time(self._broker.replace(self._bounded(anew))))
        except (VenueError, TimeoutError) as error:
            return await self._unanswered(order, error, resends)
        message = Replaced(wanted) if isinstance(answer, VenueAck) else ReplaceRefused(said(answer.reason))
        return await self.take(order, message, resends + 1)

    def _bounded(self, order: Order) -> Order:
        """The order as it may leave. VenueError when its own deadline has passed: whoever asks learns what to do."""
        lease_ns, now_ns = self._require_lease(), self._clock.now_ns()
        if now_ns > order.send_by_ns:
            raise VenueError("order", order.order_id, "was to leave earlier: not sent", "ask the venue")
        return changed(order, send_by_ns=min(order.send_by_ns, now_ns + lease_ns))

    def _require_lease(self) -> int:
        """Nanoseconds that this writer may still speak for the fund. StackError when it may not: `recover`."""
        lease_ns = self._steps.journal.lease_left_ns()
        if lease_ns <= 0:
            self._steps.fail()
            raise StackError("lease", self._steps.fund_id, "has run out before it could be renewed", "recover")
        return lease_ns

    async def _in_time(self, call: Awaitable[T]) -> T:
        lease_s = self._steps.journal.lease_left_ns() / NS_PER_S
        async with asyncio.timeout(min(BROKER_TIMEOUT_S, max(lease_s, 0.0))):
            return await call

    async def _unanswered(self, order: Order, error: Exception, resends: int) -> Order:
        self._steps.counts["broker_timeouts"] += 1
        return await self.take(order, NoAnswer(said(str(error)) or "no answer in time"), resends + 1)

    async def has_told(self, order: Order) -> bool:
        """Whether the venue told its whole story of the order, which has been stepped through."""
        try:
            found = await self._steps.held(self._in_time(self._broker.query(order.client_order_id)))
        except (VenueError, TimeoutError):
            self._steps.counts["broker_timeouts"] += 1
            return False
        if found is not None:
            await self._replay(order, found)
        return found is not None

    async def _query(self, order: Order, resends: int) -> Order:
        """Ask the venue and step through its whole story of the order. Without an answer the order stays as it is."""
        if resends > RESENDS_MAX:
            return order
        asked_ns = self._clock.now_ns()
        try:
            found = await self._steps.held(self._in_time(self._broker.query(order.client_order_id)))
        except (VenueError, TimeoutError):
            self._steps.counts["broker_timeouts"] += 1
            return order
        if found is None:
            return await self.take(order, UnknownAtVenue(asked_ns), resends + 1)
        order = await self._replay(order, found)
        if self._steps.is_writing(order):
            return order
        if order.status is OrderStatus.PENDING_CANCEL and found.status in OPEN_AT_VENUE:
            return await self._cancel(order, resends + 1)
        if order.status is OrderStatus.PENDING_REPLACE and found.status in OPEN_AT_VENUE:
            return await self._replace(order, resends + 1)
        return order

    async def asked(self, client_order_id: ClientOrderId) -> VenueOrderState | None:
        """What the venue knows of an order that we do not. VenueError when it does not answer."""
        try:
            return await self._steps.held(self._in_time(self._broker.query(client_order_id)))
        except TimeoutError:
            raise VenueError("venue", client_order_id, "did not answer in time", "ask again") from None

    async def _replay(self, order: Order, found: VenueOrderState) -> Order:
        if found.status is not VenueStatus.REJECTED:
            order = await self.take(order, Acknowledged(found.venue_order_id))
        for report in found.reports:
            order = await self.take(order, message_of(order, report))
        return order


def said(text: str) -> str:
    """A venue's words as we keep them: printable, and no longer than anybody reads."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:REASON_CHARACTERS_MAX])


def message_of(order: Order, report: VenueReport) -> Message:
    """A venue report about `order` in the machine's words."""
    match report.kind:
        case ReportKind.ACK:
            return Acknowledged(report.venue_order_id)
        case ReportKind.CANCEL:
            return Cancelled(said(report.reason))
        case ReportKind.REJECT:
            return Rejected(said(report.reason))
        case ReportKind.EXPIRE:
            return Expired(said(report.reason))
        case ReportKind.FILL:
            return Executed(_fill(order, report))
        case ReportKind.REPLACE:
            if report.terms is None:
                raise VenueError("terms", report.sequence, "a replacement came without its terms", "ask the venue")
            return Replaced(report.terms)


def _fill(order: Order, report: VenueReport) -> Fill:
    if report.fill_id is None:
        raise VenueError("fill_id", report.sequence, "a fill came without an id", "ask the venue about the order")
    return Fill(
        fill_id=report.fill_id,
        order_id=order.order_id,
        fund_id=order.fund_id,
        strategy_id=order.strategy_id,
        symbol=order.symbol,
        side=order.side,
        quantity=report.quantity,
        price=report.price,
        fee=report.fee,
        ts_ns=report.ts_ns,
    )

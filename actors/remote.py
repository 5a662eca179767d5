"""Actors behind plain awaits and behind the ports of the order path. Ray's exceptions stop here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from ray.actor import ActorHandle
from ray.exceptions import RayActorError, RayTaskError

from actors.observed import remotely
from mts1b.brokers.port import VenueAck, VenueOrderState, VenueReject, VenueReport
from mts1b.foundation.commands import CancelOrder, SubmitOrder
from mts1b.foundation.errors import MtsError, StackError, VenueError, VenueTimeout
from mts1b.foundation.events import FundEvent, NavMarked, OrderEvent
from mts1b.foundation.ids import ClientOrderId, IdempotencyKey, Symbol
from mts1b.foundation.order import Order
from mts1b.riskengine.master import Reference
from mts1b.riskengine.snapshot import RiskSnapshot
from mts1b.riskengine.verdict import Decision, Mode, Standing

REPORTS_WAIT_S = 5.0
RECONNECT_S = 0.2
TELL_WITHIN_S = 0.05


class ActorAway(StackError):
    """The actor has died or cannot be reached, and is being started again. Whether it took the call is not known."""


async def ask(reference: Awaitable[Any], name: str) -> Any:
    """An actor's answer. Its own errors as they were raised there; ActorAway when the actor is away."""
    try:
        return await reference
    except RayTaskError as error:
        if isinstance(error.cause, MtsError):
            raise error.cause from None
        raise
    except RayActorError as error:
        problem = str(error).strip().splitlines()[0]
        raise ActorAway("actor", name, problem, "it is started again; repeat the call") from None


class Remote:
    """An actor's methods as coroutine functions: `await Remote(handle, "oms").submit(command)`.

    With `repeats` a call is made again, every RECONNECT_S, while the actor is away: for calls that may be repeated.
    """

    def __init__(self, handle: ActorHandle, name: str, repeats: int = 0) -> None:
        self._handle, self._name, self._repeats = handle, name, repeats

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        if method.startswith("_"):
            raise AttributeError(method)
        call = getattr(self._handle, method)

        async def answer(*given: Any, **named: Any) -> Any:
            for _ in range(self._repeats):
                try:
                    return await ask(remotely(call, *given, **named), self._name)
                except ActorAway:
                    await asyncio.sleep(RECONNECT_S)
            return await ask(remotely(call, *given, **named), self._name)

        return answer


class RemoteBroker:
    """The broker port over a broker actor. A call that was lost with the actor may have reached the venue."""

    def __init__(self, handle: ActorHandle) -> None:
        self._handle = handle

    async def submit(self, order: Order) -> VenueAck | VenueReject:
        return await self._ask(remotely(self._handle.submit, order))

    async def replace(self, order: Order) -> VenueAck | VenueReject:
        return await self._ask(self._handle.replace.remote(order))

    async def cancel(self, client_order_id: ClientOrderId) -> VenueAck | VenueReject:
        return await self._ask(remotely(self._handle.cancel, client_order_id))

    async def query(self, client_order_id: ClientOrderId) -> VenueOrderState | None:
        return await self._ask(remotely(self._handle.query, client_order_id))

    async def reports(self, after: int = 0) -> AsyncIterator[VenueReport]:
        while True:
            try:
                batch = await ask(remotely(self._handle.reports_after, after, REPORTS_WAIT_S), "broker")
            except StackError:
                await asyncio.sleep(RECONNECT_S)
                continue
            for report in batch:
                if report.sequence != after + 1:
                    raise VenueError("sequence", report.sequence, f"expected {after + 1}", "reconcile")
                after = report.sequence
                yield report

    async def close(self) -> None:
        """Nothing to let go of: the actor keeps the venue's connections."""

    async def _ask(self, reference: Awaitable[Any]) -> Any:
        try:
            return await ask(reference, "broker")
        except StackError as error:
            raise VenueTimeout("broker", "actor", error.problem, "query the order") from None


class RemoteRisk:
    """The risk port over a risk actor: calls of one handle arrive in order. A restarted actor is restored first.

    What risk is told waits for the next question and travels with it, TELL_WITHIN_S at most: a call to an actor costs
    about a millisecond of processor time on each side, and an order says three things after it was asked about.
    """

    def __init__(self, handle: ActorHandle) -> None:
        self._handle = handle
        self._untold: list[OrderEvent | FundEvent] = []
        self._timer: asyncio.TimerHandle | None = None
        self.restore_it: Callable[[], Awaitable[None]] | None = None
        """Gives the actor the journal's view; set once the OMS exists."""

    async def check(self, command: SubmitOrder | CancelOrder) -> Decision:
        return await self._restored(lambda: remotely(self._handle.check, command, self._take()))

    async def check_replace(self, order: Order) -> Decision:
        return await self._restored(lambda: self._handle.check_replace.remote(order, self._take()))

    async def mark(self, prices: Mapping[Symbol, Decimal], ts_ns: int) -> NavMarked:
        """Value the fund at these prices, after everything it was told."""
        return await self._restored(lambda: remotely(self._handle.mark, prices, ts_ns, self._take()))

    async def standing(self) -> Standing:
        return await self._restored(lambda: remotely(self._handle.standing))

    async def halt(self, mode: Mode) -> Standing:
        return await self._restored(lambda: remotely(self._handle.halt, mode))

    async def resume(self) -> Standing:
        return await self._restored(lambda: remotely(self._handle.resume))

    async def refer(self, reference: Reference) -> None:
        await ask(remotely(self._handle.refer, reference), "risk")

    async def rearm(self) -> Standing:
        return await self._restored(lambda: remotely(self._handle.rearm, self._take()))

    def tell(self, events: Sequence[OrderEvent | FundEvent]) -> None:
        self._untold += events
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TELL_WITHIN_S, self._flush)

    def release(self, key: IdempotencyKey) -> None:
        self._flush()
        remotely(self._handle.release, key)

    async def restore(self, snapshot: RiskSnapshot) -> None:
        self._take()  # the journal's view holds them
        await ask(remotely(self._handle.restore, snapshot), "risk")

    def _take(self) -> list[OrderEvent | FundEvent]:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        events, self._untold = self._untold, []
        return events

    def _flush(self) -> None:
        if events := self._take():
            remotely(self._handle.tell, events)

    async def _restored(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """The answer to `call`; when the actor is away or fresh, once more after it was given the journal's view."""
        try:
            return await ask(call(), "risk")
        except StackError:
            if self.restore_it is None:
                raise
            await self.restore_it()
            return await ask(call(), "risk")

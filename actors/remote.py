"""Actors behind plain awaits and behind the ports of the order path. Ray's exceptions stop here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from ray.actor import ActorHandle
from ray.exceptions import RayActorError, RayTaskError

from actors.observed import remotely
from actors.risk_link import RiskLink
from mts1b.brokers.port import VenueAck, VenueOrderState, VenueReject, VenueReport
from mts1b.foundation.errors import MtsError, StackError, VenueError, VenueTimeout
from mts1b.foundation.ids import ClientOrderId
from mts1b.foundation.order import Order

REPORTS_WAIT_S = 5.0
RECONNECT_S = 0.2


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


class RemoteRisk(RiskLink):
    """The risk port over a risk actor: calls of one handle arrive in order."""

    def __init__(self, handle: ActorHandle) -> None:
        def send(method: str, *given: object) -> Any:
            return remotely(getattr(handle, method), *given)

        def call(method: str, *given: object) -> Awaitable[Any]:
            return ask(send(method, *given), "risk")

        super().__init__(call, send)

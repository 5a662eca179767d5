"""The risk port over a risk worker, however its calls are carried there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from actors.risk import RiskWorker
from mts1b.foundation.commands import CancelOrder, SubmitOrder
from mts1b.foundation.errors import StackError
from mts1b.foundation.events import FundEvent, NavMarked, OrderEvent
from mts1b.foundation.ids import IdempotencyKey, Symbol
from mts1b.foundation.order import Order
from mts1b.riskengine.master import Reference
from mts1b.riskengine.snapshot import RiskSnapshot
from mts1b.riskengine.verdict import Decision, Mode, Standing

TELL_WITHIN_S = 0.05


class RiskLink:
    """A RiskPort over `call(method, *given)`, which waits for the answer, and `send`, which does not; what they carry
    arrives in their order. A worker that was started again is restored first.

    What risk is told waits for the next question and travels with it, TELL_WITHIN_S at most: a call to an actor costs
    about a millisecond of processor time on each side, and an order says three things after it was asked about.
    """

    def __init__(self, call: Callable[..., Awaitable[Any]], send: Callable[..., object]) -> None:
        self._call, self._send = call, send
        self._untold: list[OrderEvent | FundEvent] = []
        self._timer: asyncio.TimerHandle | None = None
        self._reference: Reference | None = None
        self.restore_it: Callable[[], Awaitable[None]] | None = None
        """Gives the worker the journal's view; set once the OMS exists."""

    @property
    def has_told_all(self) -> bool:
        """Whether nothing waits to be told."""
        return not self._untold

    async def check(self, command: SubmitOrder | CancelOrder) -> Decision:
        return await self._restored(lambda: self._call("check", command, self._take()))

    async def check_replace(self, order: Order) -> Decision:
        return await self._restored(lambda: self._call("check_replace", order, self._take()))

    async def mark(self, prices: Mapping[Symbol, Decimal], ts_ns: int) -> NavMarked:
        """Value the fund at these prices, after everything it was told."""
        return await self._restored(lambda: self._call("mark", prices, ts_ns, self._take()))

    async def standing(self) -> Standing:
        return await self._restored(lambda: self._call("standing"))

    async def halt(self, mode: Mode) -> Standing:
        return await self._restored(lambda: self._call("halt", mode))

    async def resume(self) -> Standing:
        return await self._restored(lambda: self._call("resume"))

    async def refer(self, reference: Reference) -> None:
        """Also after every restart of the worker: it is given this before it is restored."""
        self._reference = reference
        await self._restored(lambda: self._call("refer", reference))

    async def rearm(self) -> Standing:
        return await self._restored(lambda: self._call("rearm", self._take()))

    def tell(self, events: Sequence[OrderEvent | FundEvent]) -> None:
        self._untold += events
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TELL_WITHIN_S, self._flush)

    def release(self, key: IdempotencyKey) -> None:
        self._flush()
        self._send("release", key)

    async def restore(self, snapshot: RiskSnapshot) -> None:
        self._take()  # the journal's view holds them
        if self._reference is not None:
            await self._call("refer", self._reference)
        await self._call("restore", snapshot)

    def _take(self) -> list[OrderEvent | FundEvent]:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        events, self._untold = self._untold, []
        return events

    def _flush(self) -> None:
        if events := self._take():
            self._send("tell", events)

    async def _restored(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """The answer to `call`; when the actor is away or fresh, once more after it was given the journal's view."""
        try:
            return await call()
        except StackError:
            if self.restore_it is None:
                raise
            await self.restore_it()
            return await call()


class InnerRisk(RiskLink):
    """The risk port over a risk worker in this process: no hop."""

    def __init__(self, worker: RiskWorker) -> None:
        async def call(method: str, *given: object) -> Any:
            return getattr(worker, method)(*given)

        super().__init__(call, lambda method, *given: getattr(worker, method)(*given))

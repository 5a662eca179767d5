"""Where risk runs in a story: at hand in the OMS's own process, or in one of its own that dies and is started again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal
from random import Random
from typing import Any

from actors.risk import RiskWorker
from actors.risk_link import RiskLink
from mts1b.foundation.clock import NS_PER_MS
from mts1b.foundation.commands import CancelOrder, SubmitOrder
from mts1b.foundation.errors import StackError
from mts1b.foundation.ids import IdempotencyKey
from mts1b.riskengine.service import RiskService
from mts1b.riskengine.verdict import Decision
from mts1b.testing.sim.auditor import Auditor
from mts1b.testing.sim.loop import Process, SimLoop
from mts1b.testing.sim.network import QUICK_NS, Lane

RESTART_NS = (100 * NS_PER_MS, 1500 * NS_PER_MS)
NOTICED_NS = 2 * NS_PER_MS


class WatchedRisk(RiskService):
    """A risk engine; the auditor hears of the orders that it lets pass, for as long as `counts` says that it counts."""

    auditor: Auditor
    counts: Callable[[], bool]
    worst: dict[IdempotencyKey, Decimal]
    """By the orders that it was asked about from afar, the auditor's worst case at that moment."""

    def check(self, command: SubmitOrder | CancelOrder) -> Decision:
        if not isinstance(command, SubmitOrder):
            return super().check(command)
        worst = self.worst.pop(command.idempotency_key, None)
        worst = self.auditor.worst_with(command) if worst is None else worst
        decision = super().check(command)
        if decision.accepted and self.counts():
            self.auditor.accepted(command, worst, self)
        return decision


class RiskProcess:
    """A risk worker as an actor: its calls arrive in order, those under way when it dies end with an error."""

    def __init__(self, name: str, loop: SimLoop, random: Random, me: Process, build: Callable[[], WatchedRisk]) -> None:
        self._name, self._loop, self._random, self._me, self._build = name, loop, random, me, build
        self._ray = Process(loop, "ray")
        self._there, self._back = Lane(), Lane()
        self._waiting: dict[asyncio.Future[Any], None] = {}
        self.link = RiskLink(self._call, self._send)
        self._start()

    @property
    def is_up(self) -> bool:
        """Whether it knows the fund, and all that it was told so far."""
        on_the_way = self._on_the_way or self._waiting
        return self.worker.is_restored and self.link.has_told_all and not on_the_way

    def kill(self) -> None:
        """As SIGKILL; it is started again, knowing nothing."""
        self.process.kill()
        for answered in self._waiting:
            self._me.call(NOTICED_NS, _away, answered)
        self._ray.call(self._random.randint(*RESTART_NS), self._start)

    def _start(self) -> None:
        self.process = Process(self._loop, self._name)
        self.service = self._build()
        self.worker = RiskWorker(self.service)
        self._on_the_way = 0

    async def _call(self, method: str, *given: object) -> Any:
        answered: asyncio.Future[Any] = self._loop.create_future()
        if self.process.is_dead:
            _away(answered)
        if method == "check" and isinstance(given[0], SubmitOrder):
            self.service.worst[given[0].idempotency_key] = self.service.auditor.worst_with(given[0])
        self._waiting[answered] = None
        self._post(self.process, self._there, self._work, self.worker, method, given, answered)
        try:
            return await answered
        finally:
            self._waiting.pop(answered, None)

    def _send(self, method: str, *given: object) -> None:
        self._on_the_way += 1
        self._post(self.process, self._there, self._work, self.worker, method, given, None)

    def _work(
        self, worker: RiskWorker, method: str, given: Sequence[object], answered: asyncio.Future[Any] | None
    ) -> None:
        result, error = None, None
        try:
            result = getattr(worker, method)(*given)
        except Exception as raised:  # noqa: BLE001 it goes to whoever asked
            error = raised
        if answered is None:
            self._on_the_way -= 1
        else:
            self._post(self._me, self._back, _answer, answered, result, error)

    def _post(self, to: Process, lane: Lane, receive: Callable[..., object], *message: object) -> None:
        now_ns = self._loop.now_ns
        lane.last_ns = max(lane.last_ns, now_ns + self._random.randint(*QUICK_NS))
        to.call(lane.last_ns - now_ns, receive, *message)


def _answer(answered: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
    if answered.done():
        return
    if error is not None:
        answered.set_exception(error)
    else:
        answered.set_result(result)


def _away(answered: asyncio.Future[Any]) -> None:
    _answer(answered, None, StackError("actor", "risk", "is away", "it is started again; repeat the call"))

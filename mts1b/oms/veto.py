"""Gate 7: a registered veto is asked last, about orders that every other gate let through.

It is bounded and fails open: without an answer in time the order goes on, with an alert and on record. Each order waits
for its own veto only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mts1b.foundation.alerts import AlertPort, Finding, Severity
from mts1b.foundation.clock import NS_PER_MS, Clock
from mts1b.foundation.commands import SubmitOrder
from mts1b.foundation.limits import VETO_TIMEOUT_S
from mts1b.oms.ports import Note
from mts1b.riskengine.verdict import Refused, refused

GATE = 7
ALERT_S = 300.0

Veto = Callable[[SubmitOrder], Awaitable[str | None]]
"""Why an order should not be sent; None lets it pass. It must not block the event loop."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of asking: an objection, or None; `problem` when it failed and the order passes for that."""

    objection: str | None
    problem: str
    spent_ns: int

    @property
    def refusal(self) -> Refused | None:
        return None if self.objection is None else refused(GATE, "vetoed", why=self.objection)

    def note(self, command: SubmitOrder) -> Note:
        """For the record."""
        said = "failed" if self.problem else "passed" if self.objection is None else "objected"
        why = self.problem or self.objection or ""
        content = {"key": command.idempotency_key, "symbol": command.symbol, "answer": said, "why": why}
        return Note(command.fund_id, "veto_asked", {**content, "spent_ms": self.spent_ns // NS_PER_MS})


class VetoGate:
    """Asks the registered veto; without one, nothing is asked."""

    def __init__(self, clock: Clock, alerts: AlertPort) -> None:
        self._clock, self._alerts = clock, alerts
        self.veto: Veto | None = None

    async def ask(self, command: SubmitOrder) -> Answer | None:
        """None without a veto. Returns within VETO_TIMEOUT_S, whatever the veto does."""
        if self.veto is None:
            return None
        began_ns = self._clock.monotonic_ns()
        asking = asyncio.ensure_future(_asked(self.veto, command))
        await asyncio.wait({asking}, timeout=VETO_TIMEOUT_S)
        objection, problem = None, f"no answer within {VETO_TIMEOUT_S:g} s"
        if asking.done() and not asking.cancelled():
            objection, problem = asking.result()
        asking.cancel()
        if problem:
            summary = f"the veto failed, orders pass without it: {problem}"
            self._alerts.tell(Finding("veto_failed", command.fund_id, Severity.WARNING, summary, (), ALERT_S))
        return Answer(objection, problem, self._clock.monotonic_ns() - began_ns)


async def _asked(veto: Veto, command: SubmitOrder) -> tuple[str | None, str]:
    """Objection and problem."""
    try:
        objection = await veto(command)
    except Exception as error:  # whatever it was: gate 7 fails open
        return None, f"{type(error).__name__}: {error}"
    if objection is None or (isinstance(objection, str) and objection):
        return objection, ""
    return None, f"answered {objection!r}, which is neither a reason nor None"

"""The gates in their order. The first refusal stops; what a gate cannot compute, it refuses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import DecimalException

from mts1b.foundation.commands import SubmitOrder
from mts1b.riskengine.context import Gate, GateContext
from mts1b.riskengine.gates import drawdown, idempotency, position, schema, short, static
from mts1b.riskengine.verdict import ACCEPTED, Accepted, Verdict, refused

GATES: tuple[Gate, ...] = (
    idempotency.gate,
    schema.gate,
    static.gate,
    position.gate,
    drawdown.gate,
    short.gate,
)
"""Gate n is at n - 1."""

GATE_NAMES = ("idempotency", "schema", "static", "position", "drawdown", "short", "veto")


class Chain:
    """Runs gates 1 to 6 and times each with `monotonic_ns`. Gate 7 is asked elsewhere, by who can wait for it."""

    def __init__(self, monotonic_ns: Callable[[], int], gates: Sequence[Gate] = GATES) -> None:
        self._monotonic_ns, self._gates = monotonic_ns, gates

    def evaluate(self, command: SubmitOrder, context: GateContext) -> tuple[Verdict, tuple[int, ...]]:
        """The verdict and the time each gate took that ran."""
        spent: list[int] = []
        began = self._monotonic_ns()
        for number, gate in enumerate(self._gates, 1):
            verdict = _closed(number, gate, command, context)
            ended = self._monotonic_ns()
            spent.append(ended - began)
            began = ended
            if not isinstance(verdict, Accepted):
                return verdict, tuple(spent)
        return ACCEPTED, tuple(spent)


def _closed(number: int, gate: Gate, command: SubmitOrder, context: GateContext) -> Verdict:
    """Gates fail closed: a command that breaks the arithmetic of a gate is refused by it, by name."""
    try:
        return gate(command, context)
    except (ArithmeticError, DecimalException, TypeError, ValueError, LookupError, AttributeError) as error:
        return refused(number, "gate_failed", error=type(error).__name__, problem=error)

"""What risk answers. A refusal is a value with the gate, a named reason and the numbers that decided it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Mode(StrEnum):
    """How much a fund may do. It only gets stricter by itself; see `mts1b.riskengine.gates.drawdown`."""

    ACTIVE = "active"
    REDUCING = "reducing"  # only orders that bring a position nearer to zero
    HALTED = "halted"  # only cancels

    @property
    def severity(self) -> int:
        """0 active, 1 reducing, 2 halted."""
        return list(Mode).index(self)


@dataclass(frozen=True, slots=True)
class Accepted:
    """Nothing stands against the order."""


@dataclass(frozen=True, slots=True)
class Refused:
    """`gate` 1 to 7 refused for `reason`; `numbers` are (name, value as text) pairs: the limit and what met it."""

    gate: int
    reason: str
    numbers: tuple[tuple[str, str], ...] = ()


Verdict = Accepted | Refused

ACCEPTED = Accepted()


def refused(gate: int, reason: str, **numbers: object) -> Refused:
    """Build a refusal; the numbers keep their order."""
    return Refused(gate, reason, tuple((name, str(value)) for name, value in numbers.items()))


def unset(gate: int, limit: str) -> Refused:
    """The refusal of a gate whose limit nobody has set: an unset limit denies."""
    return Refused(gate, "limit_unset", (("limit", limit),))


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict, how long each gate took that ran (gate 1 first, in nanoseconds), and the fund's mode then."""

    verdict: Verdict
    gate_ns: tuple[int, ...] = ()
    mode: Mode = Mode.ACTIVE

    @property
    def accepted(self) -> bool:
        return isinstance(self.verdict, Accepted)

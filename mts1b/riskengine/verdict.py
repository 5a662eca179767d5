"""What risk answers. A refusal is a value with the gate, a named reason and the numbers that decided it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Mode(StrEnum):
    """How much a fund may do. It only gets stricter by itself; see `mts1b.riskengine.gates.drawdown`."""

    ACTIVE = "active"
    REDUCING = "reducing"  # only orders that bring a position nearer to zero
    HALTED = "halted"  # only cancels

    @property
    def severity(self) -> int:
        """0 active, 1 reducing, 2 halted."""
        return _SEVERITY[self]


_SEVERITY = {mode: at for at, mode in enumerate(Mode)}


def stricter(one: Mode, other: Mode) -> Mode:
    return one if one.severity >= other.severity else other


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
class Standing:
    """What holds a fund back: the latch of its drawdown, a person's word, and throttled repeats by name.

    The OMS journals it whenever it changes, so that no restart loosens any of the three.
    """

    latched: Mode = Mode.ACTIVE
    manual: Mode = Mode.ACTIVE
    throttled: frozenset[str] = field(default_factory=frozenset)

    @property
    def mode(self) -> Mode:
        """The stricter of latch and word."""
        return stricter(self.latched, self.manual)


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict, how long each gate took that ran (gate 1 first, in nanoseconds), how the fund stood then, and the
    version of the limits it was decided by (0: they were handed in, not stored)."""

    verdict: Verdict
    gate_ns: tuple[int, ...] = ()
    standing: Standing = Standing()
    limits_version: int = 0

    @property
    def accepted(self) -> bool:
        return isinstance(self.verdict, Accepted)

    @property
    def mode(self) -> Mode:
        return self.standing.mode

"""Alerts as values: what is wrong, how bad, with what. Whoever notices says a Finding; the watchdog keeps the books.

A check says each time how each thing it looks at is: bad (`severity`), well again (`Ease.WELL`), or neither, too good
to raise an alert and not yet good enough to clear one (`Ease.HOLDS`). An event that does not last (a recovery, a veto
that failed open) is a Finding with `lasts_s`: its alert clears by itself once nothing like it has come for so long.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias

Numbers: TypeAlias = tuple[tuple[str, float], ...]
"""Measurements by name, the unit last in the name. Never money."""


class Severity(StrEnum):
    """How soon somebody must look: at leisure, today, now."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0, 1, 2: to compare by."""
        return list(Severity).index(self)


class Ease(StrEnum):
    """What is not bad is well, or on its way there."""

    HOLDS = "holds"
    WELL = "well"


@dataclass(frozen=True, slots=True)
class Finding:
    """How `subject` is, as the alert `alert` asks. `numbers` are what decided it, units last in their names."""

    alert: str
    subject: str
    state: Severity | Ease
    summary: str = ""
    numbers: Numbers = ()
    lasts_s: float = 0.0

    @property
    def severity(self) -> Severity | None:
        """None when it is not bad."""
        return self.state if isinstance(self.state, Severity) else None


class AlertPort(Protocol):
    """Where a service says what it noticed. Returns at once and never raises: no order waits for an alert."""

    def tell(self, finding: Finding) -> None: ...


class NoAlerts:
    """Nobody listens."""

    def tell(self, finding: Finding) -> None:
        return

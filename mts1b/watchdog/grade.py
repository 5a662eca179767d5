"""From a number to how bad it is, with hysteresis: an alert is cleared well below the level that raises it."""

from __future__ import annotations

from dataclasses import dataclass

from mts1b.foundation.alerts import Ease, Severity
from mts1b.foundation.errors import InputError

RELEASE = 0.8
"""An alert clears below this share of its warning level, unless said otherwise."""


@dataclass(frozen=True, slots=True)
class Levels:
    """A number at or above `warning` or `critical` is that; below `release` times the warning level it is well."""

    warning: float
    critical: float
    release: float = RELEASE

    def __post_init__(self) -> None:
        if not 0 < self.warning <= self.critical:
            problem = f"must lie between 0 and critical ({self.critical:g})"
            raise InputError("warning", self.warning, problem, "give a lower warning or a higher critical level")

    def grade(self, value: float) -> Severity | Ease:
        """How bad a value is. A value that is no number is critical: nothing is known to be well."""
        if not value < self.critical:
            return Severity.CRITICAL
        if value >= self.warning:
            return Severity.WARNING
        return Ease.WELL if value < self.release * self.warning else Ease.HOLDS


def worst(*states: Severity | Ease) -> Severity | Ease:
    """The worst of several; well only when all are."""
    order = [Ease.WELL, Ease.HOLDS, *Severity]
    return max(states, key=order.index)

"""What a gate is shown besides the command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mts1b.foundation.commands import SubmitOrder
from mts1b.riskengine.limits import RiskLimits
from mts1b.riskengine.state import RiskState
from mts1b.riskengine.verdict import Verdict


@dataclass(frozen=True, slots=True)
class GateContext:
    """The fund's limits, its state, and the time as UTC nanoseconds. Gates read it only."""

    limits: RiskLimits
    state: RiskState
    now_ns: int


Gate = Callable[[SubmitOrder, GateContext], Verdict]

"""Funds that risk holds back: by their latch or by a person's word, as the journal has it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mts1b.foundation.alerts import Ease, Finding, Severity
from mts1b.riskengine.verdict import Mode

ALERT = "risk_mode"

STATES: dict[Mode, Severity | Ease] = {
    Mode.ACTIVE: Ease.WELL,
    Mode.REDUCING: Severity.WARNING,
    Mode.HALTED: Severity.CRITICAL,
}


@dataclass(frozen=True, slots=True)
class FundMode:
    """How much a fund may do: what its latch says, and what a person said."""

    fund_id: str
    latched: Mode
    told: Mode = Mode.ACTIVE


def fund_findings(funds: Iterable[FundMode]) -> list[Finding]:
    """One finding for each fund: the stricter of the two holds."""
    return [_finding(fund) for fund in funds]


def _finding(fund: FundMode) -> Finding:
    mode = max(fund.latched, fund.told, key=lambda item: item.severity)
    by = "a person" if fund.told.severity > fund.latched.severity else "its drawdown or a person"
    return Finding(ALERT, fund.fund_id, STATES[mode], f"the fund is {mode.value}, by {by}")

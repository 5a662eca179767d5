"""The source's latency budget as a table: every step of the hot path, what it took, its target, within it or not."""

from __future__ import annotations

from dataclasses import dataclass

from mts1b.foundation.clock import NS_PER_MS
from mts1b.platform.telemetry import Recorder

SIGNAL = "strategy_signal"
SIZING = "portfolio_sizing"
ORDER_TOTAL = "order_total"
REBALANCE = "rebalance"


@dataclass(frozen=True, slots=True)
class Budget:
    """One line of the source's table. `step` is the name its durations are recorded under."""

    step: str
    title: str
    target_ms: float | None


HOT_PATH = (
    Budget(SIGNAL, "Strategy signal generation", 10.0),
    Budget(SIZING, "Portfolio sizing", 5.0),
    Budget("oms_receive", "OMS receive + idempotency check", 5.0),
    Budget("risk_gate_1", "Risk gate 1 (idempotency)", 1.0),
    Budget("risk_gate_2", "Risk gate 2 (schema)", 1.0),
    Budget("risk_gate_3", "Risk gate 3 (static)", 2.0),
    Budget("risk_gate_4", "Risk gate 4 (position)", 5.0),
    Budget("risk_gate_5", "Risk gate 5 (drawdown)", 2.0),
    Budget("risk_gate_6", "Risk gate 6 (short)", 2.0),
    Budget("broker_submit", "Broker submit", 20.0),
    Budget(ORDER_TOTAL, "Total, from hand-over to the venue's answer", 50.0),
)
"""Targets in milliseconds, as the source states them; the total is the one without the veto."""


@dataclass(frozen=True, slots=True)
class LatencyRow:
    """One step as measured: milliseconds, the number of measurements, and whether p99 is within the target.

    A step that never ran has count 0. `target_ms` None: no target is stated.
    """

    step: str
    title: str
    count: int
    p50_ms: float
    p99_ms: float
    target_ms: float | None

    @property
    def within(self) -> bool | None:
        """True when p99 is at most the target; None when there is no target or no measurement."""
        return None if self.target_ms is None or not self.count else self.p99_ms <= self.target_ms


def latency_rows(recorded: Recorder) -> tuple[LatencyRow, ...]:
    """The source's steps in its order, then the whole rebalance of one bar, which it states no target for."""
    budgets = (*HOT_PATH, Budget(REBALANCE, "Whole rebalance of one bar, all its orders", None))
    found = recorded.table([budget.step for budget in budgets])
    return tuple(
        LatencyRow(
            step=budget.step,
            title=budget.title,
            count=row.count,
            p50_ms=row.p50_ns / NS_PER_MS,
            p99_ms=row.p99_ns / NS_PER_MS,
            target_ms=budget.target_ms,
        )
        for budget, row in zip(budgets, found, strict=True)
    )

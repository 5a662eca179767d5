"""An order's way from signal to venue, step by step beside the targets of the performance notes."""

from __future__ import annotations

from mts1b.deploy.dashboards.build import Dashboard, Panel, Query, quantile, rate

OPERATION = "mts_operation_seconds"

STEPS: tuple[tuple[str, str, str, float], ...] = (
    ("strategy", "strategy_signal", "Strategy signal generation", 0.010),
    ("strategy", "portfolio_sizing", "Portfolio sizing", 0.005),
    ("oms", "oms_receive", "OMS receive + idempotency check", 0.005),
    ("riskengine", "risk_gate_1", "Risk gate 1 (idempotency)", 0.001),
    ("riskengine", "risk_gate_2", "Risk gate 2 (schema)", 0.001),
    ("riskengine", "risk_gate_3", "Risk gate 3 (static)", 0.002),
    ("riskengine", "risk_gate_4", "Risk gate 4 (position)", 0.005),
    ("riskengine", "risk_gate_5", "Risk gate 5 (drawdown)", 0.002),
    ("riskengine", "risk_gate_6", "Risk gate 6 (short)", 0.002),
    ("oms", "broker_submit", "Broker submit", 0.020),
    ("strategy", "order_total", "Total, from hand-over to the venue's answer", 0.050),
)
"""Service, operation, title, target in seconds."""


def _step(service: str, operation: str, title: str, target_s: float) -> Panel:
    lines = tuple(
        Query(quantile(share, OPERATION, "", service=service, operation=operation), f"p{100 * share:g}")
        for share in (0.5, 0.99)
    )
    return Panel(title, "s", lines, f"{service}: {operation}; at most {1000 * target_s:g} ms p99", target_s)


_PANELS = [_step(*step) for step in STEPS]
_PANELS.append(
    Panel(
        "Orders",
        "ops",
        (
            Query(rate(f"{OPERATION}_count", "operation", service="oms", operation="oms_submit"), "submitted"),
            Query(rate(f"{OPERATION}_count", "operation", service="oms", operation="oms_journal"), "commits"),
        ),
    )
)

DASHBOARD = Dashboard(
    "mts1b-hot-path",
    "Hot path",
    "Each step of an order with the target of the performance notes as a line; p99 below it is within the budget.",
    tuple(tuple(_PANELS[at : at + 3]) for at in range(0, len(_PANELS), 3)),
)

"""Limits, services and commands for the risk tests."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np

from mts1b.foundation.commands import SubmitOrder
from mts1b.foundation.ids import FundId, IdempotencyKey, StrategyId, Symbol
from mts1b.foundation.order import Side
from mts1b.riskengine import MasterData, RiskLimits, RiskService, RiskSnapshot
from mts1b.testing.clock import SimulatedClock
from mts1b.testing.risk import plain_master, wide_limits

FUND = FundId("fund")
SYMBOLS = (Symbol("A"), Symbol("B"), Symbol("C"))
MASTER = plain_master(SYMBOLS)
DAY_S = 86_400
NOW_NS = 10**18


def limits(**changes: Any) -> RiskLimits:
    """Limits so wide that nothing sensible meets them, but for `changes`."""
    return wide_limits(SYMBOLS, **changes)


def service(
    held: dict[str, int] | None = None,
    cash: str = "100000",
    now_ns: int = NOW_NS,
    master: MasterData = MASTER,
    **changes: Any,
) -> RiskService:
    """A risk engine that holds `held` shares, all names marked at 10."""
    made = RiskService(FUND, limits(**changes), SimulatedClock(now_ns), master)
    made.set_covariance(SYMBOLS, np.diag([0.0001, 0.0004, 0.0009]))
    positions = tuple((Symbol(name), Decimal(shares)) for name, shares in (held or {}).items())
    made.restore(RiskSnapshot(Decimal(cash), positions))
    made.mark({symbol: Decimal(10) for symbol in SYMBOLS}, now_ns)
    return made


def command(number: int = 1, side: Side = Side.BUY, quantity: str = "100", **changes: Any) -> SubmitOrder:
    """Buy 100 A at the next opening, sized at 10."""
    values: dict[str, Any] = {
        "idempotency_key": IdempotencyKey(f"key{number}"),
        "fund_id": FUND,
        "strategy_id": StrategyId("s"),
        "symbol": Symbol("A"),
        "side": side,
        "quantity": Decimal(quantity),
        "reference_price": Decimal("10"),
        "decided_ns": 1,
    }
    return SubmitOrder(**values | changes)

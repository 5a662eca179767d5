"""Limits and master data that stand in nobody's way, for tests that are about something else."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from mts1b.foundation.ids import Symbol
from mts1b.foundation.instrument import Instrument
from mts1b.riskengine.limits import RiskLimits
from mts1b.riskengine.master import MasterData

WIDE: dict[str, Any] = {
    "dedup_window_s": 86_400,
    "restricted_symbols": (),
    "quantity_max": "100000",
    "notional_max": "10000000",
    "market_margin": "0",
    "price_collar": "0.5",
    "quote_age_s_max": 10**9,
    "open_orders_max": 1000,
    "orders_per_s_max": 10_000,
    "messages_per_s_max": 10_000,
    "order_to_trade_max": 10**9,
    "order_to_trade_from": 10**9,
    "repeats_max": 10_000,
    "repeats_window_s": 1,
    "self_match_allowed": True,
    "gross_max": "1000000000",
    "net_max": "1000000000",
    "leverage_max": "100",
    "net_to_nav_max": "100",
    "name_to_nav_max": "100",
    "sector_to_nav_max": "100",
    "cash_to_nav_min": "-100",
    "margin_to_nav_max": "100",
    "adv_share_max": "1",
    "var_to_nav_max": "100",
    "day_drawdown_reduce": "0.5",
    "day_drawdown_halt": "0.8",
    "peak_drawdown_reduce": "0.5",
    "peak_drawdown_halt": "0.8",
    "borrow_rate_max": "0.1",
    "borrow_age_s_max": 3600,
}
"""All limits but the allowed symbols, so wide that nothing sensible meets them."""


def wide_limits(symbols: Iterable[str], **changes: Any) -> RiskLimits:
    """WIDE for these names, with `changes`."""
    return RiskLimits.model_validate(WIDE | {"allowed_symbols": tuple(symbols)} | changes)


def plain_master(symbols: Iterable[str], tick: str = "0.01", lot: str = "1", adv: str = "100000000") -> MasterData:
    """Instruments in dollars that trade at all hours, of one sector, with the same volume."""
    rows = [Instrument(Symbol(name), Decimal(tick), Decimal(lot)) for name in symbols]
    return MasterData.of(rows, {item.symbol: Decimal(adv) for item in rows})

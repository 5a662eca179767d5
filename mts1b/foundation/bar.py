"""Market data as exact values, for the order path. Kernels use float arrays instead."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from mts1b.foundation.ids import Symbol


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of one name. `ts_ns` is the session's date at 00:00 UTC for daily bars, else the bar's end."""

    symbol: Symbol
    interval: str
    ts_ns: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


@dataclass(frozen=True, slots=True)
class Quote:
    """Best bid and ask of one name; sizes in shares."""

    symbol: Symbol
    ts_ns: int
    bid: Decimal
    ask: Decimal
    bid_size: Decimal
    ask_size: Decimal

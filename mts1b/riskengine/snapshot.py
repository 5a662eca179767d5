"""What a risk engine starts from."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from mts1b.foundation.events import SharesSplit
from mts1b.foundation.ids import IdempotencyKey, Symbol
from mts1b.foundation.instrument import BASE_CURRENCY
from mts1b.foundation.order import Order
from mts1b.riskengine.activity import RecentOrder
from mts1b.riskengine.verdict import Standing


@dataclass(frozen=True, slots=True)
class RiskSnapshot:
    """All that a risk engine needs to start: taken from the journal by the OMS, never from a former engine's memory.

    `cash` is in the fund's `currency`, `foreign` in others. `marks` may be empty: then gate 4 refuses until prices
    come. `quoted`: when each mark was made at the market and when it came here; a mark without counts as stale.
    `peak_nav`, `day_start_nav`: None without history. `recent`: orders let through within the last day.
    """

    cash: Decimal
    positions: tuple[tuple[Symbol, Decimal], ...] = ()
    open_orders: tuple[Order, ...] = ()
    keys: tuple[tuple[IdempotencyKey, int], ...] = ()
    marks: tuple[tuple[Symbol, Decimal], ...] = ()
    quoted: tuple[tuple[Symbol, int, int], ...] = ()
    marked_ns: int = 0
    last_nav: Decimal | None = None
    peak_nav: Decimal | None = None
    day_start_nav: Decimal | None = None
    standing: Standing = Standing()
    currency: str = BASE_CURRENCY
    foreign: tuple[tuple[str, Decimal], ...] = ()
    splits: tuple[SharesSplit, ...] = ()
    recent: tuple[RecentOrder, ...] = ()

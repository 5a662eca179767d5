"""A fund's limits. Each is unset (None) until somebody writes it down, and an unset limit denies."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from mts1b.foundation.ids import Symbol
from mts1b.foundation.limits import RATE_MESSAGES_MAX, REPEATS_MAX

Positive = Annotated[Decimal, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[Decimal, Field(gt=0, le=1, allow_inf_nan=False)]
Finite = Annotated[Decimal, Field(allow_inf_nan=False)]


T = TypeVar("T")


def known(limit: T | None) -> T:
    """A limit that the gate has seen to be set. LookupError, which refuses, when it has not looked."""
    if limit is None:
        raise LookupError("a gate reads a limit that it does not ask for")
    return limit


class RiskLimits(BaseModel):
    """Limits of one fund. Quantities in shares, money in the fund's currency, ratios and fractions of NAV.

    Gates 4 and 5 measure against NAV now. Drawdown fractions: NAV below the start of day or the peak by that share.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    # gate 1
    dedup_window_s: int | None = Field(None, gt=0)
    # gate 3
    allowed_symbols: frozenset[Symbol] | None = None
    restricted_symbols: frozenset[Symbol] | None = None
    quantity_max: Positive | None = None
    notional_max: Positive | None = None
    market_margin: NotNegative | None = None  # an order without a limit price counts at its mark and this more
    price_collar: Fraction | None = None  # how far a price may be from the mark, as a fraction of the mark
    quote_age_s_max: int | None = Field(None, gt=0)
    open_orders_max: int | None = Field(None, ge=0)
    orders_per_s_max: int | None = Field(None, gt=0, le=RATE_MESSAGES_MAX)
    messages_per_s_max: int | None = Field(None, gt=0, le=RATE_MESSAGES_MAX)  # orders, replacements and cancels
    order_to_trade_max: Positive | None = None  # a day's messages for each order that traded
    order_to_trade_from: int | None = Field(None, ge=0)  # messages of a day before that ratio is looked at
    repeats_max: int | None = Field(None, gt=0, le=REPEATS_MAX)  # trades of one strategy, name and side in the window
    repeats_window_s: int | None = Field(None, gt=0)
    self_match_allowed: bool | None = None
    # gate 4: worst case, working orders counted
    gross_max: Positive | None = None
    net_max: Positive | None = None
    leverage_max: Positive | None = None  # gross to NAV
    net_to_nav_max: Positive | None = None
    name_to_nav_max: Positive | None = None
    sector_to_nav_max: Positive | None = None
    cash_to_nav_min: Finite | None = None  # below 0: what may be borrowed
    margin_to_nav_max: Positive | None = None
    adv_share_max: Positive | None = None  # working orders of one side to average daily volume
    var_to_nav_max: Positive | None = None  # one day, 99 %, normal, from the covariance handed in
    # gate 5
    day_drawdown_reduce: Fraction | None = None
    day_drawdown_halt: Fraction | None = None
    peak_drawdown_reduce: Fraction | None = None
    peak_drawdown_halt: Fraction | None = None
    # gate 6: read for an order that could leave the fund short
    borrow_rate_max: NotNegative | None = None  # a year, as a fraction
    borrow_age_s_max: int | None = Field(None, gt=0)

    def first_unset(self, names: tuple[str, ...]) -> str | None:
        """The first of these limits that nobody has set."""
        values = vars(self)
        for name in names:
            if values[name] is None:
                return name
        return None


LIMITS_OF_GATE: dict[int, tuple[str, ...]] = {
    1: ("dedup_window_s",),
    2: (),
    3: (
        "allowed_symbols",
        "restricted_symbols",
        "quantity_max",
        "notional_max",
        "market_margin",
        "price_collar",
        "quote_age_s_max",
        "open_orders_max",
        "orders_per_s_max",
        "messages_per_s_max",
        "order_to_trade_max",
        "order_to_trade_from",
        "repeats_max",
        "repeats_window_s",
        "self_match_allowed",
    ),
    4: (
        "gross_max",
        "net_max",
        "leverage_max",
        "net_to_nav_max",
        "name_to_nav_max",
        "sector_to_nav_max",
        "cash_to_nav_min",
        "margin_to_nav_max",
        "adv_share_max",
        "var_to_nav_max",
    ),
    5: ("day_drawdown_reduce", "day_drawdown_halt", "peak_drawdown_reduce", "peak_drawdown_halt"),
    6: ("borrow_rate_max", "borrow_age_s_max"),
}
"""Which gate reads which limit, in the order it misses them. Gate 4 reads `market_margin` too."""

"""A fund's limits. Each is unset (None) until somebody writes it down, and an unset limit denies."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from mts1b.foundation.ids import Symbol

Positive = Annotated[Decimal, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[Decimal, Field(gt=0, le=1, allow_inf_nan=False)]


class RiskLimits(BaseModel):
    """Limits of one fund. Quantities in shares, notionals in the fund's currency, ratios and fractions of NAV.

    Gates 4 and 5 measure against NAV now. Drawdown fractions: NAV below the start of day or the peak by that share.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    # gate 1
    dedup_window_s: int | None = Field(None, gt=0)
    # gate 2
    price_tick: Positive | None = None
    quantity_lot: Positive | None = None
    # gate 3
    allowed_symbols: frozenset[Symbol] | None = None
    restricted_symbols: frozenset[Symbol] | None = None
    quantity_max: Positive | None = None
    notional_max: Positive | None = None
    price_collar: Fraction | None = None  # how far a price may be from the mark, as a fraction of the mark
    open_orders_max: int | None = Field(None, ge=0)
    # gate 4
    gross_to_nav_max: Positive | None = None
    net_to_nav_max: Positive | None = None
    name_to_nav_max: Positive | None = None
    var_to_nav_max: Positive | None = None  # one day, 99 %, normal, from the covariance handed in
    # gate 5
    day_drawdown_reduce: Fraction | None = None
    day_drawdown_halt: Fraction | None = None
    peak_drawdown_reduce: Fraction | None = None
    peak_drawdown_halt: Fraction | None = None
    # gate 6: read for an order that could leave the fund short
    borrow_rate_max: NotNegative | None = None  # a year, as a fraction
    borrow_age_s_max: int | None = Field(None, gt=0)

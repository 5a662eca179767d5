"""Executions of every kind, and rough bars a day apart, for tests of exact books."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from mts1b.backtester import Execution
from mts1b.backtester.execution import CAPITALS, LADDER_FILLS
from mts1b.strategy.panel import Panel
from tests.unit.backtester.accounts import daily
from tests.unit.strategy.panels import made_panel, rough_panels

OPTIONS: dict[str, dict] = {
    "close": {"fill": "close"},
    "vwap": {"fill": "vwap"},
    "band": {"band": 0.1},
    "targets only": {"band": math.inf},
    "shares": {"commission_per_share": 0.01, "commission_min": 1.0, "capital": 1e5},
    "impact": {"impact": 1.0, "impact_bars": 5, "capital": 1e4},
    "volume": {"volume_share_max": 0.1, "capital": 1e4, "band": math.inf},
    "rates": {"borrow_rate": 0.1, "cash_rate": 0.05},
    "long only": {"long_only": True},
    "delisting": {"delist_after_bars": 2},
    "sleeve": {"capital_by": "sleeve"},
    "sleeve, minimum": {"capital_by": "sleeve", "commission_min": 1.0, "capital": 1e5},
    "sleeve, all": {
        "capital_by": "sleeve",
        "capital": 1e4,
        "impact": 1.0,
        "volume_share_max": 0.3,
        "band": 0.2,
        "delist_after_bars": 3,
        "borrow_rate": 0.2,
        "cash_rate": 0.03,
    },
}

EXECUTIONS = st.builds(
    Execution,
    commission_bps=st.sampled_from([0.0, 2.0]),
    half_spread_bps=st.sampled_from([0.0, 3.0]),
    fill=st.sampled_from(LADDER_FILLS),
    capital=st.sampled_from([3_000.0, 1e6]),
    capital_by=st.sampled_from(CAPITALS),
    long_only=st.booleans(),
    band=st.sampled_from([0.0, 0.1, math.inf]),
    commission_per_share=st.sampled_from([0.0, 0.005]),
    commission_min=st.sampled_from([0.0, 1.0]),
    impact=st.sampled_from([0.0, 1.0]),
    impact_bars=st.sampled_from([2, 20]),
    volume_share_max=st.sampled_from([0.05, math.inf]),
    borrow_rate=st.sampled_from([0.0, 0.5]),
    cash_rate=st.sampled_from([0.0, 0.05]),
    delist_after_bars=st.sampled_from([1, 3, math.inf]),
).filter(lambda execution: not execution.is_plain)


def with_vwap(panel: Panel) -> Panel:
    """The same bars a day apart, with a vwap."""
    return replace(daily(panel), vwap=(panel.high + panel.low + panel.close) / 3.0)


PANELS = st.builds(
    lambda bars, size, gaps, seed: with_vwap(made_panel(bars, size, gaps, seed)),
    st.integers(45, 70),
    st.sampled_from([1, 3]),
    st.sampled_from([0.0, 0.25]),
    st.integers(0, 99),
)

ROUGH_PANELS = rough_panels().map(daily)


def assert_same_until(one, other, bar: int) -> None:
    """Books that agree, to the bit, on every bar up to and including `bar`."""
    for name in ("returns", "traded", "paid", "changed", "gross", "quantity"):
        np.testing.assert_array_equal(getattr(one, name)[: bar + 1], getattr(other, name)[: bar + 1], err_msg=name)

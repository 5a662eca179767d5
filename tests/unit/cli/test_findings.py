"""What the quickstart makes of its results."""

from dataclasses import replace

import numpy as np
import pytest

from actors.paper_session import PaperResult
from mts1b.backtester import targets
from mts1b.cli.findings import parity
from mts1b.foundation.errors import InvariantBroken
from mts1b.marketdata.replay import on_tick
from mts1b.strategy import Panel
from tests.paper_market import FIRST, SESSIONS, VALUES, small_market, small_plan
from tests.unit.actors.test_local_session import run


def adjusted_market() -> Panel:
    """Prices times a factor of dividends: off the tick, as the lake gives them."""
    panel = small_market()
    fields = {name: panel.field(name) * 0.9137 for name in ("open", "high", "low", "close")}
    return replace(panel, **fields)


def paper(panel: Panel) -> PaperResult:
    return run(small_plan("fund", on_tick(panel)))[0]


def test_a_session_on_adjusted_prices_decides_as_the_backtest() -> None:
    panel, strategy = adjusted_market(), small_plan("fund").strategy
    assert (targets(strategy, VALUES, panel) != targets(strategy, VALUES, on_tick(panel))).any()
    assert parity(panel, strategy, VALUES, paper(panel)) == SESSIONS - 1


def test_the_first_bar_that_differs_is_named() -> None:
    panel, strategy = adjusted_market(), small_plan("fund").strategy
    result = paper(panel)
    other = result.targets.copy()
    other[4, 2] = np.nextafter(other[4, 2], 2.0)
    with pytest.raises(InvariantBroken, match=str(panel.ts_ns[FIRST + 4])):
        parity(panel, strategy, VALUES, replace(result, targets=other))

"""The workers of one fund, however they are placed: in actors, or in one process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from actors.assumed import assumed_master, with_assumed
from actors.broker import BrokerWorker
from actors.feed import Feed
from actors.oms import OmsWorker
from actors.portfolio import Mandate
from actors.strategy import StrategyWorker
from mts1b.foundation.errors import InputError
from mts1b.foundation.events import NavMarked
from mts1b.foundation.ids import FundId, StrategyId, Symbol
from mts1b.foundation.limits import ORDERS_IN_FLIGHT_MAX
from mts1b.quantkit.covariance import sample_covariance
from mts1b.riskengine.limits import RiskLimits
from mts1b.riskengine.master import MasterData, Reference
from mts1b.riskengine.verdict import Standing
from mts1b.strategy.definition import Strategy, Values
from mts1b.strategy.panel import Panel


@dataclass(frozen=True, slots=True)
class DeskPlan:
    """One strategy trading one fund, from row `first` of the panel on. `opening_cash` opens the fund.

    `in_flight`: orders handed over at a time. With more than one the rebalance ends sooner and each order takes longer.
    `master`: what is known of the names; empty, everything is assumed from the panel (`actors.assumed`).
    `content_window_s`: how long an order bars the same one under another key; 0 in a replay, whose sessions follow one
    another at once.
    `covariance_bars`: history that gate 4's covariance is estimated from; 252 is a year.
    """

    fund_id: FundId
    strategy: Strategy
    values: Values
    panel: Panel
    first: int
    limits: RiskLimits
    opening_cash: Decimal
    in_flight: int = 1
    covariance_bars: int = 252
    master: MasterData = field(default_factory=MasterData)
    content_window_s: float = 0.0

    def __post_init__(self) -> None:
        if not 2 <= self.first < len(self.panel.ts_ns):
            held = len(self.panel.ts_ns)
            raise InputError("first", self.first, f"the panel has rows 0..{held - 1}", "leave two rows of history")
        self.strategy.check_fields(self.panel)
        self.strategy.check_history(self.strategy.resolve(self.values), self.first + 1)
        if self.opening_cash <= 0:
            raise InputError("cash", str(self.opening_cash), "a fund opens with money", "give more than 0")
        if not 1 <= self.in_flight <= ORDERS_IN_FLIGHT_MAX:
            raise InputError("in_flight", self.in_flight, f"must be 1 to {ORDERS_IN_FLIGHT_MAX}", "choose one in range")

    @property
    def reference(self) -> Reference:
        """What risk starts with: the plan's limits, its master data, and what has to be assumed besides."""
        return Reference(self.limits, master=with_assumed(self.master, assumed_master(self.panel, self.first)))

    @property
    def assumed(self) -> tuple[str, ...]:
        """Names whose master data are assumed."""
        return tuple(name for name in self.symbols if name not in self.master.instruments)

    @property
    def mandate(self) -> Mandate:
        return Mandate(self.fund_id, StrategyId(self.strategy.name))

    @property
    def symbols(self) -> tuple[Symbol, ...]:
        return tuple(Symbol(name) for name in self.panel.symbols)

    def covariance(self) -> NDArray[np.float64]:
        """Daily covariance [S, S] of the bars before the first session; what risk starts with."""
        rows = slice(max(0, self.first - self.covariance_bars - 1), self.first)
        return sample_covariance(self.panel.close[rows])


class RiskDesk(Protocol):
    """The risk worker as the desk calls it."""

    async def mark(self, prices: Mapping[Symbol, Decimal], ts_ns: int) -> NavMarked: ...

    async def standing(self) -> Standing: ...

    async def statistics(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Desk:
    """The five workers, each called through plain awaits."""

    feed: Feed
    strategy: StrategyWorker
    risk: RiskDesk
    oms: OmsWorker
    broker: BrokerWorker

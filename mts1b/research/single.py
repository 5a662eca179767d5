"""Single runs in the event engine, from the lake: one at a time, or over a list of them in a pool of processes.

    from concurrent.futures import ProcessPoolExecutor
    from dataclasses import replace
    from mts1b.research.single import RunRequest, run_one_param_set

    base = RunRequest("sma_cross", lake_root="~/.mts1b/lake")
    param_grid = [replace(base, values={"fast": fast, "slow": 100}) for fast in range(5, 50, 5)]
    with ProcessPoolExecutor(max_workers=8) as ex:
        results = list(ex.map(run_one_param_set, param_grid))

A request is a few hundred bytes. It is checked, and its bars are read, when it is made: forked workers share that one
copy (and could not read for themselves: the reader's threads do not survive a fork), spawned ones read once each. For
more than a few hundred sets of values use a sweep (`mts1b.research.ladder`), whose kernels are made for that; its rows
are those of `Account.matching`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from mts1b.backtester import Account, Run, backtest, metrics_of
from mts1b.datalake import open_lake
from mts1b.datalake.adjust import Adjust
from mts1b.foundation.errors import InputError
from mts1b.strategy import Strategy
from mts1b.strategy.files import find_strategy
from mts1b.strategy.panel import Panel

PANELS_KEPT = 4
"""Panels that a process keeps: those of the requests it made last."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """One run. `strategy` is a name of the library, FILE.py:NAME, or a definition; `values` name its parameters, the
    rest take their defaults; `symbols` empty: all; dates ISO, both included; `lake_root` may begin with ~; `universe`,
    `adjust`, `as_of`: as `lake.equities.bars.panel` takes them.

    Making one raises what is wrong with it: any error of `Strategy.resolve` and of the lake's `panel`.
    """

    strategy: str | Strategy
    values: Mapping[str, float] = field(default_factory=dict)
    symbols: tuple[str, ...] = ()
    start: str | None = None
    end: str | None = None
    interval: str = "daily"
    account: Account = field(default_factory=Account)
    lake_root: str = "~/.mts1b/lake"
    universe: str | None = None
    adjust: Adjust = "total"
    as_of: str | None = None

    def __post_init__(self) -> None:
        strategy_of(self).resolve(self.values)
        panel_of(self)


def run_request(request: RunRequest, keep_fills: bool = False) -> Run:
    """The run. Any error of `mts1b.backtester.backtest`."""
    return backtest(strategy_of(request), request.values, panel_of(request), request.account, keep_fills)


def run_one_param_set(request: RunRequest) -> dict[str, float]:
    """The row that a sweep's table would hold for these values: every parameter, then the metrics."""
    run = run_request(request)
    return {**run.values, **metrics_of(run)}


def strategy_of(request: RunRequest) -> Strategy:
    """The definition. UnknownNameError for a name that is not known."""
    return request.strategy if isinstance(request.strategy, Strategy) else find_strategy(request.strategy)


def panel_of(request: RunRequest) -> Panel:
    """The bars of a request. InputError in a forked worker when the parent has not read them."""
    told = (request.universe, request.adjust, request.as_of)
    return _panel(request.lake_root, request.symbols, request.interval, request.start, request.end, *told)


@lru_cache(maxsize=PANELS_KEPT)
def _panel(
    lake_root: str,
    symbols: tuple[str, ...],
    interval: str,
    start: str | None,
    end: str | None,
    universe: str | None,
    adjust: Adjust,
    as_of: str | None,
) -> Panel:
    if _forked:
        remedy = f"make at most {PANELS_KEPT} kinds of request before the pool, or use mp_context=get_context('spawn')"
        raise InputError("symbols", symbols or "all", "bars that were not read before this worker was forked", remedy)
    bars = open_lake(lake_root).equities.bars
    return bars.panel(list(symbols) or None, interval, start, end, universe, adjust, as_of)


_forked: list[bool] = []


def _after_fork() -> None:
    """In a forked child: the reader's threads are gone if they were ever started, and reading would wait for ever."""
    if _panel.cache_info().misses:
        _forked.append(True)


os.register_at_fork(after_in_child=_after_fork)

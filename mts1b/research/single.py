"""Single runs in the event engine, from the lake: one at a time, or over a list of them in a pool of processes.

    from concurrent.futures import ProcessPoolExecutor
    from dataclasses import replace
    from mts1b.research.single import RunRequest, run_one_param_set

    base = RunRequest("sma_cross", lake_root="~/.mts1b/lake")
    param_grid = [replace(base, values={"fast": fast, "slow": 100}) for fast in range(5, 50, 5)]
    with ProcessPoolExecutor(max_workers=8) as ex:
        results = list(ex.map(run_one_param_set, param_grid))

A request is a few hundred bytes; each process reads the bars once and keeps them. For more than a few hundred sets of
values use a sweep (`mts1b.research.ladder`), whose kernels are some thousand times faster.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from mts1b.backtester import Account, Run, backtest, metrics_of
from mts1b.datalake import open_lake
from mts1b.strategy import Strategy, get_strategy
from mts1b.strategy.panel import Panel


@dataclass(frozen=True, slots=True)
class RunRequest:
    """One run. `strategy` is one of the library by name, or a definition; `values` name its parameters, the rest take
    their defaults; `symbols` empty: all; dates ISO, both included; `lake_root` may begin with ~.
    """

    strategy: str | Strategy
    values: Mapping[str, float] = field(default_factory=dict)
    symbols: tuple[str, ...] = ()
    start: str | None = None
    end: str | None = None
    interval: str = "daily"
    account: Account = field(default_factory=Account)
    lake_root: str = "~/.mts1b/lake"


def run_request(request: RunRequest, keep_fills: bool = False) -> Run:
    """Read the bars and run. Any error of `mts1b.backtester.backtest` and of the lake's `panel`."""
    return backtest(strategy_of(request), request.values, panel_of(request), request.account, keep_fills)


def run_one_param_set(request: RunRequest) -> dict[str, float]:
    """The row that a sweep's table would hold for these values: every parameter, then the metrics."""
    run = run_request(request)
    return {**run.values, **metrics_of(run)}


def strategy_of(request: RunRequest) -> Strategy:
    """The definition. UnknownNameError for a name that the library does not have."""
    return request.strategy if isinstance(request.strategy, Strategy) else get_strategy(request.strategy)


def panel_of(request: RunRequest) -> Panel:
    """The bars of a request; those of the last request are kept by this process."""
    return _panel(request.lake_root, request.symbols, request.interval, request.start, request.end)


@lru_cache(maxsize=1)
def _panel(lake_root: str, symbols: tuple[str, ...], interval: str, start: str | None, end: str | None) -> Panel:
    bars = open_lake(Path(lake_root).expanduser()).equities.bars
    return bars.panel(list(symbols) or None, interval, start, end)

"""Walk-forward validation of a grid on the Ray cluster; `mts walk-forward` is the same function."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs.console import run_as_program, symbols_of
from jobs.sweep import (
    DEFAULT_COSTS,
    BackendOption,
    CommissionOption,
    DataDirOption,
    EndOption,
    GridOption,
    IntervalOption,
    JsonOption,
    LocalOption,
    SpreadOption,
    StartOption,
    StrategyOption,
    SymbolsOption,
    TopOption,
    WhereOption,
    report,
)
from mts1b.backtester import Execution
from mts1b.research.request import SweepRequest, WalkForwardWindows

TrainOption = Annotated[int, typer.Option("--train-bars", help="Bars on which parameters are chosen.")]
TestOption = Annotated[int, typer.Option("--test-bars", help="Bars after them on which the choice is judged.")]
EmbargoOption = Annotated[int, typer.Option("--embargo-bars", help="Bars left out between the two.")]


def command(
    strategy: StrategyOption,
    grid: GridOption = None,
    where: WhereOption = None,
    train_bars: TrainOption = 756,
    test_bars: TestOption = 252,
    embargo_bars: EmbargoOption = 0,
    symbols: SymbolsOption = "all",
    start: StartOption = None,
    end: EndOption = None,
    interval: IntervalOption = "daily",
    commission_bps: CommissionOption = DEFAULT_COSTS.commission_bps,
    half_spread_bps: SpreadOption = DEFAULT_COSTS.half_spread_bps,
    backend: BackendOption = "cpu",
    top: TopOption = 10,
    json_file: JsonOption = None,
    data_dir: DataDirOption = None,
    local: LocalOption = False,
) -> None:
    """Choose parameters on rolling train windows and judge them on the bars that follow, in one pass over the grid."""
    request = SweepRequest(
        strategy=strategy,
        grid=tuple(grid or ()),
        where=where,
        symbols=symbols_of(symbols),
        start=start,
        end=end,
        interval=interval,
        execution=Execution(commission_bps, half_spread_bps),
        backend=backend,
        top=top,
        windows=WalkForwardWindows(train_bars, test_bars, embargo_bars),
    )
    report(request, f"walk-forward {strategy}", data_dir, local, json_file)


if __name__ == "__main__":
    run_as_program(command)

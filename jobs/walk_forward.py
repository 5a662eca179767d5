"""Cross-validation of a grid on the Ray cluster; `mts walk-forward` is the same function."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs import trading
from jobs.console import run_as_program, symbols_of
from jobs.sweep import (
    BackendOption,
    DataDirOption,
    EndOption,
    GridOption,
    IntervalOption,
    JsonOption,
    LocalOption,
    MetricsOption,
    ReportOption,
    SampleOption,
    SamplingOption,
    SeedOption,
    SpaOption,
    StartOption,
    StrategyOption,
    SymbolsOption,
    TopOption,
    WhereOption,
    backend_of,
    report,
    sample_of,
)
from jobs.universe import AdjustOption, AsOfOption, UniverseOption, adjust_of
from mts1b.backtester import Execution
from mts1b.research.folds import Validation
from mts1b.research.request import SweepRequest

SchemeOption = Annotated[str, typer.Option("--scheme", help="rolling, anchored, kfold or combinatorial.")]
TrainOption = Annotated[
    int, typer.Option("--train-bars", help="Bars on which parameters are chosen (anchored: first).")
]
TestOption = Annotated[int, typer.Option("--test-bars", help="Bars after them on which the choice is judged.")]
PurgeOption = Annotated[int, typer.Option("--purge-bars", help="Bars of training left out on both sides of a test.")]
EmbargoOption = Annotated[int, typer.Option("--embargo-bars", help="Further bars of training left out after a test.")]
FoldsOption = Annotated[int, typer.Option("--folds", help="Parts that kfold and combinatorial cut the history into.")]
TestFoldsOption = Annotated[int, typer.Option("--test-folds", help="Of them, judged at once (combinatorial).")]

DEFAULTS = Validation()


def command(
    strategy: StrategyOption,
    grid: GridOption = None,
    where: WhereOption = None,
    sample: SampleOption = None,
    sampling: SamplingOption = "random",
    seed: SeedOption = 0,
    scheme: SchemeOption = DEFAULTS.scheme,
    train_bars: TrainOption = DEFAULTS.train,
    test_bars: TestOption = DEFAULTS.test,
    purge_bars: PurgeOption = DEFAULTS.purge,
    embargo_bars: EmbargoOption = DEFAULTS.embargo,
    folds: FoldsOption = DEFAULTS.folds,
    test_folds: TestFoldsOption = DEFAULTS.test_folds,
    symbols: SymbolsOption = "all",
    start: StartOption = None,
    end: EndOption = None,
    interval: IntervalOption = "daily",
    universe: UniverseOption = None,
    adjust: AdjustOption = "total",
    as_of: AsOfOption = None,
    commission_bps: trading.CommissionOption = trading.DEFAULTS.commission_bps,
    half_spread_bps: trading.SpreadOption = trading.DEFAULTS.half_spread_bps,
    fill: trading.FillOption = trading.DEFAULTS.fill,
    capital: trading.CapitalOption = trading.DEFAULTS.capital,
    sleeves: trading.SleevesOption = False,
    long_only: trading.LongOnlyOption = trading.DEFAULTS.long_only,
    band: trading.BandOption = trading.DEFAULTS.band,
    commission_per_share: trading.PerShareOption = trading.DEFAULTS.commission_per_share,
    commission_min: trading.LeastOption = trading.DEFAULTS.commission_min,
    impact: trading.ImpactOption = trading.DEFAULTS.impact,
    impact_bars: trading.ImpactBarsOption = trading.DEFAULTS.impact_bars,
    volume_share_max: trading.VolumeOption = trading.DEFAULTS.volume_share_max,
    borrow_rate: trading.BorrowOption = trading.DEFAULTS.borrow_rate,
    cash_rate: trading.CashOption = trading.DEFAULTS.cash_rate,
    delist_after_bars: trading.DelistOption = trading.DEFAULTS.delist_after_bars,
    backend: BackendOption = None,
    top: TopOption = 10,
    metrics: MetricsOption = "default",
    spa: SpaOption = None,
    json_file: JsonOption = None,
    page: ReportOption = None,
    data_dir: DataDirOption = None,
    local: LocalOption = False,
) -> None:
    """Choose parameters on part of the history and judge them on the rest, fold by fold, in one pass over the grid."""
    request = SweepRequest(
        strategy=strategy,
        grid=tuple(grid or ()),
        where=where,
        sample=sample_of(sample, sampling, seed),
        symbols=symbols_of(symbols),
        start=start,
        end=end,
        interval=interval,
        universe=universe,
        adjust=adjust_of(adjust),
        as_of=as_of,
        execution=Execution(
            *(commission_bps, half_spread_bps, fill, capital, trading.capital_by(sleeves), long_only, band),
            *(commission_per_share, commission_min, impact, impact_bars, volume_share_max),
            *(borrow_rate, cash_rate, delist_after_bars),
        ),
        backend=backend_of(backend, data_dir),
        top=top,
        validation=Validation(scheme, train_bars, test_bars, purge_bars, embargo_bars, folds, test_folds),
        metrics=metrics,
        subset=tuple(spa or ()),
    )
    report(request, f"walk-forward {strategy}", data_dir, local, json_file, page)


if __name__ == "__main__":
    run_as_program(command)

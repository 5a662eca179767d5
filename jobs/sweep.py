"""Sweep a strategy over a grid on the Ray cluster.

One function behind `mts sweep`, `python jobs/sweep.py` and `ray job submit --working-dir . -- python jobs/sweep.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from jobs import trading
from jobs.console import (
    check_json_target,
    check_report_target,
    print_choice,
    print_sweep,
    run_as_program,
    settings_of,
    symbols_of,
    write_json,
)
from jobs.progress import shown
from jobs.screen import screen
from jobs.universe import AdjustOption, AsOfOption, UniverseOption, adjust_of
from mts1b.backtester import Execution, gpu_available
from mts1b.backtester.choice import Choice, Machine
from mts1b.config import Settings, load_settings
from mts1b.datalake import open_lake
from mts1b.deploy.observation import observation
from mts1b.foundation.clock import Clock, SystemClock
from mts1b.platform.telemetry import span
from mts1b.platform.telemetry.service import NOTHING, Observation, observing
from mts1b.research.calibration import AUTO, with_chosen_backend
from mts1b.research.grid import Sample
from mts1b.research.ladder import ProgressListener, check_spec, run_sweep
from mts1b.research.publish import publish
from mts1b.research.request import SweepRequest, resolve
from mts1b.research.runner import LocalRunner, Runner
from mts1b.research.summary import SweepSummary

StrategyOption = Annotated[
    str, typer.Option("--strategy", help="A name of `mts strategy list`, FILE.py or FILE.py:NAME.")
]
GridOption = Annotated[
    list[str] | None,
    typer.Option(
        "--grid",
        help="name=start:stop:step (stop left out), name=start:stop:logN (N values, both ends) or name=a,b,c. "
        "Once for each parameter.",
    ),
]
WhereOption = Annotated[str | None, typer.Option("--where", help="Keep combinations for which it holds: fast < slow.")]
SampleOption = Annotated[
    int | None, typer.Option("--sample", help="So many combinations of the grid, which may then be of any size.")
]
SamplingOption = Annotated[str, typer.Option("--sampling", help="How they are drawn: random, or sobol (evenly).")]
SeedOption = Annotated[int, typer.Option("--seed", help="Of the sample: the same seed draws the same.")]
SymbolsOption = Annotated[str, typer.Option("--symbols", help="A,B,C or all.")]
StartOption = Annotated[str | None, typer.Option("--start", help="First date, YYYY-MM-DD, included.")]
EndOption = Annotated[str | None, typer.Option("--end", help="Last date, YYYY-MM-DD, included.")]
IntervalOption = Annotated[str, typer.Option("--interval", help="Interval of the bars.")]
BackendOption = Annotated[
    str | None,
    typer.Option("--backend", help="cpu (the default), gpu, reference (readable), or auto: by the source's rule."),
]
PrecisionOption = Annotated[
    str, typer.Option("--precision", help="single: sums of a few bars in float32, where a kernel can; or double.")
]
TopOption = Annotated[int, typer.Option("--top", help="How many of the best to report.")]
MetricsOption = Annotated[str, typer.Option("--metrics", help="default, or full: statistics of trades too.")]
SpaOption = Annotated[
    list[str] | None,
    typer.Option("--spa", help="Hansen's test over this grid (as --grid), declared before the sweep is run."),
]
JsonOption = Annotated[str | None, typer.Option("--json", help="Write the result to this file; - for standard output.")]
ReportOption = Annotated[
    Path | None, typer.Option("--report", readable=False, help="Write a page with figures and charts to this file.")
]
DataDirOption = Annotated[
    Path | None, typer.Option("--data-dir", readable=False, help="Data directory of the stack and the lake.")
]
LocalOption = Annotated[bool, typer.Option("--local", help="In this process, without Ray.")]


def sweep(
    request: SweepRequest,
    settings: Settings,
    clock: Clock,
    local: bool = False,
    on_progress: ProgressListener | None = None,
    on_choice: Callable[[Choice], None] | None = None,
) -> SweepSummary:
    """Run the sweep on the stack's Ray cluster, or here when `local`, and put its table into the lake. Bad input is
    refused before Ray is asked."""
    auto = request.backend == AUTO
    spec, panel = resolve(replace(request, backend="cpu") if auto else request, settings.lake_root)
    check_spec(spec, panel)
    if not local:
        _connect(settings)
    if auto:
        spec = with_chosen_backend(spec, panel, request.interval, machine_of(local), clock)
        if on_choice is not None and spec.choice is not None:
            on_choice(spec.choice)
    watched = NOTHING if local else observation(settings, exposed=False)
    runner = runner_for(local, spec.backend, watched)
    with observing("research", watched), span("sweep", strategy=spec.strategy.name, backend=spec.backend):
        summary = run_sweep(spec, panel, runner, settings.results_root, clock, on_progress)
        publish(summary, open_lake(settings.lake_root))
    return summary


def machine_of(local: bool) -> Machine:
    """What the sweep can be spread over: the connected Ray cluster, or this process's one thread and one GPU."""
    if local:
        return Machine(cpus=1, gpus=min(1, gpu_available()))
    from jobs.fanout import cluster_machine

    return cluster_machine()


def sample_of(count: int | None, method: str, seed: int) -> Sample | None:
    """The sample asked for, if one is."""
    return None if count is None else Sample(count, method, seed)


def backend_of(given: str | None, data_dir: Path | None) -> str:
    """The backend asked for, else the one that the settings name."""
    return given or load_settings(data_dir=data_dir).gpubacktester.backend


def runner_for(local: bool, backend: str, watched: Observation = NOTHING) -> Runner:
    """The runner on the connected Ray cluster, or this process; on "gpu" each task has a GPU to itself.

    StackError when the cluster has no GPU and one is needed.
    """
    if local:
        return LocalRunner()
    from jobs.fanout import RayRunner

    return RayRunner(gpus=1 if backend == "gpu" else 0, observation=watched)


def _connect(settings: Settings) -> None:
    """Connect this process to the stack's Ray. StackError when it is not up."""
    from mts1b.deploy.ray_client import connect_ray  # sets the environment that Ray reads when it is imported

    connect_ray(settings)


def report(
    request: SweepRequest, title: str, data_dir: Path | None, local: bool, json_file: str | None, page: Path | None
) -> SweepSummary:
    """Run, showing progress; then print the result and write it where asked: as JSON, as a page."""
    check_json_target(json_file)
    check_report_target(page)
    told = screen(stderr=json_file == "-")
    with shown(title) as listener:
        summary = sweep(
            request, settings_of(data_dir), SystemClock(), local, listener, lambda choice: print_choice(choice, told)
        )
    if json_file != "-":
        print_sweep(summary)
    write_json(json_file, summary.to_json())
    if page is not None:
        write_page(page, request, summary, settings_of(data_dir), SystemClock())
    return summary


def write_page(path: Path, request: SweepRequest, summary: SweepSummary, settings: Settings, clock: Clock) -> Path:
    """The sweep's report, one HTML file."""
    from mts1b.report.html import write_report  # plotly, for this alone
    from mts1b.report.sweep_page import sweep_page

    spec, panel = resolve(replace(request, backend=summary.backend), settings.lake_root)
    return write_report(path, sweep_page(summary, spec.strategy, panel, spec.execution, clock.now_ns()))


def command(
    strategy: StrategyOption,
    grid: GridOption = None,
    where: WhereOption = None,
    sample: SampleOption = None,
    sampling: SamplingOption = "random",
    seed: SeedOption = 0,
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
    precision: PrecisionOption = "single",
    top: TopOption = 10,
    metrics: MetricsOption = "default",
    spa: SpaOption = None,
    json_file: JsonOption = None,
    page: ReportOption = None,
    data_dir: DataDirOption = None,
    local: LocalOption = False,
) -> None:
    """Sweep a strategy over a grid of parameters and say how much of the best is luck."""
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
        precision=precision,
        top=top,
        metrics=metrics,
        subset=tuple(spa or ()),
    )
    report(request, f"sweep {strategy}", data_dir, local, json_file, page)


if __name__ == "__main__":
    run_as_program(command)

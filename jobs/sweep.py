"""Sweep a strategy over a grid on the Ray cluster.

One function behind `mts sweep`, `python jobs/sweep.py` and `ray job submit --working-dir . -- python jobs/sweep.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jobs.console import check_json_target, print_sweep, run_as_program, settings_of, symbols_of, write_json
from jobs.progress import shown
from mts1b.backtester import Execution
from mts1b.config import Settings
from mts1b.foundation.clock import Clock, SystemClock
from mts1b.research.ladder import ProgressListener, check_spec, run_sweep
from mts1b.research.request import SweepRequest, resolve
from mts1b.research.runner import LocalRunner, Runner
from mts1b.research.summary import SweepSummary

StrategyOption = Annotated[
    str, typer.Option("--strategy", help="A name of `mts strategy list`, FILE.py or FILE.py:NAME.")
]
GridOption = Annotated[
    list[str] | None,
    typer.Option("--grid", help="name=start:stop:step (stop left out) or name=a,b,c. Once for each parameter."),
]
WhereOption = Annotated[str | None, typer.Option("--where", help="Keep combinations for which it holds: fast < slow.")]
SymbolsOption = Annotated[str, typer.Option("--symbols", help="A,B,C or all.")]
StartOption = Annotated[str | None, typer.Option("--start", help="First date, YYYY-MM-DD, included.")]
EndOption = Annotated[str | None, typer.Option("--end", help="Last date, YYYY-MM-DD, included.")]
IntervalOption = Annotated[str, typer.Option("--interval", help="Interval of the bars.")]
CommissionOption = Annotated[float, typer.Option("--commission-bps", help="Of the traded value.")]
SpreadOption = Annotated[float, typer.Option("--half-spread-bps", help="Of the traded value.")]
BackendOption = Annotated[str, typer.Option("--backend", help="cpu, gpu, or reference (slow, readable).")]
TopOption = Annotated[int, typer.Option("--top", help="How many of the best to report.")]
MetricsOption = Annotated[str, typer.Option("--metrics", help="default, or full: statistics of trades too.")]
SpaOption = Annotated[
    list[str] | None,
    typer.Option("--spa", help="Hansen's test over this grid (as --grid), declared before the sweep is run."),
]
JsonOption = Annotated[str | None, typer.Option("--json", help="Write the result to this file; - for standard output.")]
DataDirOption = Annotated[
    Path | None, typer.Option("--data-dir", readable=False, help="Data directory of the stack and the lake.")
]
LocalOption = Annotated[bool, typer.Option("--local", help="In this process, without Ray.")]


DEFAULT_COSTS = Execution()


def sweep(
    request: SweepRequest,
    settings: Settings,
    clock: Clock,
    local: bool = False,
    on_progress: ProgressListener | None = None,
) -> SweepSummary:
    """Run the sweep on the stack's Ray cluster, or here when `local`. Bad input is refused before Ray is asked."""
    spec, panel = resolve(request, settings.lake_root)
    check_spec(spec, panel)
    return run_sweep(spec, panel, runner_for(settings, local, spec.backend), settings.results_root, clock, on_progress)


def runner_for(settings: Settings, local: bool, backend: str) -> Runner:
    """The runner on the stack's Ray cluster, or this process; on "gpu" each task has a GPU to itself.

    StackError when the stack is not up, or has no GPU where one is needed.
    """
    if local:
        return LocalRunner()
    from mts1b.deploy.ray_client import connect_ray

    connect_ray(settings)
    from jobs.fanout import RayRunner  # after the connection, which sets the environment Ray reads on import

    return RayRunner(gpus=1 if backend == "gpu" else 0)


def report(
    request: SweepRequest, title: str, data_dir: Path | None, local: bool, json_file: str | None
) -> SweepSummary:
    """Run, showing progress; then print the result and write it where asked."""
    check_json_target(json_file)
    with shown(title) as listener:
        summary = sweep(request, settings_of(data_dir), SystemClock(), local, listener)
    if json_file != "-":
        print_sweep(summary)
    write_json(json_file, summary.to_json())
    return summary


def command(
    strategy: StrategyOption,
    grid: GridOption = None,
    where: WhereOption = None,
    symbols: SymbolsOption = "all",
    start: StartOption = None,
    end: EndOption = None,
    interval: IntervalOption = "daily",
    commission_bps: CommissionOption = DEFAULT_COSTS.commission_bps,
    half_spread_bps: SpreadOption = DEFAULT_COSTS.half_spread_bps,
    backend: BackendOption = "cpu",
    top: TopOption = 10,
    metrics: MetricsOption = "default",
    spa: SpaOption = None,
    json_file: JsonOption = None,
    data_dir: DataDirOption = None,
    local: LocalOption = False,
) -> None:
    """Sweep a strategy over a grid of parameters and say how much of the best is luck."""
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
        metrics=metrics,
        subset=tuple(spa or ()),
    )
    report(request, f"sweep {strategy}", data_dir, local, json_file)


if __name__ == "__main__":
    run_as_program(command)

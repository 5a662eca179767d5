"""`mts quickstart`: from nothing to a result: stack, data, sweep and folds, paper trading, report, audit; then down."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.console import Console

from jobs.screen import screen
from mts1b.cli.options import DataDir, JsonFile
from mts1b.config import Settings, load_settings
from mts1b.foundation.clock import NS_PER_S, Clock, SystemClock

if TYPE_CHECKING:
    from actors.paper_session import PaperResult
    from mts1b.cli.findings import Findings
    from mts1b.research.request import SweepRequest
    from mts1b.research.summary import SweepSummary
    from mts1b.strategy.panel import Panel

STRATEGY = "vol_target_cross"
GRID = ("fast=5:125:1", "slow=20:420:4", "target=0.15", "vol_window=20")
WHERE = "fast < slow"
Result = TypeVar("Result")

SESSIONS_MIN, ORDERS_MIN = 60, 1_000
PAPER_YEAR_BARS = 252
"""The paper session may use the sample's last year."""

KeepUp = Annotated[bool, typer.Option("--keep-up", help="Leave the stack running.")]


def register(app: typer.Typer) -> None:
    """Add `mts quickstart`."""
    app.command("quickstart")(command)


def command(data_dir: DataDir = None, json_file: JsonFile = None, keep_up: KeepUp = False) -> None:
    """Sweep a strategy on real prices, judge it out of sample, trade the winner on paper, and report."""
    from jobs.console import check_json_target, write_json
    from mts1b.cli.findings import figures, print_findings, write_findings

    check_json_target(json_file)
    settings, clock = load_settings(data_dir=data_dir), SystemClock()
    console = screen(stderr=json_file == "-")
    with running_stack(settings, clock, console, keep_up):
        found = run(settings, clock, console)
        report = write_findings(found, settings.data_dir / "report.html", clock)
    print_findings(found, console)
    console.print(f"report: {report}", soft_wrap=True, highlight=False)
    console.print(f"audit: {found.audit_links:,} links verified", highlight=False)
    write_json(json_file, json.dumps(figures(found) | {"report": str(report)}, indent=1))


@contextmanager
def running_stack(settings: Settings, clock: Clock, console: Console, keep_up: bool) -> Iterator[None]:
    """The stack, up inside the block. Taken down after it only if it was down before and nobody asked to keep it."""
    from mts1b.deploy import stack
    from mts1b.deploy.endpoints import read_running

    was_up = read_running(settings) is not None
    with console.status("starting Postgres, NATS, Valkey and Ray"):
        stack.up(settings, clock, lambda part, state: console.print(f"  {part:<9} {state}", highlight=False))
    try:
        yield
    finally:
        _leave_ray()
        if not keep_up and not was_up:
            with console.status("stopping the stack"):
                stack.down(settings, clock)


def _leave_ray() -> None:
    import ray

    ray.shutdown()


@dataclass(slots=True)
class Stages:
    """Wall time of each stage in seconds, by name."""

    clock: Clock
    seconds: dict[str, float]

    def run(self, name: str, work: Callable[[], Result]) -> Result:
        began_ns = self.clock.monotonic_ns()
        result = work()
        self.seconds[name] = (self.clock.monotonic_ns() - began_ns) / NS_PER_S
        return result


def run(settings: Settings, clock: Clock, console: Console) -> Findings:
    """Every stage in turn, on a stack that is up."""
    from mts1b.cli.audit import verified_links
    from mts1b.cli.findings import Findings, parity
    from mts1b.strategy import get_strategy

    stages = Stages(clock, {})
    panel = stages.run("ingest", lambda: ingest_sample(settings, console))
    request = sweep_request()
    summary = stages.run("sweep", lambda: sweep_grid(request, settings, clock))
    paper = stages.run("paper", lambda: trade_winner(settings, clock, panel, summary, request))
    strategy = get_strategy(summary.strategy)
    stages.run("parity", lambda: parity(panel, strategy, summary.best, paper))
    links = stages.run("audit", lambda: verified_links(settings))
    return Findings(panel, request.execution, summary, paper, links, stages.seconds)


def ingest_sample(settings: Settings, console: Console) -> Panel:
    """The sample, ingested (again is harmless) and read back."""
    from rich.progress import Progress

    from mts1b.datalake import open_lake, sample_path

    bars = open_lake(settings.lake_root).equities.bars
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("ingest sample")
        bars.ingest(sample_path(), "daily", lambda done, total: bar.update(task, completed=done, total=total))
    panel = bars.panel()
    console.print(f"  lake      {len(panel.symbols)} names x {len(panel.ts_ns):,} daily bars", highlight=False)
    return panel


def sweep_request() -> SweepRequest:
    """The sweep of the quickstart: every fold of the walk-forward comes from the same pass."""
    from mts1b.research.folds import Validation
    from mts1b.research.request import SweepRequest

    return SweepRequest(strategy=STRATEGY, grid=GRID, where=WHERE, validation=Validation())


def sweep_grid(request: SweepRequest, settings: Settings, clock: Clock) -> SweepSummary:
    """The sweep as Ray tasks, with its progress."""
    from jobs.progress import shown
    from jobs.sweep import sweep

    with shown(f"sweep {request.strategy}") as listener:
        return sweep(request, settings, clock, on_progress=listener)


def trade_winner(
    settings: Settings, clock: Clock, panel: Panel, summary: SweepSummary, request: SweepRequest
) -> PaperResult:
    """The winner through the real order path, at the sweep's own costs, in a fund of its own."""
    from rich.progress import MofNCompleteColumn, Progress

    from actors.desk import DeskPlan
    from actors.paper_session import OPENING_CASH, Extent, fresh_fund, paper_limits, run_paper
    from mts1b.brokers.paper.matching import Rules
    from mts1b.foundation.ids import Symbol
    from mts1b.marketdata.replay import on_tick
    from mts1b.strategy import get_strategy

    first = len(panel.ts_ns) - PAPER_YEAR_BARS
    limits = paper_limits([Symbol(name) for name in panel.symbols], OPENING_CASH)
    traded = on_tick(panel)
    plan = DeskPlan(
        fresh_fund(clock), get_strategy(summary.strategy), summary.best, traded, first, limits, OPENING_CASH
    )
    costs = request.execution
    rules = Rules(fee_bps=Decimal(str(costs.commission_bps)), slippage_bps=Decimal(str(costs.half_spread_bps)))
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task("paper sessions", total=None)
        return run_paper(
            settings,
            plan,
            Extent(first, SESSIONS_MIN, ORDERS_MIN),
            rules,
            clock,
            lambda done, total: bar.update(task, completed=done, total=max(done, total)),
        )

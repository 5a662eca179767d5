"""Files into the lake, read and checked on the Ray cluster, stored by one writer.

One function behind `mts data ingest --ray`, `python jobs/ingest.py` and `ray job submit --working-dir . -- python
jobs/ingest.py`. Without Ray (`mts data ingest`) the same happens in one process. The files must be where the workers
are: on this machine, or on a disk that all nodes share.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from jobs.console import run_as_program, settings_of
from jobs.screen import screen
from mts1b.config import Settings
from mts1b.deploy.observation import observation
from mts1b.foundation.clock import Clock, SystemClock
from mts1b.foundation.errors import DataError
from mts1b.platform.telemetry import span
from mts1b.platform.telemetry.service import observing

if TYPE_CHECKING:
    from mts1b.datalake.intake.delivery import Terms
    from mts1b.datalake.intake.ingest import Progress as Listener
    from mts1b.datalake.intake.ingest import Report

US = 1_000
"""Nanoseconds of a microsecond."""

PathArgument = Annotated[Path, typer.Argument(help="A .csv, .parquet or LEAN .zip file, or a folder of them.")]
IntervalOption = Annotated[str, typer.Option("--interval", help="Length of the bars.")]
MarketOption = Annotated[str, typer.Option("--market", help="equities, crypto or fx.")]
ZoneOption = Annotated[
    str | None, typer.Option("--zone", help="Time zone of times that name none, like America/New_York.")
]
StampsOption = Annotated[str, typer.Option("--stamps", help="A bar's time is its start or its end.")]
AdjustmentOption = Annotated[
    str | None,
    typer.Option("--adjustment", help="What prices have in them: raw, split or total; else as an adj_close suggests."),
]
CalendarOption = Annotated[
    str | None, typer.Option("--calendar", help="Of the exchange, like XNYS (shares' default), 24/7, or none.")
]
SymbolOption = Annotated[str | None, typer.Option("--symbol", help="Whose bars they are, where no column says it.")]
ColumnsOption = Annotated[str | None, typer.Option("--columns", help="a,b,c: the columns of files without a header.")]
AgainOption = Annotated[bool, typer.Option("--again", help="Also what was taken in before.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", readable=False, help="Data directory of the lake.")]

SHOWN_FILES = 20
"""Files that a printed report names."""


def terms_of(
    interval: str,
    market: str,
    zone: str | None,
    stamps: str,
    adjustment: str | None,
    calendar: str | None,
    symbol: str | None,
    columns: str | None,
) -> Terms:
    """Options as terms. InputError for one that makes no sense."""
    from mts1b.datalake.intake.delivery import Terms

    usual = "XNYS" if market == "equities" else None
    names = tuple(name.strip() for name in (columns or "").split(",") if name.strip())
    chosen = usual if calendar is None else None if calendar == "none" else calendar
    return Terms(market, interval, zone, stamps, adjustment, chosen, symbol, names)


def ingest_files(
    path: Path,
    terms: Terms,
    settings: Settings,
    clock: Clock,
    on_ray: bool,
    again: bool = False,
    listener: Listener | None = None,
) -> Report:
    """Take in a file or folder, on the stack's Ray cluster or here. Any error of `mts1b.datalake.intake.ingest`."""
    from mts1b.datalake import open_lake
    from mts1b.datalake.intake.ingest import here, ingest

    watched = observation(settings, exposed=False)
    spread = here
    if on_ray:
        from mts1b.deploy.ray_client import connect_ray  # sets the environment that Ray reads when it is imported

        connect_ray(settings)
        from jobs.fanout import RayRunner

        spread = RayRunner(observation=watched, service="datalake").run
    lake = open_lake(settings.lake_root)
    with observing("datalake", watched), span("datalake.ingest_files", file=path.name):
        return ingest(lake, path.absolute(), terms, clock.now_ns() // US, spread, listener, again)


@contextmanager
def progress_shown(title: str, hidden: bool = False) -> Iterator[Listener]:
    """A bar on standard error while the block runs."""
    with Progress(console=Console(stderr=True), transient=True, disable=hidden) as bar:
        task = bar.add_task(title)
        yield lambda done, total, _rows: bar.update(task, completed=done, total=total)


def refuse_unreadable(report: Report) -> None:
    """DataError for a lone file of which nothing could be read at all; it is in quarantine all the same."""
    one = report.files[0] if len(report.files) == 1 else None
    if one is not None and not one.rows and one.quarantined:
        problem = one.reasons[0].split("; ")[0]
        raise DataError("file", one.source, problem, "it is in quarantine: mts data quarantine list")


def show_report(report: Report, console: Console) -> None:
    """What became of the files, for a reader."""
    rows, stored, held = (report.total(name) for name in ("rows", "stored", "quarantined"))
    console.print(f"{len(report.files):,} files, {rows:,} rows: {stored:,} stored, {held:,} in quarantine")
    odd = [one for one in report.files if one.quarantined or one.notes or one.status != "stored"]
    for one in odd[:SHOWN_FILES]:
        checks = ", ".join(f"{count:,} {check}" for check, count in (one.checks or {}).items())
        words = "; ".join(part for part in (checks, *one.notes) if part)
        console.print(f"  {one.source}: {one.status}{': ' if words else ''}{words}", soft_wrap=True)
    if len(odd) > SHOWN_FILES:
        console.print(f"  and {len(odd) - SHOWN_FILES:,} files more")
    if held:
        console.print("look at them with: mts data quarantine list", soft_wrap=True)


def command(
    path: PathArgument,
    interval: IntervalOption = "daily",
    market: MarketOption = "equities",
    zone: ZoneOption = None,
    stamps: StampsOption = "start",
    adjustment: AdjustmentOption = None,
    calendar: CalendarOption = None,
    symbol: SymbolOption = None,
    columns: ColumnsOption = None,
    again: AgainOption = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Put the bars of files into the lake; what fails a check goes to quarantine with its reason."""
    terms = terms_of(interval, market, zone, stamps, adjustment, calendar, symbol, columns)
    with progress_shown(f"ingesting {path.name}", hidden=as_json) as listener:
        report = ingest_files(path, terms, settings_of(data_dir), SystemClock(), True, again, listener)
    refuse_unreadable(report)
    if as_json:
        typer.echo(json.dumps(report.to_json()))
    else:
        show_report(report, screen(highlight=False))


if __name__ == "__main__":
    run_as_program(command)

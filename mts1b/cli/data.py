"""`mts data`: put bars into the lake and master data beside the journal, and see what they hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from jobs import ingest as job
from jobs.screen import screen
from mts1b.cli import master, quarantine
from mts1b.cli.options import AsJson, DataDir
from mts1b.config import load_settings
from mts1b.deploy.observation import observation
from mts1b.foundation.clock import SystemClock, from_ns
from mts1b.platform.telemetry.service import observing

if TYPE_CHECKING:
    from mts1b.datalake import Lake
    from mts1b.datalake.dataset import Stored

SAMPLE, BARS = "sample", "equities.bars"
SECONDS_PER_DAY = 86_400.0


def register(app: typer.Typer) -> None:
    """Add `mts data`."""
    data = typer.Typer(no_args_is_help=True, help="The data lake, and the master data of risk.")
    data.command("ingest")(ingest)
    data.command("sectors")(sectors)
    data.command("status")(status)
    data.command("verify")(verify)
    data.command("compact")(compact)
    quarantine.register(data)
    master.register(data)
    app.add_typer(data, name="data")


def ingest(
    file: Annotated[str, typer.Argument(help="A .csv, .parquet or LEAN .zip file, a folder, or `sample`.")] = SAMPLE,
    interval: job.IntervalOption = "daily",
    market: job.MarketOption = "equities",
    zone: job.ZoneOption = None,
    stamps: job.StampsOption = "start",
    adjustment: job.AdjustmentOption = None,
    calendar: job.CalendarOption = None,
    symbol: job.SymbolOption = None,
    columns: job.ColumnsOption = None,
    dataset: Annotated[
        str, typer.Option(help="Or equities.corporate_actions, equities.symbol_history, equities.index_membership.")
    ] = BARS,
    universe: Annotated[str | None, typer.Option(help="Of index members, where no column says it.")] = None,
    again: job.AgainOption = False,
    on_ray: Annotated[bool, typer.Option("--ray", help="Read and check on the stack's Ray cluster.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Put files into the lake; rows that fail a check go to quarantine with the reason.

    Bars need symbol, ts (or date), open, high, low, close, volume; if known adj_close, vwap, adjustment, known.
    """
    lake = _lake(data_dir)
    if dataset != BARS:
        return _ingest_table(lake, Path(file), dataset, universe, as_json)
    settings = load_settings(data_dir=data_dir)
    if file == SAMPLE:
        with observing("datalake", observation(settings, exposed=False)):
            return _ingest_sample(lake, interval, as_json)
    terms = job.terms_of(interval, market, zone, stamps, adjustment, calendar, symbol, columns)
    with job.progress_shown(f"ingesting {Path(file).name}", hidden=as_json) as listener:
        report = job.ingest_files(Path(file), terms, settings, SystemClock(), on_ray, again, listener)
    job.refuse_unreadable(report)
    held = [stored for one in (lake.equities, lake.crypto, lake.fx) for stored in one.bars.all_stored()]
    if as_json:
        print(json.dumps({"lake": lake.place.root, "datasets": [_facts(one) for one in held], **report.to_json()}))
        return
    job.show_report(report, screen(highlight=False))
    _show(lake, held, as_json)


def _ingest_sample(lake: Lake, interval: str, as_json: bool) -> None:
    """The sample, as it is: it was looked through when it was made."""
    from mts1b.datalake import sample_path

    with Progress(console=Console(stderr=True), transient=True, disable=as_json) as progress:
        task = progress.add_task("ingesting the sample")
        held = lake.equities.bars.ingest(
            sample_path(), interval, lambda done, total: progress.update(task, completed=done, total=total)
        )
    _show(lake, [held], as_json)


def _ingest_table(lake: Lake, file: Path, dataset: str, universe: str | None, as_json: bool) -> None:
    from mts1b.datalake.intake.reference import ingest_table

    rows = ingest_table(lake, dataset, file, universe)
    if as_json:
        print(json.dumps({"lake": lake.place.root, "dataset": dataset, "rows": rows}))
    else:
        screen(highlight=False).print(f"{dataset}: {rows:,} rows of {file.name} stored", soft_wrap=True)


def sectors(
    file: Annotated[str, typer.Argument(help="A .parquet or .csv file with the columns symbol and sector.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Put the sectors of names into the lake, for strategies that compare names within them."""
    lake = _lake(data_dir)
    _show(lake, [lake.equities.sectors.ingest(Path(file))], as_json)


def status(
    data_dir: DataDir = None,
    as_json: AsJson = False,
    verify: Annotated[bool, typer.Option("--verify", help="Read every row and check its digest.")] = False,
) -> None:
    """What the lake holds."""
    lake = _lake(data_dir)
    held = lake.all_stored()
    if verify:
        _verify(held, as_json)
    _show(lake, held, as_json)


def verify(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Read every row of the lake and compare it with the digest its file was written with."""
    lake = _lake(data_dir)
    held = lake.all_stored()
    rows = _verify(held, as_json)
    if as_json:
        print(json.dumps({"lake": lake.place.root, "rows": rows, "tables": len(held)}))
    else:
        screen(highlight=False).print(f"{rows:,} rows in {len(held)} tables are as they were written")


def compact(
    data_dir: DataDir = None,
    as_json: AsJson = False,
    keep_days: Annotated[float, typer.Option(help="Days whose versions stay readable.")] = 7.0,
) -> None:
    """Put small files together, and delete the files of versions that nobody can want any more."""
    lake = _lake(data_dir)
    forgotten = 0
    with Progress(console=Console(stderr=True), transient=True, disable=as_json) as progress:
        for held in progress.track(lake.all_stored(), description="compacting"):
            held.table.compact()
            forgotten += len(held.table.log.forget(keep_days * SECONDS_PER_DAY))
    if not as_json:
        screen(highlight=False).print(f"deleted {forgotten:,} files of old versions")
    _show(lake, lake.all_stored(), as_json)


def _verify(held: list[Stored], quiet: bool) -> int:
    with Progress(console=Console(stderr=True), transient=True, disable=quiet) as progress:
        return sum(one.table.verify() for one in progress.track(held, description="verifying"))


def _lake(data_dir: Path | None) -> Lake:
    from mts1b.datalake import open_lake  # polars is heavy: load it for these commands only

    return open_lake(load_settings(data_dir=data_dir).lake_root)


def _facts(held: Stored) -> dict[str, Any]:
    first, last = (None if ns is None else from_ns(ns).date().isoformat() for ns in (held.first_ns, held.last_ns))
    return {
        "dataset": held.dataset,
        "interval": held.interval,
        "symbols": len(held.symbols),
        "rows": held.rows,
        "first": first,
        "last": last,
        "bytes": held.bytes,
        "files": len(held.snapshot.files),
        "version": held.version,
        "number": held.snapshot.number,
        "sources": list(held.sources),
    }


def _show(lake: Lake, tables: list[Stored], as_json: bool) -> None:
    facts = [_facts(held) for held in tables]
    if as_json:
        print(json.dumps({"lake": lake.place.root, "datasets": facts}))
        return
    console = screen(highlight=False)
    if not facts:
        console.print(f"{lake.place.root}: empty; `mts data ingest sample` fills it", soft_wrap=True)
    for row in facts:
        name = f"[bold]{row['dataset']}[/] {row['interval']}".rstrip()
        console.print(f"{name}: {row['symbols']:,} symbols, {row['rows']:,} rows")
        span = "" if row["first"] is None else f"{row['first']} to {row['last']}, "
        console.print(f"  {span}{row['bytes'] / 1e6:.1f} MB in {row['files']} files")
        told = f"  from {', '.join(row['sources'])}, version {row['version']} (number {row['number']})"
        console.print(told, soft_wrap=True)

"""`mts data`: put bars into the lake, and see what it holds."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from mts1b.cli.options import AsJson, DataDir
from mts1b.config import load_settings
from mts1b.foundation.clock import from_ns

if TYPE_CHECKING:
    from mts1b.datalake import Lake
    from mts1b.datalake.manifest import Manifest

SAMPLE = "sample"


def register(app: typer.Typer) -> None:
    """Add `mts data`."""
    data = typer.Typer(no_args_is_help=True, help="The data lake: ingest bars, see what is there.")
    data.command("ingest")(ingest)
    data.command("sectors")(sectors)
    data.command("status")(status)
    app.add_typer(data, name="data")


def ingest(
    file: Annotated[str, typer.Argument(help="A .parquet or .csv file, or `sample`.")] = SAMPLE,
    interval: Annotated[str, typer.Option(help="Length of its bars.")] = "daily",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Put bars into the lake. Columns: symbol, ts, open, high, low, close, volume, if known adj_close, vwap."""
    from mts1b.datalake import sample_path

    lake = _lake(data_dir)
    source = sample_path() if file == SAMPLE else Path(file)
    with Progress(console=Console(stderr=True), transient=True, disable=as_json) as progress:
        task = progress.add_task(f"ingesting {source.name}")
        held = lake.equities.bars.ingest(
            source, interval, lambda done, total: progress.update(task, completed=done, total=total)
        )
    _show(lake, [held], as_json)


def sectors(
    file: Annotated[str, typer.Argument(help="A .parquet or .csv file with the columns symbol and sector.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Put the sectors of names into the lake, for strategies that compare names within them."""
    lake = _lake(data_dir)
    lake.equities.sectors.ingest(Path(file))
    _show(lake, [], as_json)


def status(
    data_dir: DataDir = None,
    as_json: AsJson = False,
    verify: Annotated[bool, typer.Option("--verify", help="Read every bar and check its digest.")] = False,
) -> None:
    """What the lake holds."""
    lake = _lake(data_dir)
    held = lake.equities.bars.manifests()
    if verify:
        for dataset in held:
            lake.equities.bars.verify(dataset.interval)
    _show(lake, held, as_json)


def _lake(data_dir: Path | None) -> Lake:
    from mts1b.datalake import open_lake  # polars is heavy: load it for these commands only

    return open_lake(load_settings(data_dir=data_dir).lake_root)


def _facts(held: Manifest) -> dict[str, Any]:
    first, last = (from_ns(ts_ns).date().isoformat() for ts_ns in (held.first_ns, held.last_ns))
    return {
        "dataset": "equities.bars",
        "interval": held.interval,
        "symbols": len(held.symbols),
        "rows": held.rows,
        "first": first,
        "last": last,
        "bytes": sum(part.bytes for part in held.parts),
        "files": len(held.parts),
        "version": held.version,
        "sources": list(held.sources),
    }


def _show(lake: Lake, datasets: list[Manifest], as_json: bool) -> None:
    facts, sectors = [_facts(held) for held in datasets], lake.equities.sectors.manifest()
    if as_json:
        known = None if sectors is None else asdict(sectors)
        print(json.dumps({"lake": str(lake.root), "datasets": facts, "sectors": known}))
        return
    console = Console(highlight=False)
    if sectors is not None:
        console.print(f"[bold]equities.sectors[/]: {sectors.symbols:,} symbols, version {sectors.version}")
    elif not facts:
        console.print(f"{lake.root}: empty; `mts data ingest sample` fills it", soft_wrap=True)
        return
    for row in facts:
        console.print(f"[bold]{row['dataset']}[/] {row['interval']}: {row['symbols']:,} symbols, {row['rows']:,} rows")
        console.print(f"  {row['first']} to {row['last']}, {row['bytes'] / 1e6:.1f} MB in {row['files']} files")
        console.print(f"  from {', '.join(row['sources'])}, version {row['version']}", soft_wrap=True)

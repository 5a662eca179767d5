"""`mts data quarantine`: rows that failed a check, looked at, released into the lake or dropped, by a person."""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE
from rich.table import Table

from jobs.screen import screen
from mts1b.cli.options import AsJson, DataDir
from mts1b.config import load_settings
from mts1b.foundation.clock import SystemClock
from mts1b.foundation.errors import InputError

if TYPE_CHECKING:
    import polars as pl

    from mts1b.datalake import Lake
    from mts1b.datalake.intake.quarantine import Quarantine

Ids = Annotated[list[str] | None, typer.Argument(help="Rows by their ids.")]
Source = Annotated[str | None, typer.Option("--source", help="Rows of this file.")]
Check = Annotated[str | None, typer.Option("--check", help="Rows that fail this check: outlier, unit-break, ...")]
State = Annotated[str, typer.Option("--state", help="held, released, dropped or all.")]
By = Annotated[str | None, typer.Option("--by", help="Who decides; else the user of this machine.")]
Scale = Annotated[list[str] | None, typer.Option("--scale", help="column=factor, volume=0.1. May be repeated.")]
Limit = Annotated[int, typer.Option("--limit", help="Rows to show.")]

US = 1_000
"""Nanoseconds of a microsecond."""


def register(data: typer.Typer) -> None:
    """Add `mts data quarantine`."""
    app = typer.Typer(no_args_is_help=True, help="Rows that failed a check: list, show, release, drop.")
    app.command("list")(list_rows)
    app.command("show")(show)
    app.command("release")(release)
    app.command("drop")(drop)
    data.add_typer(app, name="quarantine")


def list_rows(
    source: Source = None,
    check: Check = None,
    state: State = "held",
    limit: Limit = 20,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """What is in quarantine: how many rows of each file fail which checks, and the first of them."""
    rows = _quarantine(_lake(data_dir)).rows(None if state == "all" else state, source, check)
    counts = rows.group_by("source", "checks", maintain_order=True).len("rows")
    if as_json:
        listed = _json_rows(rows.head(limit))
        print(json.dumps({"rows": rows.height, "counts": counts.to_dicts(), "first": listed}))
        return
    console = screen(highlight=False)
    if not rows.height:
        console.print("nothing in quarantine" if state == "held" else f"nothing {state}")
        return
    table = Table("file", "fails", "rows", box=SIMPLE)
    for name, checks, count in counts.iter_rows():
        table.add_row(name, checks.replace("+", ", "), f"{count:,}")
    console.print(table)
    for row in rows.head(limit).iter_rows(named=True):
        console.print(f"[bold]{row['id']}[/] {_where(row)}: {row['reasons']}", soft_wrap=True)
    if rows.height > limit:
        console.print(f"and {rows.height - limit:,} rows more (--limit)")


def show(ids: Ids = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """A row as it was delivered, why it is held, and what was decided."""
    quarantine = _quarantine(_lake(data_dir))
    rows = quarantine.rows(state=None)
    rows = rows.filter(rows["id"].is_in(ids or []))
    if not rows.height:
        raise InputError("id", ids or "", "no such row in quarantine", "mts data quarantine list --state all")
    if as_json:
        print(json.dumps(_json_rows(rows)))
        return
    console = screen(highlight=False, markup=False)
    for row in rows.iter_rows(named=True):
        console.print(f"{row['id']} {_where(row)}, {row['state']}", soft_wrap=True)
        for reason in row["reasons"].split("; "):
            console.print(f"  {reason}", soft_wrap=True)
        console.print(f"  as delivered: {row['raw']}", soft_wrap=True)
        if row["decided_by"] is not None:
            console.print(f"  {row['state']} by {row['decided_by']} on {row['decided_ts']:%Y-%m-%d %H:%M} UTC")


def release(
    ids: Ids = None,
    source: Source = None,
    check: Check = None,
    scale: Scale = None,
    by: By = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Store rows in the lake after all, as they are or with columns times a factor."""
    from mts1b.datalake.intake.release import release_rows

    lake = _lake(data_dir)
    rows = _chosen(lake, ids, source, check)
    release_rows(lake, rows, _who(by), SystemClock().now_ns() // US, _scales(scale or []))
    _told("released", rows.height, as_json)


def drop(
    ids: Ids = None,
    source: Source = None,
    check: Check = None,
    by: By = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Decide that rows are not wanted. They stay in the record."""
    lake = _lake(data_dir)
    rows = _chosen(lake, ids, source, check)
    _quarantine(lake).decide(rows, "dropped", _who(by), SystemClock().now_ns() // US)
    _told("dropped", rows.height, as_json)


def _lake(data_dir: Path | None) -> Lake:
    from mts1b.datalake import open_lake  # polars is heavy: load it for these commands only

    return open_lake(load_settings(data_dir=data_dir).lake_root)


def _quarantine(lake: Lake) -> Quarantine:
    from mts1b.datalake.intake.quarantine import Quarantine

    return Quarantine(lake.intake.quarantine)


def _chosen(lake: Lake, ids: list[str] | None, source: str | None, check: str | None) -> pl.DataFrame:
    """The held rows that are named. InputError when none is, so that nobody decides about all by mistake."""
    if ids:
        return _quarantine(lake).chosen(ids)
    if source is None and check is None:
        raise InputError("id", "", "no row is named", "give ids, or --source FILE, or --check NAME")
    rows = _quarantine(lake).rows(source=source, check=check)
    if not rows.height:
        raise InputError("id", source or check, "no row held is of that kind", "see: mts data quarantine list")
    return rows


def _scales(texts: list[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for text in texts:
        name, _, factor = text.partition("=")
        try:
            found[name.strip()] = float(factor)
        except ValueError:
            raise InputError("scale", text, "not of the form column=factor", "write volume=0.1") from None
    return found


def _who(by: str | None) -> str:
    return by or pwd.getpwuid(os.getuid()).pw_name


def _where(row: dict[str, Any]) -> str:
    place = f"{row['source']} line {row['line']}" if row["line"] else row["source"]
    return f"{place} ({row['symbol']})" if row["symbol"] else place


def _json_rows(rows: pl.DataFrame) -> list[dict[str, Any]]:
    return [{name: str(v) if hasattr(v, "isoformat") else v for name, v in row.items()} for row in rows.to_dicts()]


def _told(word: str, rows: int, as_json: bool) -> None:
    print(json.dumps({word: rows}) if as_json else f"{rows:,} rows {word}")

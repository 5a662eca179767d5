"""`mts alerts`: what the watchdog says is wrong, and what was."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mts1b.cli.options import AsJson, DataDir
from mts1b.config import Settings, load_settings
from mts1b.foundation.clock import iso

if TYPE_CHECKING:
    from mts1b.watchdog.book import Alert

STYLES = {"info": "cyan", "warning": "yellow", "critical": "bold red"}
LIMIT = 100


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("alerts")(alerts)


def alerts(
    data_dir: DataDir = None,
    everything: Annotated[bool, typer.Option("--all", help="Cleared ones too, the newest first.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="With --all: at most so many.")] = LIMIT,
    as_json: AsJson = False,
) -> None:
    """List the alerts that stand, the most severe first."""
    found = read_alerts(load_settings(data_dir=data_dir), limit if everything else None)
    if as_json:
        typer.echo(json.dumps([as_plain(alert) for alert in found]))
    elif not found:
        typer.echo("no alerts" if everything else "no alert stands")
    else:
        Console().print(_table(found, everything), highlight=False)


def read_alerts(settings: Settings, limit: int | None = None) -> list[Alert]:
    """The alerts that stand, or with `limit` the newest of all. StackError when the stack is not up."""
    from mts1b.deploy.endpoints import endpoints
    from mts1b.platform.db import open_pool
    from mts1b.watchdog.store import AlertStore

    async def run() -> list[Alert]:
        pool = await open_pool("alerts", endpoints(settings).postgres_dsn, pool_size=1)

        async def connect() -> Any:
            return pool

        try:
            store = AlertStore(connect)
            return await (store.standing() if limit is None else store.history(limit))
        finally:
            await pool.close()

    found = asyncio.run(run())
    return found if limit is not None else sorted(found, key=lambda alert: (-alert.severity.rank, alert.raised_ns))


def as_plain(alert: Alert) -> dict[str, Any]:
    """One alert for a program; times as ISO 8601 beside the nanoseconds."""
    plain = asdict(alert) | {"numbers": dict(alert.numbers), "severity": alert.severity.value}
    cleared = None if alert.cleared_ns is None else iso(alert.cleared_ns)
    return plain | {"raised": iso(alert.raised_ns), "cleared": cleared}


def _table(found: list[Alert], everything: bool) -> Table:
    table = Table("severity", "alert", "subject", "raised (UTC)", box=SIMPLE_HEAD)
    if everything:
        table.add_column("cleared (UTC)")
    table.add_column("what", overflow="fold")
    for alert in found:
        severity = Text(alert.severity.value, STYLES[alert.severity.value])
        row: list[str | Text] = [severity, alert.alert, Text(alert.subject), iso(alert.raised_ns)[:19]]
        if everything:
            row.append("stands" if alert.cleared_ns is None else iso(alert.cleared_ns)[:19])
        table.add_row(*row, Text(alert.summary))
    return table

"""`mts positions`: what every fund holds, as the journal has it."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table

from jobs.screen import screen
from mts1b.cli.journal import with_journal
from mts1b.cli.options import AsJson, DataDir
from mts1b.config import load_settings

SHOWN = ("fund_id", "symbol", "quantity", "average_price", "mark", "value", "unrealised_pnl", "realised_pnl", "fees")


def register(app: typer.Typer) -> None:
    """Add `mts positions`."""
    app.command("positions")(positions)


def positions(
    fund: Annotated[str | None, typer.Option(help="Of this fund only.")] = None,
    closed: Annotated[bool, typer.Option("--closed", help="Those too that are closed by now.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List positions, with what they are worth at the last marks and what they earned."""
    from mts1b.oms import listing

    found = with_journal(load_settings(data_dir=data_dir), lambda pool: listing.positions(pool, fund, closed))
    if as_json:
        typer.echo(json.dumps(found, default=str))
        return
    table = Table(*(name.replace("_", " ") for name in SHOWN))
    for row in found:
        table.add_row(*(_told(row[name]) for name in SHOWN))
    screen().print(table, highlight=False)


def _told(value: object) -> str:
    return "" if value is None else value if isinstance(value, str) else f"{value:,.4f}".rstrip("0").rstrip(".")

"""`mts orders`: the orders of every fund, as the journal has them."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table

from jobs.screen import screen
from mts1b.cli.journal import with_journal
from mts1b.cli.options import AsJson, DataDir
from mts1b.config import load_settings
from mts1b.foundation.clock import iso
from mts1b.foundation.errors import unknown_name
from mts1b.foundation.order import OrderStatus

LIMIT_MAX = 1_000_000
SHOWN = ("fund_id", "symbol", "side", "quantity", "order_type", "status", "filled_quantity", "average_price", "reason")


def register(app: typer.Typer) -> None:
    """Add `mts orders`."""
    app.command("orders")(orders)


def orders(
    fund: Annotated[str | None, typer.Option(help="Of this fund only.")] = None,
    status: Annotated[str | None, typer.Option(help="In this status only: working, filled, denied, ...")] = None,
    symbol: Annotated[str | None, typer.Option(help="In this name only.")] = None,
    only_open: Annotated[bool, typer.Option("--open", help="Those only that have not ended.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=LIMIT_MAX, help="At most so many, the newest.")] = 50,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List orders, newest first. `mts audit trail ORDER` tells the whole story of one."""
    from mts1b.oms import listing

    if status is not None and status not in {known.value for known in OrderStatus}:
        raise unknown_name("status", status, [known.value for known in OrderStatus])
    settings = load_settings(data_dir=data_dir)
    found = with_journal(settings, lambda pool: listing.orders(pool, fund, status, symbol, only_open, limit))
    if as_json:
        typer.echo(json.dumps(found, default=str))
        return
    table = Table("received (UTC)", "order", *(name.replace("_", " ") for name in SHOWN))
    for row in found:
        table.add_row(iso(row["created_at"]), row["order_id"], *(str(row[name] or "") for name in SHOWN))
    screen().print(table, highlight=False)

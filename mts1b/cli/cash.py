"""`mts cash post|list`: money that comes to a fund or leaves it without a trade."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from jobs.screen import screen
from mts1b.cli.journal import with_journal
from mts1b.cli.options import AsJson, DataDir
from mts1b.cli.paper import amount as unsigned
from mts1b.cli.risk import told
from mts1b.cli.trading import Fund, with_pool
from mts1b.config import load_settings
from mts1b.foundation.clock import SystemClock, iso
from mts1b.foundation.errors import unknown_name
from mts1b.foundation.events import CashKind, CashMoved
from mts1b.foundation.ids import FundId, Symbol, digest
from mts1b.foundation.instrument import BASE_CURRENCY

if TYPE_CHECKING:
    from actors.words import Hears

KINDS = [kind.value for kind in CashKind if kind is not CashKind.CONVERSION]
SHOWN = ("timestamp", "kind", "amount", "currency", "symbol", "note", "move_id")

app = typer.Typer(no_args_is_help=True, help="Money that moves without a trade: deposits, borrow fees, interest.")


def register(parent: typer.Typer) -> None:
    """Add the commands."""
    parent.add_typer(app, name="cash")


@app.command("post", context_settings={"ignore_unknown_options": True})
def post(
    fund: Fund,
    kind: Annotated[str, typer.Argument(help=", ".join(KINDS))],
    amount: Annotated[str, typer.Argument(help="Signed: -12.5 leaves the fund.")],
    move_id: Annotated[
        str | None, typer.Option("--id", help="Its name for ever: the same again is posted once.")
    ] = None,
    symbol: Annotated[str | None, typer.Option(help="The name it is about, as of a borrow fee or a dividend.")] = None,
    note: Annotated[str, typer.Option(help="Kept with it.")] = "",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Post it: on record, in cash and NAV at once, whether an OMS of the fund runs or not."""
    if kind not in KINDS:
        raise unknown_name("kind", kind, KINDS)
    settings, fund_id, clock = load_settings(data_dir=data_dir), FundId(fund), SystemClock()
    now_ns, number = clock.now_ns(), signed(amount)
    name = move_id or digest(fund_id, kind, amount, now_ns)
    about = None if symbol is None else Symbol(symbol)
    move = CashMoved(name, fund_id, CashKind(kind), BASE_CURRENCY, number, note, now_ns, about)

    def word(hearing: Hears) -> Any:
        return hearing.move_cash(move)

    cash, heard = asyncio.run(with_pool(settings, lambda pool: told(settings, pool, fund_id, word)))
    if as_json:
        typer.echo(json.dumps({"fund_id": fund, "move_id": name, "cash": str(cash), "heard_by_oms": heard}))
        return
    typer.echo(f"{kind} of {number:,} {BASE_CURRENCY} is posted as {name}; {fund} has {cash:,.2f} {BASE_CURRENCY}")


@app.command("list")
def listed(fund: Fund, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """What was posted to a fund, the newest first."""
    from mts1b.oms import listing

    rows = with_journal(load_settings(data_dir=data_dir), lambda pool: listing.cash_moves(pool, fund))
    if as_json:
        typer.echo(json.dumps(rows, default=str))
        return
    table = Table(*(name.replace("_", " ") for name in SHOWN))
    for row in rows:
        table.add_row(iso(row["timestamp"])[:19], *(Text("" if row[n] is None else str(row[n])) for n in SHOWN[1:]))
    screen().print(table, highlight=False)


def signed(text: str) -> Decimal:
    """An amount with its sign. InputError for what is no number."""
    return -unsigned("amount", text[1:]) if text.startswith("-") else unsigned("amount", text.removeprefix("+"))

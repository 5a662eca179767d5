"""`mts statement`: a fund's day out of the journal, and whether it reconciles."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from jobs.screen import screen
from mts1b.cli.journal import with_journal
from mts1b.cli.options import AsJson, DataDir
from mts1b.config import load_settings
from mts1b.foundation.clock import iso
from mts1b.foundation.errors import DataError, InputError

if TYPE_CHECKING:
    from mts1b.oms.statement import Statement


def register(app: typer.Typer) -> None:
    """Add `mts statement`."""
    app.command("statement")(show)


def show(
    day: Annotated[str | None, typer.Option("--date", help="YYYY-MM-DD, the market's; default: the last one.")] = None,
    fund: Annotated[str | None, typer.Option(help="Of this fund only.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Positions, profit, fees, borrow, interest, cash, NAV and trades of a day, folded anew from the journal.

    Exit code 2 when opening cash and flows are not the closing cash, or any quantity, NAV or row does not agree.
    """
    from mts1b.oms.statement import statement
    from mts1b.oms.statement_store import ledgers

    settings, wanted = load_settings(data_dir=data_dir), None if day is None else read_day(day)
    made = [statement(ledger) for ledger in with_journal(settings, lambda pool: ledgers(pool, wanted, fund))]
    if as_json:
        typer.echo(json.dumps([as_plain(one) for one in made]))
    else:
        for one in made:
            _print(screen(highlight=False), one)
    for one in made:
        if one.problems:
            more = f" (and {len(one.problems) - 1} more)" if len(one.problems) > 1 else ""
            problem = f"does not reconcile: {one.problems[0]}{more}"
            raise DataError("statement", f"{one.fund_id} {one.day}", problem, "see `mts audit verify`")


def read_day(text: str) -> date:
    """YYYY-MM-DD. InputError for anything else."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError("date", text, "is no day", "give it as YYYY-MM-DD") from None


def as_plain(made: Statement) -> dict[str, Any]:
    """A statement for a program: amounts as texts, times as ISO 8601."""
    told = {"reconciles": not made.problems, **asdict(made)}
    return {name: _plain(value) for name, value in told.items()}


def _plain(value: Any) -> Any:
    match value:
        case Decimal():
            return format(value, "f")
        case date():
            return value.isoformat()
        case dict():
            times = {"ts": iso(value["ts_ns"])} if "ts_ns" in value else {}
            return {name: _plain(one) for name, one in value.items() if name != "ts_ns"} | times
        case tuple() | list():
            return [_plain(one) for one in value]
    return value


def _print(console: Console, made: Statement) -> None:
    console.print(f"[bold]{made.fund_id}[/], {made.day}: {len(made.trades):,} trades")
    grown = made.closing_nav - made.opening_nav
    console.print(f"NAV {made.opening_nav:,.2f} -> {made.closing_nav:,.2f} ({grown:+,.2f}), gross {made.gross:,.2f}")
    flows = ", ".join(f"{kind.replace('_', ' ')} {amount:+,.2f}" for kind, amount in made.flows.items() if amount)
    console.print(f"cash {made.opening_cash:,.2f} -> {made.closing_cash:,.2f}: {flows or 'nothing moved'}")
    if made.positions:
        console.print(_table(made.positions))
    if len(made.strategies) > 1:
        console.print(_table(made.strategies))
    if made.since:
        console.print(f"{made.since} fills and movements came after the valuation that ends this day")
    if made.problems:
        for problem in made.problems:
            console.print(f"[red]does not reconcile:[/] {problem}", soft_wrap=True)
        return
    console.print(f"reconciles: opening cash and flows are the closing cash; {len(made.positions)} quantities agree")


def _table(rows: Sequence[Any]) -> Table:
    names = [item.name for item in fields(rows[0])]
    table = Table(*(name.replace("_", " ") for name in names), box=SIMPLE_HEAD)
    for row in rows:
        table.add_row(*(_told(getattr(row, name)) for name in names))
    return table


def _told(value: object) -> str:
    if value is None:
        return ""
    return f"{value:,.4f}".rstrip("0").rstrip(".") if isinstance(value, Decimal) else str(value)

"""`mts risk`: what holds funds back, the words that stop them and let them go on, and the limits they trade by."""

from __future__ import annotations

import asyncio
import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from jobs.screen import screen
from mts1b.cli import limits
from mts1b.cli.options import AsJson, DataDir
from mts1b.cli.trading import By, Fund, user, with_pool
from mts1b.config import load_settings
from mts1b.foundation.clock import SystemClock, iso
from mts1b.foundation.errors import StackError, unknown_name
from mts1b.foundation.ids import FundId

if TYPE_CHECKING:
    from actors.words import Word
    from mts1b.config import Settings
    from mts1b.oms.fund_status import FundStatus
    from mts1b.platform.db import Pool
    from mts1b.riskengine.verdict import Standing

T = TypeVar("T")

Why = Annotated[str, typer.Option("--why", help="The reason, kept on record.")]

STYLES = {"active": "green", "reducing": "yellow", "halted": "bold red"}


class Held(StrEnum):
    """How far a person may hold a fund back."""

    halted = "halted"
    reducing = "reducing"


def register(app: typer.Typer) -> None:
    """Add `mts risk`."""
    risk = typer.Typer(no_args_is_help=True, help="What holds funds back, the kill switch, and their limits.")
    for command in (status, halt, resume, rearm):
        risk.command(command.__name__)(command)
    limits.register(risk)
    app.add_typer(risk, name="risk")


def status(
    fund: Annotated[str | None, typer.Argument(help="One fund; all if not given.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """How each fund stands, from the journal: also of funds that nobody trades now."""
    found = asyncio.run(with_pool(load_settings(data_dir=data_dir), lambda pool: _read(pool, fund)))
    if as_json:
        typer.echo(json.dumps([as_plain(item) for item in found]))
    elif not found:
        typer.echo("no fund has been opened")
    else:
        screen(highlight=False).print(_table(found))


def halt(
    fund: Fund,
    why: Why = "",
    mode: Annotated[
        Held, typer.Option(help="halted: cancel all, let only cancels pass. reducing: let pass what closes positions.")
    ] = Held.halted,
    by: By = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """The kill switch: cancel every open order and block, beyond every restart, until `resume` or `rearm`."""
    from mts1b.riskengine.verdict import Mode

    said = by or user()
    _say(data_dir, fund, lambda fund: fund.halt(Mode(mode.value), said, why), as_json)


def resume(fund: Fund, why: Why = "", by: By = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Take `halt` back. What the drawdown has latched, and throttled repeats, stay: `rearm` opens those."""
    said = by or user()
    _say(data_dir, fund, lambda fund: fund.resume(said, why), as_json)


def rearm(fund: Fund, why: Why = "", by: By = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Let a fund trade again, whatever held it: drawdown counts from its NAV now."""
    said = by or user()
    _say(data_dir, fund, lambda fund: fund.rearm(said, why), as_json)


def _say(data_dir: Path | None, fund: str, word: Word[Standing], as_json: bool) -> None:
    settings, fund_id = load_settings(data_dir=data_dir), FundId(fund)

    async def said(pool: Pool) -> tuple[bool, FundStatus]:
        _, heard = await told(settings, pool, fund_id, word)
        return heard, (await _read(pool, fund_id))[0]

    heard, found = asyncio.run(with_pool(settings, said))
    if as_json:
        typer.echo(json.dumps({**as_plain(found), "heard_by_oms": heard}))
        return
    stands = f"{fund} is {found.standing.mode.value}"
    if heard:
        typer.echo(f"{stands}; {found.open_orders} orders are open")
    else:
        typer.echo(f"{stands}: no OMS of it runs; this is stored and holds when one starts")
        if found.open_orders:
            typer.echo(f"{found.open_orders} orders stay at the venue until then")


async def told(settings: Settings, pool: Pool, fund_id: FundId, word: Word[T]) -> tuple[T, bool]:
    """What a fund answers, and whether a running OMS heard the word. UnknownNameError: it was never opened."""
    from actors.words import tell_fund
    from mts1b.oms.journal import Journal

    await _read(pool, fund_id)  # a fund that does not exist is not waited for
    clock = SystemClock()
    return await tell_fund(fund_id, lambda: _running(settings, fund_id), lambda: Journal(pool, fund_id), clock, word)


def _running(settings: Settings, fund_id: FundId) -> Any:
    """The fund's OMS actor. None when there is none, or no Ray: the word is stored all the same."""
    from mts1b.deploy.ray_client import connect_ray

    try:
        connect_ray(settings)
    except StackError:
        return None
    from actors.wiring import running_oms

    return running_oms(fund_id)


async def _read(pool: Pool, fund: str | None) -> list[FundStatus]:
    """UnknownNameError for a fund that was never opened."""
    from mts1b.oms.fund_status import fund_status

    found = await fund_status(pool, None if fund is None else FundId(fund))
    if fund is not None and not found:
        raise unknown_name("fund", fund, [item.fund_id for item in await fund_status(pool)])
    return found


def as_plain(found: FundStatus) -> dict[str, Any]:
    """One fund for a program; money as texts, times as ISO 8601."""
    return {
        "fund_id": found.fund_id,
        "mode": found.standing.mode.value,
        "latched": found.standing.latched.value,
        "manual": found.standing.manual.value,
        "throttled": sorted(found.standing.throttled),
        "by": found.by,
        "why": found.why,
        "since": None if found.since_ns is None else iso(found.since_ns),
        "is_running": found.is_running,
        "cash": str(found.cash),
        "nav": None if found.nav is None else str(found.nav),
        "marked": None if found.marked_ns is None else iso(found.marked_ns),
        "open_orders": found.open_orders,
        "limits_version": found.limits_version,
    }


def _table(funds: list[FundStatus]) -> Table:
    table = Table("fund", "mode", "held by", "OMS", "NAV", "open orders", "limits", "last word", box=SIMPLE_HEAD)
    for fund in funds:
        mode = fund.standing.mode.value
        said = f"{fund.by}: {fund.why}" if fund.why else fund.by or ""
        table.add_row(
            fund.fund_id,
            Text(mode, STYLES[mode]),
            _holders(fund),
            "runs" if fund.is_running else "none",
            "" if fund.nav is None else f"{fund.nav:,.2f}",
            f"{fund.open_orders:,}",
            "handed in" if fund.limits_version is None else f"version {fund.limits_version}",
            Text(said),
        )
    return table


def _holders(fund: FundStatus) -> str:
    held = [
        name
        for name, mode in (("a person", fund.standing.manual), ("drawdown", fund.standing.latched))
        if mode.value != "active"
    ]
    return ", ".join([*held, *(["repeats"] if fund.standing.throttled else [])])

"""`mts live up|down|status`: a fund's trading actors on a running stack, for as long as they are wanted."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from jobs.screen import screen
from mts1b.cli.options import AsJson, DataDir
from mts1b.cli.paper import amount, first_row, say_what_is_assumed, values
from mts1b.config import Settings, load_settings
from mts1b.foundation.clock import SystemClock, iso
from mts1b.foundation.errors import MtsError, StackError

if TYPE_CHECKING:
    from mts1b.foundation.ids import FundId

ANSWER_S = 10.0
"""How long an actor's statistics are waited for."""

Fund = Annotated[str, typer.Option("--fund", help="The fund that trades.")]

app = typer.Typer(no_args_is_help=True, help="A fund's trading actors, kept running on the stack.")


def register(parent: typer.Typer) -> None:
    """Add the commands."""
    parent.add_typer(app, name="live")


@app.command("up")
def up(
    fund: Fund = "live",
    strategy: Annotated[str, typer.Option(help="A strategy (`mts strategy list`) or FILE.py.")] = "vol_target_cross",
    param: Annotated[list[str] | None, typer.Option(help="name=value; defaults stand for the others.")] = None,
    symbols: Annotated[str, typer.Option(help="A,B,C or all.")] = "all",
    start: Annotated[str | None, typer.Option(help="First session, YYYY-MM-DD; default a year before the end.")] = None,
    cash: Annotated[str, typer.Option(help="What the fund opens with.")] = "1000000",
    fee_bps: Annotated[str, typer.Option(help="The exchange's fee on the traded value.")] = "1",
    slippage_bps: Annotated[str, typer.Option(help="How far market orders move the price.")] = "2",
    in_flight: Annotated[int | None, typer.Option(help="Orders handed over at a time.")] = None,
    interval_s: Annotated[float, typer.Option(min=0.0, help="Seconds that a session lasts at least.")] = 1.0,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Start the fund's exchange and its feed, strategy, risk, OMS and broker actors; they trade stored sessions until
    `mts live down`. Whatever of them dies is started again. Harmless when they are up."""
    from actors.desk import DeskPlan
    from actors.live_fund import begin
    from actors.paper_session import paper_limits
    from mts1b.datalake import open_lake
    from mts1b.deploy.live import VenueCosts, checked_fund
    from mts1b.deploy.stack import have_watched
    from mts1b.foundation.ids import Symbol
    from mts1b.marketdata.replay import on_tick
    from mts1b.strategy.files import find_strategy

    settings, fund_id, opening_cash = load_settings(data_dir=data_dir), checked_fund(fund), amount("cash", cash)
    named = None if symbols == "all" else symbols.split(",")
    panel = on_tick(open_lake(settings.lake_root).equities.bars.panel(symbols=named))
    first = first_row(panel, start, settings.marketdata.history_sessions)
    limits = paper_limits([Symbol(name) for name in panel.symbols], opening_cash)
    flight = settings.oms.orders_in_flight if in_flight is None else in_flight
    trades = (find_strategy(strategy), values(param or []), panel, first, limits, opening_cash, flight)
    plan = DeskPlan(fund_id, *trades, covariance_bars=settings.riskengine.covariance_bars)
    costs = VenueCosts(amount("fee_bps", fee_bps), amount("slippage_bps", slippage_bps))
    with Console(stderr=True).status(f"starting {fund_id}"):
        begin(settings, plan, costs, interval_s, SystemClock())
        have_watched(settings, SystemClock())
    say_what_is_assumed(settings, plan)
    _show(found_funds(settings, fund_id), as_json)


@app.command("down")
def down(fund: Fund = "live", data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """End the fund's actors, then its exchange. Journal, log and open orders stay. Harmless when they are down."""
    from actors.live_fund import end
    from mts1b.deploy.live import checked_fund

    settings = load_settings(data_dir=data_dir)
    end(settings, checked_fund(fund), SystemClock())
    if as_json:
        typer.echo(json.dumps({"fund": fund, "state": "down"}))
    else:
        Console(stderr=True).print(f"{fund} is down", highlight=False)


@app.command("status")
def status(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """What every live fund does, and the statistics of each of its actors. Exit code 1 when one does not answer."""
    settings = load_settings(data_dir=data_dir)
    funds = found_funds(settings)
    _show(funds, as_json)
    if any("problem" in actor for fund in funds for actor in fund["actors"].values()):
        raise typer.Exit(1)


def found_funds(settings: Settings, only: FundId | None = None) -> list[dict[str, Any]]:
    """Every live fund: parts, progress, actors with their statistics. StackError when the stack is down."""
    from mts1b.deploy.health import read_states
    from mts1b.deploy.live import fund_of
    from mts1b.deploy.ray_client import connect_ray

    states = read_states(settings)
    funds = [fund_of(name)[1] for name in states if name.startswith("desk-")]
    funds = funds if only is None else [only]
    connect_ray(settings)
    return [_fund(settings, fund_id, states) for fund_id in funds]


def _fund(settings: Settings, fund_id: FundId, states: dict[str, dict[str, object]]) -> dict[str, Any]:
    from actors.live import ROLES, progress_of
    from actors.wiring import running_desk
    from mts1b.deploy.live import fund_folder, parts_of

    async def asked() -> dict[str, Any]:
        handles = running_desk(fund_id)

        async def one(role: str) -> dict[str, Any]:
            try:
                if role not in handles:
                    raise StackError("actor", role, "is not there", "see `mts status`")
                async with asyncio.timeout(ANSWER_S):
                    return {"pid": await handles[role].pid(), "statistics": await handles[role].statistics()}
            except (MtsError, TimeoutError) as error:
                return {"problem": str(error) or f"no answer in {ANSWER_S:.0f} s"}

        return dict(zip(ROLES, await asyncio.gather(*map(one, ROLES)), strict=True))

    parts = {name: states.get(name, {"state": "down"}) for name in parts_of(fund_id)}
    progress = progress_of(fund_folder(settings.data_dir, fund_id))
    return {"fund": fund_id, "parts": parts, "progress": progress, "actors": asyncio.run(asked())}


def _show(funds: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"funds": funds}, default=str))
        return
    for fund in funds:
        now = fund["progress"]
        table = Table("actor", "pid", "statistics", title=_title(fund["fund"], now), title_justify="left")
        for role, actor in fund["actors"].items():
            told = actor.get("problem") or ", ".join(
                f"{name} {value}" for name, value in actor["statistics"].items() if not isinstance(value, dict)
            )
            table.add_row(role, str(actor.get("pid", "")), told)
        screen().print(table, highlight=False)
    if not funds:
        typer.echo("no fund is live; `mts live up` starts one")


def _title(fund: str, now: dict[str, Any]) -> str:
    if not now.get("sessions"):
        return f"{fund}: {now.get('state', 'starting')}"
    return (
        f"{fund}: {now['state']}, session {now['row'] + 1} of {now['rows']}, {now['orders']:,} orders, "
        f"last at {iso(now['ended_ns'])}"
    )

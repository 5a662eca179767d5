"""`mts paper`: a strategy through the real order path, on a replayed market and a simulated exchange."""

from __future__ import annotations

import asyncio
import json
from bisect import bisect_left
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from jobs.screen import screen
from mts1b.cli.options import AsJson, DataDir
from mts1b.cli.tables import latency_table, refusals_line
from mts1b.cli.trading import with_pool
from mts1b.config import load_settings
from mts1b.foundation.clock import SystemClock, to_ns
from mts1b.foundation.errors import InputError

if TYPE_CHECKING:
    from actors.desk import DeskPlan
    from actors.paper_session import PaperResult
    from mts1b.config import Settings
    from mts1b.strategy.panel import Panel


def register(app: typer.Typer) -> None:
    """Add `mts paper`."""
    paper = typer.Typer(no_args_is_help=True, help="Paper trading: the real order path, a simulated exchange.")
    paper.callback()(lambda: None)
    paper.command("run")(run)
    app.add_typer(paper, name="paper")


def run(
    strategy: Annotated[
        str, typer.Option(help="Name of a strategy (`mts strategy list`), FILE.py or FILE.py:NAME.")
    ] = "vol_target_cross",
    param: Annotated[list[str] | None, typer.Option(help="name=value; defaults stand for the others.")] = None,
    symbols: Annotated[str, typer.Option(help="A,B,C or all.")] = "all",
    start: Annotated[
        str | None, typer.Option(help="First session, YYYY-MM-DD; a year before the end if not given.")
    ] = None,
    sessions: Annotated[int, typer.Option(help="Market sessions, at least.")] = 60,
    orders: Annotated[int, typer.Option(help="Orders, at least, unless the data end before.")] = 1_000,
    cash: Annotated[str | None, typer.Option(help="What the fund opens with.")] = None,
    fee_bps: Annotated[str, typer.Option(help="The exchange's fee on the traded value.")] = "1",
    slippage_bps: Annotated[str, typer.Option(help="How far market orders move the price.")] = "2",
    in_flight: Annotated[int | None, typer.Option(help="Orders handed over at a time; default 1.")] = None,
    fund: Annotated[
        str | None, typer.Option(help="A fund that has not traded, so that its limits can be set before; default: new.")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Trade stored sessions one after another on a running stack, with real actors, journal and bus."""
    from actors.desk import DeskPlan
    from actors.paper_session import OPENING_CASH, Extent, fresh_fund, paper_limits, run_paper
    from mts1b.brokers.paper.matching import Rules
    from mts1b.datalake import open_lake
    from mts1b.deploy.live import checked_fund
    from mts1b.foundation.ids import Symbol
    from mts1b.marketdata.replay import on_tick
    from mts1b.strategy.files import find_strategy

    settings, clock = load_settings(data_dir=data_dir), SystemClock()
    chosen = find_strategy(strategy)
    rules = Rules(fee_bps=amount("fee_bps", fee_bps), slippage_bps=amount("slippage_bps", slippage_bps))
    opening_cash = OPENING_CASH if cash is None else amount("cash", cash)
    named = None if symbols == "all" else symbols.split(",")
    panel = on_tick(open_lake(settings.lake_root).equities.bars.panel(symbols=named))
    first = first_row(panel, start, settings.marketdata.history_sessions)
    limits = paper_limits([Symbol(name) for name in panel.symbols], opening_cash)
    plan = DeskPlan(
        fresh_fund(clock) if fund is None else checked_fund(fund),
        chosen,
        values(param or []),
        panel,
        first,
        limits,
        opening_cash,
        in_flight=settings.oms.orders_in_flight if in_flight is None else in_flight,
        covariance_bars=settings.riskengine.covariance_bars,
    )
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=as_json) as bar:
        task = bar.add_task("paper sessions", total=sessions)
        result = run_paper(
            settings,
            plan,
            Extent(first, sessions, orders),
            rules,
            clock,
            lambda done, wanted: bar.update(task, completed=done, total=max(done, wanted)),
        )
    say_what_is_assumed(settings, plan)
    if as_json:
        print(json.dumps(result.to_json()))
    else:
        _show(result)


def say_what_is_assumed(settings: Settings, plan: DeskPlan) -> None:
    """On standard error, what stands in for master data that nobody has loaded."""
    from actors.assumed import assumption
    from mts1b.refdata.master_store import MasterStore
    from mts1b.refdata.rows import INSTRUMENTS

    stored = asyncio.run(with_pool(settings, lambda pool: MasterStore(pool).newest(INSTRUMENTS)))
    if stored is None and plan.assumed:
        typer.echo(assumption(plan.assumed), err=True)


def amount(field: str, text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number < 0:
        raise InputError(field, text, "not an amount", "give a number of at least 0")
    return number


def values(params: list[str]) -> dict[str, float]:
    found = {}
    for given in params:
        name, _, text = given.partition("=")
        try:
            found[name] = float(text)
        except ValueError:
            raise InputError("param", given, "not name=number", "give it as fast=20") from None
    return found


def first_row(panel: Panel, start: str | None, history_sessions: int) -> int:
    if start is None:
        return max(0, len(panel.ts_ns) - history_sessions)
    try:
        ts_ns = to_ns(datetime.strptime(start, "%Y-%m-%d").replace(tzinfo=UTC))
    except ValueError:
        raise InputError("start", start, "not a date", "give YYYY-MM-DD") from None
    return bisect_left(panel.ts_ns.tolist(), ts_ns)


def _show(result: PaperResult) -> None:
    console = screen()
    ended = ", ".join(f"{count} {name}" for name, count in result.orders.items())
    console.print(f"{result.strategy}: {result.sessions} sessions, {result.orders_total} orders ({ended})")
    console.print(refusals_line(result.refusals), highlight=False)
    console.print(f"NAV {result.nav[0][1]:,.2f} -> {result.nav[-1][1]:,.2f}")
    console.print(latency_table(result.latency))
    console.print(f"{result.elapsed_s:.1f} s; the exchange's log is kept as paper/{result.fund_id}")

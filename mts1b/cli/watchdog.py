"""`mts watchdog up | down | status | run`: who watches the stack. `mts alerts` lists what it says."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mts1b.cli.alerts import STYLES, as_plain
from mts1b.cli.options import AsJson, DataDir
from mts1b.config import Settings, load_settings
from mts1b.foundation.clock import SystemClock, iso

if TYPE_CHECKING:
    from actors.watchdog import WatchdogStatistics
    from mts1b.watchdog.book import Change

app = typer.Typer(
    no_args_is_help=True, help="The watchdog: drift, VPIN, slow consumers, dependencies, database health."
)


def register(parent: typer.Typer) -> None:
    """Add the commands."""
    parent.add_typer(app, name="watchdog")


@app.command("up")
def up(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Start the watchdog as an actor of the stack's Ray, as `mts up` does. Harmless when it runs."""
    from actors.watch import begin
    from mts1b.deploy.stack import have_watched

    settings = load_settings(data_dir=data_dir)
    found = begin(settings)
    have_watched(settings, SystemClock(), now=False)
    _show(found, as_json)


@app.command("down")
def down(data_dir: DataDir = None) -> None:
    """End the watchdog's actor. Alerts that stand are kept; the next watchdog clears them. Harmless when none runs."""
    settings = load_settings(data_dir=data_dir)
    _connect(settings)
    from actors.wiring import end_watchdog
    from mts1b.deploy.stack import have_watched

    have_watched(settings, SystemClock(), wanted=False, now=False)
    ended = asyncio.run(end_watchdog())
    Console(stderr=True).print("the watchdog is down" if ended else "no watchdog runs")


@app.command("status")
def status(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """What the watchdog's actor has looked at and sent so far. Exit code 1 when none runs."""
    _connect(load_settings(data_dir=data_dir))
    from actors.wiring import running_watchdog

    found = running_watchdog()
    if found is None:
        Console(stderr=True).print("no watchdog runs; start it with `mts watchdog up`")
        raise typer.Exit(1)
    _show(asyncio.run(found.statistics()), as_json)


@app.command("run")
def run(
    data_dir: DataDir = None,
    seconds: Annotated[float | None, typer.Option("--for", min=0, help="End after so many seconds.")] = None,
    as_json: AsJson = False,
) -> None:
    """Watch in this process until Ctrl-C, and print what changes: outside Ray, so that Ray's own end is seen."""
    from actors.watch import plan_of
    from actors.watchdog import WatchdogWorker

    plan = plan_of(load_settings(data_dir=data_dir))
    console = Console()

    def shown(change: Change) -> None:
        if as_json:
            print(json.dumps({"kind": change.kind.value, **as_plain(change.alert)}), flush=True)
        else:
            console.print(line_of(change), soft_wrap=True)

    async def work() -> None:
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        worker = WatchdogWorker(plan, SystemClock(), failed.set_exception)
        worker.on_change(shown)
        await worker.start()
        try:
            async with asyncio.timeout(seconds):
                await failed
        except TimeoutError:
            return
        finally:
            await worker.close()

    asyncio.run(work())


def line_of(change: Change) -> Text:
    """A change for a reader."""
    alert = change.alert
    style = STYLES[alert.severity.value] if change.kind.value == "raised" else "green"
    word = alert.severity.value if change.kind.value == "raised" else "cleared"
    return Text.assemble(
        iso(change.ts_ns)[11:19], " ", (f"{word:<8}", style), f" {alert.alert} of {alert.subject}: ", alert.summary
    )


def _connect(settings: Settings) -> None:
    from mts1b.deploy.ray_client import connect_ray

    connect_ray(settings)


def _show(found: WatchdogStatistics, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(found)))
        return
    checks = Table("check", "passes", box=SIMPLE_HEAD)
    for name, passes in found.passes.items():
        checks.add_row(name, f"{passes:,}")
    sinks = Table("sink", "sent", "waiting", "problem", box=SIMPLE_HEAD)
    for sink in found.sinks:
        sinks.add_row(sink.name, f"{sink.sent:,}", f"{sink.waiting:,}", Text(sink.problem))
    heard, venues = sum(found.heard.values()), ", ".join(found.venues) or "none"
    console = Console()
    console.print(checks, sinks)
    console.print(f"{found.standing} alerts stand; {heard:,} events heard; venues: {venues}")

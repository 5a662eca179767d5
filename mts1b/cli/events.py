"""`mts events`: what is said on the bus, who is behind, and what nobody could work on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich import box
from rich.table import Table

from jobs.screen import screen
from mts1b.cli.options import AsJson, DataDir
from mts1b.config import load_settings
from mts1b.foundation.clock import iso
from mts1b.platform.events import Registered, registered

if TYPE_CHECKING:
    from pathlib import Path

    from mts1b.platform.eventbus import DeadLetter, EventBus

T = TypeVar("T")

EVENT_MODULES: Sequence[str] = (
    "mts1b.marketdata.published",
    "mts1b.oms.published",
    "mts1b.platform.alerts",
    "mts1b.watchdog.published",
)
"""Every module that registers events. A test looks for those that are missing here."""

app = typer.Typer(help="Subjects and models of the bus, its consumers, its dead letters.")

Durable = Annotated[str | None, typer.Option("--durable", help="Of this durable consumer only.")]
Last = Annotated[int, typer.Option("--last", min=1, max=10_000, help="The newest of them.")]


def register(parent: typer.Typer) -> None:
    """Add the commands."""
    parent.add_typer(app, name="events")


def known_events() -> list[Registered]:
    """Every event of the platform, by subject."""
    for module in EVENT_MODULES:
        import_module(module)
    return [item for item in registered() if item.model.__module__ in EVENT_MODULES]


@app.callback(invoke_without_command=True)
def events(context: typer.Context, as_json: AsJson = False) -> None:
    """List every subject with its model; --json adds the schemas."""
    if context.invoked_subcommand is not None:
        return
    found = known_events()
    if as_json:
        typer.echo(json.dumps([_row(item) for item in found]))
        return
    table = Table("subject", "model", "id", "fields", box=box.SIMPLE_HEAD)
    for item in found:
        fields = ", ".join(item.model.model_fields)
        table.add_row(item.subject, f"{item.model.__module__}.{item.model.__name__}", item.key, fields)
    screen().print(table)


@app.command("dead")
def dead(durable: Durable = None, last: Last = 100, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the messages that a consumer gave up on, with the reason; --json adds their payloads."""
    letters = _ask(data_dir, lambda bus: bus.dead_letters(durable, last))
    if as_json:
        typer.echo(json.dumps([_letter(letter) for letter in letters]))
        return
    table = Table("died (UTC)", "durable", "subject", "id", "attempts", "reason", box=box.SIMPLE_HEAD)
    for letter in letters:
        words = (iso(letter.dead_ns), letter.durable, letter.subject, letter.message_id, str(letter.attempts))
        table.add_row(*words, letter.reason)
    screen().print(table if letters else "no dead letters", markup=False)


@app.command("lag")
def lag(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the durable consumers and how far each is behind."""
    found = _ask(data_dir, lambda bus: bus.lags())
    if as_json:
        typer.echo(json.dumps([asdict(item) for item in found]))
        return
    table = Table("durable", "subject", "waiting", "in flight", "delivered again", "readers", box=box.SIMPLE_HEAD)
    for item in found:
        numbers = (item.wait, item.in_flight, item.redelivered, item.readers)
        table.add_row(item.durable, item.subject, *(f"{number:,}" for number in numbers))
    screen().print(table if found else "no durable consumers", markup=False)


def _ask(data_dir: Path | None, ask: Callable[[EventBus], Awaitable[T]]) -> T:
    """Ask the running stack's bus. StackError when it is not up."""
    from mts1b.deploy.endpoints import endpoints
    from mts1b.platform.eventbus import connect

    async def run() -> T:
        bus = await connect(endpoints(load_settings(data_dir=data_dir)).nats_url)
        try:
            return await ask(bus)
        finally:
            await bus.close()

    return asyncio.run(run())


def _row(item: Registered) -> dict[str, object]:
    return {
        "subject": item.subject,
        "version": item.version,
        "model": f"{item.model.__module__}.{item.model.__name__}",
        "key": item.key,
        "schema": item.model.model_json_schema(),
    }


def _letter(letter: DeadLetter) -> dict[str, object]:
    """The payload as JSON where it is JSON, else as text."""
    text = letter.payload.decode(errors="replace")
    try:
        payload: object = json.loads(text)
    except ValueError:
        payload = text
    return asdict(letter) | {"payload": payload}

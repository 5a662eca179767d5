"""`mts up`, `mts down`, `mts status`, `mts env`: the embedded stack."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from jobs.screen import screen
from mts1b.cli.options import AsJson, DataDir
from mts1b.config import Settings, load_settings
from mts1b.foundation.clock import SystemClock
from mts1b.foundation.errors import unknown_name

if TYPE_CHECKING:
    from mts1b.deploy.services import Running
    from mts1b.deploy.stack import PartStatus


COLOURS = {"up": "green", "down": "red", "failed": "red"}


def register(app: typer.Typer) -> None:
    """Add the commands. `mts1b-deploy` has the same ones."""
    app.command("up")(up)
    app.command("down")(down)
    app.command("status")(status)
    app.command("env")(env)


def up(
    data_dir: DataDir = None,
    only: Annotated[list[str] | None, typer.Option("--only", help="Start this part only; may be repeated.")] = None,
    ray_port: Annotated[int | None, typer.Option("--ray-port", help="Port of Ray's GCS; 0: a free one.")] = None,
    dashboard_port: Annotated[int | None, typer.Option("--dashboard-port", help="0: a free one.")] = None,
    cpus: Annotated[int | None, typer.Option("--cpus", help="CPUs that Ray hands out; default all.")] = None,
    as_json: AsJson = False,
) -> None:
    """Start Postgres, NATS, Valkey and Ray, wait until they answer, and have them watched. Harmless when all is up."""
    from mts1b.deploy import stack
    from mts1b.deploy.endpoints import PARTS

    for part in only or ():
        if part not in PARTS:
            raise unknown_name("only", part, PARTS)
    ray = {"gcs_port": ray_port, "dashboard_port": dashboard_port, "num_cpus": cpus}
    given = {name: value for name, value in ray.items() if value is not None}
    settings = load_settings(data_dir=data_dir, ray=given or None)
    console = Console(stderr=True)

    with console.status("starting"):
        stack.up(
            settings,
            SystemClock(),
            lambda part, state: console.print(f"{part:<9} {state}", highlight=False),
            tuple(only) if only else PARTS,
            watched=not only,
        )
    _show(settings, stack.status(settings), as_json)


def down(data_dir: DataDir = None) -> None:
    """Stop every process of the stack. The data stay. Harmless when nothing runs."""
    from mts1b.deploy import stack

    settings = load_settings(data_dir=data_dir)
    stack.down(settings, SystemClock())
    Console(stderr=True).print(f"stack in {settings.data_dir} is down", highlight=False, soft_wrap=True)


def status(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Ask every part whether it works, and say what each service is here. Exit code 1 when a part does not work."""
    from mts1b.deploy import services, stack

    settings = load_settings(data_dir=data_dir)
    parts = stack.status(settings)
    _show(settings, parts, as_json, services.running(settings))
    if any(part.state != "up" for part in parts):
        raise typer.Exit(1)


def env(data_dir: DataDir = None) -> None:
    """Print what Ray's own commands need: `eval "$(mts env)"`, then `ray job submit ...`."""
    from mts1b.deploy.ray_client import ray_environment
    from mts1b.deploy.stack import endpoints

    for name, value in ray_environment(endpoints(load_settings(data_dir=data_dir))).items():
        print(f"export {name}={shlex.quote(value)}")


def _show(settings: Settings, parts: list[PartStatus], as_json: bool, services: Sequence[Running] = ()) -> None:
    if as_json:
        found: dict[str, Any] = {"data_dir": str(settings.data_dir), "parts": [asdict(part) for part in parts]}
        print(json.dumps(found | ({"services": [asdict(one) for one in services]} if services else {})))
        return
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("part", "state", "address", "pid", "restarts", "detail"):
        table.add_column(column, no_wrap=column != "detail")
    for part in parts:
        colour = COLOURS.get(part.state, "yellow")
        pid = str(part.pid or "") if part.embedded else "given"
        table.add_row(part.name, f"[{colour}]{part.state}[/]", part.address, pid, str(part.restarts or ""), part.detail)
    screen().print(table)
    if services:
        screen(highlight=False).print(_services_table(services))


def _services_table(services: Sequence[Running]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("service", "is here", "as", "begun by", "running"):
        table.add_column(column)
    for one in services:
        service = one.service
        running = f"{one.processes} ({', '.join(one.funds)})" if one.processes else ""
        table.add_row(service.name, service.kind, service.here, service.begun_by, running)
    return table

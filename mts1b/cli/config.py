"""`mts config show`, `mts config check`: the settings as they are in force, and whether they hold."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import SecretStr
from rich.box import SIMPLE_HEAD
from rich.table import Table

from jobs.screen import screen
from mts1b.cli.options import AsJson, DataDir
from mts1b.config import Settings, read_layers, read_settings, settings_of
from mts1b.config_layers import Layer, leaves, shown
from mts1b.foundation.errors import InputError, MtsError, unknown_name
from mts1b.foundation.redaction import MASK

if TYPE_CHECKING:
    from mts1b.config import Setting

Section = Annotated[str | None, typer.Argument(help="Show this section only, as db or http.retry.")]
Changed = Annotated[bool, typer.Option("--changed", help="Leave out what is as it is by default.")]
ReadSecrets = Annotated[bool, typer.Option("--secrets", help="Also read every secret that is referred to.")]

app = typer.Typer(no_args_is_help=True, help="The settings: what is in force, where it comes from, what is wrong.")


def register(parent: typer.Typer) -> None:
    """Add the commands."""
    parent.add_typer(app, name="config")


@app.command("show")
def show(section: Section = None, changed: Changed = False, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Every setting with its value and its origin: default, file, environment or command line. Secrets are masked."""
    told = read_settings(data_dir=data_dir).described()
    if section is not None:
        told = _of_section(told, section)
    if changed:
        told = [setting for setting in told if setting.origin != "default"]
    if as_json:
        typer.echo(json.dumps([asdict(setting) for setting in told]))
        return
    table = Table("setting", "value", "origin", "where", box=SIMPLE_HEAD)
    for setting in told:
        value = "" if setting.value is None else str(setting.value)
        table.add_row(setting.key, value, setting.origin, setting.where)
    screen(highlight=False, markup=False).print(table)


@app.command("check")
def check(data_dir: DataDir = None, secrets: ReadSecrets = False, as_json: AsJson = False) -> None:
    """Name everything that is wrong with the settings, and what is doubtful. Exit code 2 when something is wrong."""
    layers = read_layers(data_dir=data_dir)
    found = settings_of(layers)
    mistakes: list[MtsError] = []
    doubts: list[str] = []
    if isinstance(found, list):
        mistakes += found
    else:
        doubts = [*doubtful(found), *exposed(found, layers[0])]
        mistakes += unreadable(found) if secrets else []
    if as_json:
        rows: list[dict[str, Any]] = [
            {"setting": mistake.field, "problem": mistake.problem, "remedy": mistake.remedy} for mistake in mistakes
        ]
        typer.echo(json.dumps({"ok": not mistakes, "mistakes": rows, "warnings": doubts}))
    else:
        for mistake in mistakes:
            typer.echo(f"wrong: {mistake}", err=True)
        for doubt in doubts:
            typer.echo(f"warning: {doubt}", err=True)
        if not mistakes:
            places = [f"{len(layer.where)} from the {layer.origin}" for layer in layers[1:] if layer.where]
            file = layers[0].where.get((), "no file")
            typer.echo(f"settings hold: {', '.join([file, *places])}")
    if mistakes:
        raise typer.Exit(InputError.exit_code)


def doubtful(settings: Settings) -> list[str]:
    """What is allowed and is hardly meant."""
    doubts = []
    for name, provider in settings.providers.items():
        if not provider.tiers:
            doubts.append(f"providers.{name}.tiers: none, so its calls are not limited")
        if provider.api_key is not None and not (provider.api_key_header or provider.api_key_query):
            doubts.append(f"providers.{name}.api_key: goes nowhere; give api_key_header or api_key_query")
    if settings.http.max_keepalive_connections > settings.http.max_connections:
        doubts.append("http.max_keepalive_connections: more than max_connections are never kept")
    return doubts


def exposed(settings: Settings, file: Layer) -> list[str]:
    """Secrets written into a file that others than its owner may read."""
    place = file.place(())
    if not place or not Path(place).stat().st_mode & 0o077:
        return []
    written = [key for key, value in leaves(settings) if shown(value) == MASK and file.holds(key)]
    return [f"{place}: holds {'.'.join(key)} and others may read it; chmod 600 {place}" for key in written]


def unreadable(settings: Settings) -> list[MtsError]:
    """References to secrets that lead nowhere; each is read once."""
    from mts1b.platform.secrets import Secrets

    held, wrong = Secrets(settings.secrets), []
    for key, value in leaves(settings):
        if isinstance(value, SecretStr):
            try:
                held.read(value)
            except MtsError as error:
                wrong.append(InputError(".".join(key), error.value, error.problem, error.remedy))
    held.close()
    return [*wrong]


def _of_section(told: list[Setting], section: str) -> list[Setting]:
    kept = [setting for setting in told if setting.key == section or setting.key.startswith(f"{section}.")]
    if not kept:
        keys = {".".join(setting.key.split(".")[:size]) for setting in told for size in (1, 2, 3)}
        raise unknown_name("section", section, keys)
    return kept

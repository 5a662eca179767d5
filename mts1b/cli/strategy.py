"""`mts strategy`: what can be run, and what a definition means."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from mts1b.cli.options import AsJson
from mts1b.strategy import Strategy, get_strategy
from mts1b.strategy.files import SUFFIX, find_strategy, strategies_of
from mts1b.strategy.library import names


def register(app: typer.Typer) -> None:
    """Add `mts strategy`."""
    group = typer.Typer(no_args_is_help=True, help="Strategies: list the library, explain a definition.")
    group.command("list")(list_)
    group.command("check")(check)
    app.add_typer(group, name="strategy")


def list_(as_json: AsJson = False) -> None:
    """The library's strategies, with their parameters."""
    found = [get_strategy(name) for name in names()]
    if as_json:
        typer.echo(json.dumps([_row(one) for one in found]))
        return
    width = max(len(one.name) for one in found) + 1
    for one in found:
        bounds = ", ".join(f"{name} {bound.low:g}..{bound.high:g}" for name, bound in one.params.items())
        typer.echo(f"{one.name:{width}s}{one.summary}\n{'':{width}s}{bounds or 'no parameters'}")


def check(
    what: Annotated[str, typer.Argument(help="A name of the library, FILE.py, or FILE.py:NAME.")],
    as_json: AsJson = False,
) -> None:
    """Explain nodes, parameters, look-back and what combinations share. Exit 2 when the definition is wrong."""
    found = strategies_of(Path(what)) if what.endswith(SUFFIX) else [find_strategy(what)]
    typer.echo(json.dumps([_row(one) for one in found]) if as_json else "\n\n".join(one.describe() for one in found))


def _row(one: Strategy) -> dict[str, object]:
    return {
        "name": one.name,
        "summary": one.summary,
        "target": str(one.root),
        "hash": one.hash,
        "params": {
            name: {"low": bound.low, "high": bound.high, "default": bound.default, "kind": bound.kind}
            for name, bound in one.params.items()
        },
        "lookback_bars": int(one.lookback(one.resolve({}))),
    }

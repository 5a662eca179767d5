"""`mts backtest`: the job, from the front door."""

from __future__ import annotations

import typer

from jobs import backtest


def register(app: typer.Typer) -> None:
    """Add `mts backtest`."""
    app.command("backtest")(backtest.command)

"""`mts sweep` and `mts walk-forward`: the jobs, from the front door."""

from __future__ import annotations

import typer

from jobs import sweep, walk_forward


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("sweep")(sweep.command)
    app.command("walk-forward")(walk_forward.command)

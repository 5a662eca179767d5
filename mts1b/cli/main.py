"""`mts`: assembles the commands and turns errors into one line and an exit code."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import typer

from mts1b.foundation.errors import MtsError

COMMAND_MODULES: Sequence[str] = (
    "stack",
    "data",
    "sweep",
    "backtest",
    "stream",
    "strategy",
    "paper",
    "audit",
    "events",
    "quickstart",
    "bench",
    "config",
    "platform",
)
"""Modules of this package, in the order `mts --help` lists them. Each has `register(app)`."""


def build_app(modules: Sequence[str] = COMMAND_MODULES) -> typer.Typer:
    """The whole command tree."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

    @app.callback()
    def options(
        debug: bool = typer.Option(False, "--debug", help="Show tracebacks."),
        settings: list[str] = typer.Option([], "--set", metavar="KEY=VALUE", help="A setting; may be repeated."),
        config: Path | None = typer.Option(None, "--config", help="The settings file."),
    ) -> None:
        """MTS1B: sweep a strategy, validate it, trade it on paper and live, from one definition."""
        from mts1b.config import set_command_line

        set_command_line(settings, config)

    for name in modules:
        importlib.import_module(f"mts1b.cli.{name}").register(app)
    return app


def guarded(call: Callable[[], object], debug: bool) -> int:
    """Run `call`; a known error becomes one line on stderr and its exit code."""
    try:
        call()
    except MtsError as error:
        if debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def run() -> None:
    """Console entry point."""
    sys.exit(guarded(build_app(), "--debug" in sys.argv[1:]))

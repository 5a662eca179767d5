"""`mts`: assembles the commands and turns errors into one line and an exit code."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from traceback import format_exception
from types import TracebackType

import typer

from mts1b.foundation.errors import MtsError
from mts1b.foundation.redaction import scrub

COMMAND_MODULES: Sequence[str] = (
    "stack",
    "data",
    "sweep",
    "backtest",
    "stream",
    "strategy",
    "paper",
    "live",
    "orders",
    "positions",
    "statement",
    "cash",
    "risk",
    "alerts",
    "watchdog",
    "audit",
    "backup",
    "events",
    "quickstart",
    "bench",
    "sim",
    "chaos",
    "config",
    "platform",
)
"""Modules of this package, in the order `mts --help` lists them. Each has `register(app)`."""

MODULE_OF = {
    "up": "stack",
    "down": "stack",
    "status": "stack",
    "env": "stack",
    "walk-forward": "sweep",
    "journal": "backup",
}
"""Commands that are not called like their module."""


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


class FirstLine(logging.Handler):
    """Sets logging up when there is something to say: most commands end without a line, and structlog takes 50 ms."""

    def emit(self, record: logging.LogRecord) -> None:
        from mts1b.platform.logging import setup_logging

        root = logging.getLogger()
        root.removeHandler(self)
        setup_logging("mts", logging.getLevelName(root.level).lower())
        logging.getLogger(record.name).handle(record)


def run(modules: Sequence[str] = COMMAND_MODULES) -> None:
    """Console entry point."""
    debug = "--debug" in sys.argv[1:]
    logging.basicConfig(level=logging.DEBUG if debug else logging.WARNING, handlers=[FirstLine()])
    sys.excepthook = without_secrets
    sys.exit(guarded(build_app(needed(sys.argv[1:], modules)), debug))


def needed(words: Sequence[str], modules: Sequence[str]) -> Sequence[str]:
    """The module of the command that is asked for, all of them when that cannot be told: loading them takes 3 s."""
    left = iter(words)
    for word in left:
        if word in ("--set", "--config"):
            next(left, None)
        elif not word.startswith("-"):
            module = MODULE_OF.get(word, word.removeprefix("mts1b-").replace("-", "_"))
            return (module,) if module in modules else modules
    return modules


def without_secrets(raised: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """A traceback on standard error as Python prints it, but for secrets."""
    print(scrub("".join(format_exception(raised, error, traceback))), end="", file=sys.stderr)

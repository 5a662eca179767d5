"""The front door: which module a command needs, and errors without secrets."""

from __future__ import annotations

import logging
import sys
import threading

import pytest
import structlog
import typer.main

from mts1b.cli import main
from mts1b.foundation import redaction


@pytest.mark.parametrize(
    ("words", "modules"),
    [
        (["status", "--json"], ("stack",)),
        (["walk-forward", "--help"], ("sweep",)),
        (["--set", "oms.orders_in_flight=2", "--debug", "config", "show"], ("config",)),
        (["--config", "data", "audit", "verify"], ("audit",)),
        (["--help"], main.COMMAND_MODULES),
        (["stats"], main.COMMAND_MODULES),
        ([], main.COMMAND_MODULES),
    ],
)
def test_only_the_commands_own_module_is_loaded(words: list[str], modules: object) -> None:
    assert main.needed(words, main.COMMAND_MODULES) == modules


def test_every_command_is_found_by_its_module_alone() -> None:
    """Whatever `mts --help` lists is there when only its own module is loaded."""
    for name in typer.main.get_command(main.build_app()).commands:  # type: ignore[attr-defined]
        modules = main.needed([name], main.COMMAND_MODULES)
        assert len(modules) == 1, f"say in MODULE_OF which module {name} is in"
        alone = typer.main.get_command(main.build_app(modules))
        assert name in alone.commands  # type: ignore[attr-defined]


def test_tracebacks_hold_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    redaction.remember("a-secret-of-tracebacks")
    try:
        raise RuntimeError("a-secret-of-tracebacks")
    except RuntimeError:
        main.without_secrets(*sys.exc_info())  # type: ignore[arg-type]
    told = capsys.readouterr().err
    assert told.endswith("RuntimeError: ***\n") and "a-secret" not in told


def test_logging_is_set_up_by_the_first_line(capsys: pytest.CaptureFixture[str]) -> None:
    root, hooks = logging.getLogger(), (sys.excepthook, threading.excepthook)
    handlers, level = list(root.handlers), root.level
    root.handlers[:] = [main.FirstLine()]
    root.setLevel(logging.WARNING)
    try:
        logging.getLogger("third").info("not heard")
        assert isinstance(root.handlers[0], main.FirstLine)
        logging.getLogger("third").warning("postgres://me:secret-of-a-line@h")
        logging.getLogger("third").warning("again")
        told = capsys.readouterr().err
        assert "postgres://***@h" in told and "again" in told and "not heard" not in told
    finally:
        root.handlers[:], (sys.excepthook, threading.excepthook) = handlers, hooks
        root.setLevel(level)
        structlog.reset_defaults()

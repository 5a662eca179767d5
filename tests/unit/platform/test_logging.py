"""Log lines: data with trace ids, for machines and for people, and no secret in any of them."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from mts1b.foundation import redaction
from mts1b.foundation.clock import NS_PER_S
from mts1b.platform.logging import get_logger, setup_logging
from mts1b.platform.telemetry import span
from mts1b.testing.clock import SimulatedClock

SECRET = "planted-secret-of-logs"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """What setup_logging changes in a process, changed back."""
    root, hooks = logging.getLogger(), (sys.excepthook, threading.excepthook)
    handlers, level = list(root.handlers), root.level
    redaction.remember(SECRET)
    yield
    root.handlers[:], (sys.excepthook, threading.excepthook) = handlers, hooks
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def lines(style: str = "json", level: str = "info") -> io.StringIO:
    out = io.StringIO()
    setup_logging("oms", level, style, out, SimulatedClock(1_700_000_000 * NS_PER_S))
    return out


def told(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_is_data() -> None:
    out = lines()
    get_logger("mts1b.oms", fund="f1").info("order sent", order_id="o-1", quantity=3)
    assert told(out) == [
        {
            "at": "2023-11-14T22:13:20.000000+00:00",
            "level": "info",
            "service": "oms",
            "logger": "mts1b.oms",
            "event": "order sent",
            "fund": "f1",
            "order_id": "o-1",
            "quantity": 3,
        }
    ]


def test_lines_of_other_packages_are_alike() -> None:
    out = lines()
    logging.getLogger("asyncpg").warning("lost %s", "it", extra={"server": "db:5432"})
    (line,) = told(out)
    assert (line["logger"], line["event"], line["server"], line["service"]) == ("asyncpg", "lost it", "db:5432", "oms")


def test_lines_carry_the_trace_they_belong_to() -> None:
    out = lines()
    with span("order") as outer:
        get_logger("x").info("inside")
        logging.getLogger("y").info("inside too")
    get_logger("x").info("outside")
    with structlog.contextvars.bound_contextvars(fund="f2"):
        get_logger("x").info("bound")
    inside, too, outside, bound = told(out)
    assert inside["trace_id"] == too["trace_id"] == f"{outer.trace_id:032x}"
    assert inside["span_id"] == f"{outer.span_id:016x}"
    assert "trace_id" not in outside and bound["fund"] == "f2"


def test_levels_and_chatty_packages() -> None:
    out = lines(level="info")
    get_logger("x").debug("no")
    logging.getLogger("httpx").info("HTTP Request: GET https://h/?apikey=abc")
    assert out.getvalue() == ""
    out = lines(level="debug")
    get_logger("x").debug("yes")
    assert [line["event"] for line in told(out)] == ["yes"]


@pytest.mark.parametrize("style", ["json", "console"])
def test_no_secret_in_any_part_of_a_line(style: str) -> None:
    out = lines(style)
    log = get_logger("x", note=f"bound {SECRET}")
    log.info(f"event {SECRET}", value=[SECRET, {"k": SECRET.encode()}], password="unknown-1", error=OSError(SECRET))
    log.info("by position %s", SECRET)
    logging.getLogger("other").warning("GET https://u:unknown-2@h/a?apikey=unknown-3 %s", SECRET)
    try:
        raise ValueError(f"holds {SECRET}")
    except ValueError:
        log.exception("caught")
    sys.excepthook(*error_of(SECRET))
    threading.excepthook(threading.ExceptHookArgs((*error_of(SECRET), None)))
    text = out.getvalue()
    assert text.count("***") >= 12 and "not caught: RuntimeError" in text and "Traceback" in text
    for secret in (SECRET, "unknown-1", "unknown-2", "unknown-3"):
        assert secret not in text


def error_of(text: str) -> Any:
    try:
        raise RuntimeError(text)
    except RuntimeError:
        return sys.exc_info()


def test_people_read_columns() -> None:
    out = lines("console")
    get_logger("mts1b.oms").warning("order late", order_id="o-1")
    assert out.getvalue() == (
        "2023-11-14T22:13:20.000000+00:00 [warning  ] order late [mts1b.oms] order_id=o-1 service=oms\n"
    )


def test_setting_up_again_replaces() -> None:
    first, second = lines(), lines()
    get_logger("x").info("once")
    assert first.getvalue() == "" and len(told(second)) == 1

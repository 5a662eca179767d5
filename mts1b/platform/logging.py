"""Log lines as data: JSON for machines, columns for people; with trace ids, without secrets. Alone imports structlog.

    log = get_logger(__name__)
    log.info("order sent", order_id=order.order_id, venue="paper")

Lines of third-party packages come out the same way. Whatever is written passes through `mts1b.foundation.redaction`.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import MutableMapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from mts1b.foundation.clock import Clock, SystemClock, iso
from mts1b.foundation.redaction import scrub, scrubbed
from mts1b.platform.lean import without
from mts1b.platform.telemetry.trace import CURRENT

with without("rich", "better_exceptions", "greenlet", "colorama", "attr"):
    import structlog
    from structlog.dev import ConsoleRenderer, plain_traceback
    from structlog.stdlib import BoundLogger, ProcessorFormatter

if TYPE_CHECKING:
    from mts1b.config_sections import Logging as Section

__all__ = ["BoundLogger", "get_logger", "logging_from", "setup_logging"]

Event = MutableMapping[str, Any]

CHATTY = ("httpx", "httpcore", "urllib3", "hvac", "asyncio", "nats", "numba")
"""Packages that tell of every call: heard from `warning` up."""


def get_logger(name: str, **bound: Any) -> BoundLogger:
    """A logger; `bound` goes into each of its lines."""
    return structlog.get_logger(name, **bound)


def logging_from(section: Section, service: str) -> None:
    """`setup_logging` as the settings say."""
    setup_logging(service, section.level, section.format)


def setup_logging(
    service: str = "mts1b",
    level: str = "info",
    style: str = "auto",
    stream: TextIO | None = None,
    clock: Clock | None = None,
) -> None:
    """From now on every log line of this process goes to `stream` (standard error), as `style` says: json or console.

    `auto` is console at a terminal, json elsewhere. May be called again. Errors that nobody catches are log lines too.
    """
    out = stream or sys.stderr
    people = style == "console" or (style == "auto" and out.isatty())
    first: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        _Stamp(service, clock or SystemClock()),
    ]
    last = _columns(out) if people else _json_line
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        _Scrubbing(
            foreign_pre_chain=first,
            processors=[
                ProcessorFormatter.remove_processors_meta,
                structlog.processors.StackInfoRenderer(),
                structlog.processors.format_exc_info,
                _without_secrets,
                last,
            ],
        )
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *first,
            ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=BoundLogger,
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for before in [one for one in root.handlers if isinstance(one.formatter, _Scrubbing)]:
        root.removeHandler(before)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


class _Scrubbing(ProcessorFormatter):
    """The last look: whatever the line is made of, no secret leaves in it."""

    def format(self, record: logging.LogRecord) -> str:
        return scrub(super().format(record))


class _Stamp:
    """Adds when, which service, and the trace and span under way."""

    def __init__(self, service: str, clock: Clock) -> None:
        self._service, self._clock = service, clock

    def __call__(self, _logger: Any, _method: str, event: Event) -> Event:
        event["at"] = iso(self._clock.now_ns())
        event["service"] = self._service
        place = CURRENT.get()
        if place is not None:
            event["trace_id"], event["span_id"] = f"{place.trace_id:032x}", f"{place.span_id:016x}"
        return event


def _without_secrets(_logger: Any, _method: str, event: Event) -> Event:
    return {name: scrubbed(value, name) for name, value in event.items()}


def _json_line(_logger: Any, _method: str, event: Event) -> str:
    order = ("at", "level", "service", "logger", "event")
    first = {name: event[name] for name in order if name in event}
    return json.dumps({**first, **event}, default=str)


def _columns(out: TextIO) -> Any:
    return ConsoleRenderer(colors=out.isatty(), timestamp_key="at", exception_formatter=plain_traceback, pad_event_to=0)


def _uncaught(raised: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(raised, KeyboardInterrupt):
        sys.__excepthook__(raised, error, traceback)
        return
    logging.getLogger("mts1b").critical("not caught: %s", raised.__name__, exc_info=(raised, error, traceback))


def _uncaught_in_thread(told: threading.ExceptHookArgs) -> None:
    if told.exc_value is not None:
        _uncaught(told.exc_type, told.exc_value, told.exc_traceback)

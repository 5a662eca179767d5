"""Where in which trace the code runs that asks: the W3C trace context, handed on in headers of any kind.

https://www.w3.org/TR/trace-context/: `traceparent: 00-<trace id>-<span id>-<flags>`. Every span here is recorded, so
the flag that says so is always set.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import Protocol

TRACEPARENT = "traceparent"
_FORM = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")


class Place(Protocol):
    """A span, here or in another process, as its children see it."""

    @property
    def trace_id(self) -> int: ...

    @property
    def span_id(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A span of another process."""

    trace_id: int
    span_id: int


CURRENT: ContextVar[Place | None] = ContextVar("mts1b_span", default=None)
"""The innermost span under way, for each thread and task its own."""


def traceparent() -> str:
    """The current span as the header's value; "" outside any."""
    place = CURRENT.get()
    return "" if place is None else f"00-{place.trace_id:032x}-{place.span_id:016x}-01"


def outgoing() -> dict[str, str]:
    """What goes into the headers of a request or message, so that what follows from it joins the trace."""
    value = traceparent()
    return {TRACEPARENT: value} if value else {}


def place_of(value: str) -> Elsewhere | None:
    """The span that a `traceparent` names; None when it names none, and the trace begins anew, as the standard says."""
    match = _FORM.fullmatch(value)
    if match is None:
        return None
    trace_id, span_id = int(match.group(1), 16), int(match.group(2), 16)
    return Elsewhere(trace_id, span_id) if trace_id and span_id else None


class received:  # noqa: N801 - read as a statement: `with received(headers):`
    """Spans of the body belong to the trace that `headers` (names in any case) name, if they name one."""

    __slots__ = ("_place", "_token")

    def __init__(self, headers: Mapping[str, str] | str | None) -> None:
        value = headers if isinstance(headers, str) else _header(headers or {})
        self._place = place_of(value)
        self._token: Token[Place | None] | None = None

    def __enter__(self) -> None:
        if self._place is not None:
            self._token = CURRENT.set(self._place)

    def __exit__(self, *_raised: object) -> None:
        if self._token is not None:
            CURRENT.reset(self._token)
            self._token = None


def _header(headers: Mapping[str, str]) -> str:
    if TRACEPARENT in headers:
        return headers[TRACEPARENT]
    return next((value for name, value in headers.items() if name.lower() == TRACEPARENT), "")

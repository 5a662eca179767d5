"""What processes tell each other about operations, and where: subjects, and slow operations as messages.

- `mts.telemetry.operations.<service>`: every process, of operations slow enough or listened for; not stored
- `mts.telemetry.listeners`: `mts mts1b-platform tail`, from which duration on it wants to hear, again every two seconds
- `mts.telemetry.newcomers`: a process that has just connected, so that listeners say it again at once
- `mts.telemetry.rollups.<service>.<instance>.<minute>.<part>`: every process, of the durations of a minute; stored
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mts1b.foundation.clock import NS_PER_MS
from mts1b.foundation.errors import DataError
from mts1b.foundation.redaction import scrubbed
from mts1b.platform.telemetry.rollup import Rollup
from mts1b.platform.telemetry.spans import Operation

OPERATIONS = "mts.telemetry.operations"
LISTENERS = "mts.telemetry.listeners"
NEWCOMERS = "mts.telemetry.newcomers"
ROLLUPS = "mts.telemetry.rollups"

OPERATIONS_PER_MESSAGE = 100
ATTRIBUTE_CHARACTERS_MAX = 300


class Line(Protocol):
    """A connection that messages go out on. Each call raises StackError when it cannot be done."""

    async def tell(self, subject: str, payload: bytes) -> None:
        """Say something to whoever listens now."""

    async def keep(self, subject: str, payload: bytes) -> None:
        """Store it in place of what the subject held before; returns once it is stored."""

    async def hear(self, subject: str, heard: Callable[[bytes], None]) -> None:
        """Call `heard` with everything that is said from now on."""

    async def close(self) -> None:
        """Send what is buffered and disconnect."""


Connect = Callable[[], Awaitable[Line]]


@dataclass(frozen=True, slots=True)
class Heard:
    """Operations as they came; `dropped`: how many the process could not send in time before these."""

    operations: tuple[Operation, ...]
    dropped: int


def operations_message(operations: Sequence[Operation], dropped: int) -> bytes:
    """Operations of one process."""
    return json.dumps({"dropped": dropped, "operations": [_plain(one) for one in operations]}).encode()


def read_operations(message: bytes) -> Heard:
    """DataError when the message is none of `operations_message`."""
    try:
        found = json.loads(message)
        return Heard(tuple(_operation(*one) for one in found["operations"]), int(found["dropped"]))
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            "operations", message[:80], f"cannot be read ({error!r})", "who else publishes there?"
        ) from None


def _plain(one: Operation) -> list[Any]:
    attributes = {name: _short(scrubbed(value, name)) for name, value in one.attributes.items()}
    ids = (f"{one.trace_id:x}", f"{one.span_id:x}", f"{one.parent_id:x}")  # numbers of 128 bits are none in JSON
    return [one.service, one.name, *ids, one.began_ns, one.duration_ns, attributes, one.error]


def _short(value: object) -> str | int | float | bool | None:
    plain = value if isinstance(value, str | int | float | bool | None) else str(value)
    return plain[:ATTRIBUTE_CHARACTERS_MAX] if isinstance(plain, str) else plain


def _operation(
    service: str,
    name: str,
    trace: str,
    span: str,
    parent: str,
    began_ns: int,
    took_ns: int,
    attributes: dict[str, Any],
    error: str,
) -> Operation:
    ids = (int(trace, 16), int(span, 16), int(parent, 16))
    return Operation(str(service), str(name), *ids, int(began_ns), int(took_ns), dict(attributes), str(error))


def listener_message(listener: str, threshold_ns: int, for_s: float) -> bytes:
    """Somebody who wants to hear of operations at least that long, for so many seconds from now."""
    return json.dumps({"listener": listener, "threshold_ms": threshold_ns / NS_PER_MS, "for_s": for_s}).encode()


def read_listener(message: bytes) -> tuple[str, int, float]:
    """Name, threshold in nanoseconds, seconds. DataError when the message is none of `listener_message`."""
    try:
        found = json.loads(message)
        threshold_ns, for_s = int(found["threshold_ms"] * NS_PER_MS), float(found["for_s"])
        if threshold_ns < 0 or not 0 <= for_s <= 60:
            raise ValueError("out of range")
        return str(found["listener"]), threshold_ns, for_s
    except (ValueError, KeyError, TypeError) as error:
        raise DataError("listener", message[:80], f"cannot be read ({error!r})", "who else publishes there?") from None


def rollup_subject(rollup: Rollup, part: int) -> str:
    return f"{ROLLUPS}.{rollup.service}.{rollup.instance}.{rollup.minute}.{part}"

"""Dead letters: messages that no consumer could work on, as they were, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nats.js.errors import NotFoundError

from mts1b.foundation.clock import to_ns
from mts1b.foundation.redaction import scrub
from mts1b.platform.eventbus.message import MESSAGE_ID, Message
from mts1b.platform.eventbus.streams import DEAD_PREFIX, DEAD_STREAM

REASON_CHARACTERS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that `durable` gave up on after `attempts`. `subject`, `message_id` and `payload` are the original's,
    `origin` its sequence in `stream`; `sequence` its place among the dead letters, `dead_ns` when it came there."""

    sequence: int
    dead_ns: int
    durable: str
    subject: str
    message_id: str
    stream: str
    origin: int
    attempts: int
    reason: str
    payload: bytes


def plain(reason: str) -> str:
    """A reason as one line, fit for a header and to be shown."""
    return " ".join(scrub(reason).split())[:REASON_CHARACTERS_MAX] or "no reason given"


def letter_of(message: Message[Any], stream: str, durable: str, reason: str) -> tuple[str, dict[str, str]]:
    """Subject and headers of a dead letter. Its id is the same however often it is written."""
    headers = {
        **{name: value for name, value in message.headers.items() if name != MESSAGE_ID},
        MESSAGE_ID: f"{stream}.{durable}.{message.place}",
        "Mts-Message-Id": message.message_id,
        "Mts-Subject": message.subject,
        "Mts-Durable": durable,
        "Mts-Stream": stream,
        "Mts-Origin": str(message.sequence),
        "Mts-Attempts": str(message.attempts),
        "Mts-Reason": plain(reason),
    }
    return f"{DEAD_PREFIX}.{durable}.{message.subject}", headers


async def read_letters(stream: Any, durable: str | None, last: int) -> list[DeadLetter]:
    """The `last` newest, oldest of them first; of one durable consumer if named. Errors are the client's."""
    state = (await stream.stream_info(DEAD_STREAM)).state
    subject = f"{DEAD_PREFIX}.{durable or '*'}.>"
    found: list[DeadLetter] = []
    sequence = state.first_seq
    while sequence <= state.last_seq:
        raw = await next_stored(stream, sequence, subject)
        if raw is None:
            break
        found.append(_letter(raw.seq, to_ns(raw.time), raw.headers or {}, raw.data or b""))
        del found[:-last]
        sequence = raw.seq + 1
    return found


async def next_stored(stream: Any, sequence: int, subject: str) -> Any:
    """The first stored message from `sequence` on, None behind the last."""
    try:
        return await stream.get_msg(DEAD_STREAM, sequence, subject=subject, direct=True, next=True)
    except NotFoundError:
        return None


def _letter(sequence: int, dead_ns: int, headers: Mapping[str, str], payload: bytes) -> DeadLetter:
    return DeadLetter(
        sequence=sequence,
        dead_ns=dead_ns,
        durable=headers.get("Mts-Durable", ""),
        subject=headers.get("Mts-Subject", ""),
        message_id=headers.get("Mts-Message-Id", ""),
        stream=headers.get("Mts-Stream", ""),
        origin=int(headers.get("Mts-Origin", 0)),
        attempts=int(headers.get("Mts-Attempts", 0)),
        reason=headers.get("Mts-Reason", ""),
        payload=payload,
    )

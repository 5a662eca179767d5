"""Where events are stored: one stream for the platform, one for dead letters, others as their owners ask."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from nats.js.api import DiscardPolicy, StreamConfig
from nats.js.errors import BadRequestError, NotFoundError

PLATFORM_STREAM = "mts"
DEAD_STREAM = "mts-dead"
DEAD_PREFIX = "mts.dead"

DUPLICATE_WINDOW_S = 86_400.0
"""How long JetStream remembers message ids: as long as an outbox row may wait to be sent again, a day."""

STREAM_BYTES_MAX = 1 << 30
"""Stored bytes of one stream; the oldest events go first."""

_VERSIONED = re.compile(r"(mts\.v[1-9]\d*)\..+")


def home_of(subject: str) -> tuple[str, str] | None:
    """The platform's own stream for a subject, and the subjects of it that must be stored there; None: not ours."""
    if subject.startswith(f"{DEAD_PREFIX}."):
        return DEAD_STREAM, f"{DEAD_PREFIX}.>"
    match = _VERSIONED.fullmatch(subject)
    return (PLATFORM_STREAM, f"{match.group(1)}.>") if match else None


async def ensure_stream(stream: Any, name: str, subjects: Sequence[str]) -> None:
    """Create the stream, or add the subjects it lacks. It loses none: another version of this program may need them."""
    wanted = StreamConfig(
        name=name,
        subjects=list(subjects),
        max_bytes=STREAM_BYTES_MAX,
        discard=DiscardPolicy.OLD,
        duplicate_window=DUPLICATE_WINDOW_S,
        allow_direct=True,
    )
    try:
        held = (await stream.stream_info(name)).config
    except NotFoundError:
        held = await _added(stream, wanted)
    missing = [subject for subject in subjects if subject not in (held.subjects or ())]
    if missing:
        await stream.update_stream(held.evolve(subjects=[*(held.subjects or ()), *missing]))


async def _added(stream: Any, wanted: StreamConfig) -> StreamConfig:
    """The stream's configuration once it is there, made by this process or by a faster one with other subjects."""
    try:
        return (await stream.add_stream(wanted)).config
    except BadRequestError as refused:
        try:
            return (await stream.stream_info(wanted.name)).config
        except NotFoundError:
            raise refused from None


async def stream_of(stream: Any, subject: str) -> str | None:
    """The stream that stores a subject, wildcards allowed; None when there is none."""
    try:
        return str(await stream.find_stream_name_by_subject(subject))
    except NotFoundError:
        return None

"""Publishing on a local bus: how long until the server has an event, and until it is stored, beside bare nats-py."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from mts1b.bench.eventbus_peer import BareBus
from mts1b.bench.far_line import proxied
from mts1b.bench.result import BenchResult
from mts1b.bench.session import Session
from mts1b.config import load_settings
from mts1b.deploy import stack
from mts1b.foundation.clock import NS_PER_MS, NS_PER_S
from mts1b.foundation.errors import InvariantBroken
from mts1b.platform.eventbus import EventBus, connect
from mts1b.platform.events import Encoded, Event, encode, event

EVENTS, WARM, IN_FLIGHT = 5_000, 200, 100
FAR_EVENTS, ROUND_TRIPS_MS = 30, (10, 100)
"""Between regions, as the source says."""

SOURCE_ACK_P99_MS, SOURCE_DURABLE_ADDS_MS = 1.0, 3.0
"""What the source says of a local cluster: below 1 ms, and 1 to 3 ms more for the disk."""


class NoteWritten(Event):
    """As long as a fill."""

    note_id: str
    text: str = "x" * 200


event("bench.notes.written", key="note_id")(NoteWritten)

Send = Callable[[NoteWritten], Awaitable[object]]


def eventbus(session: Session) -> BenchResult:
    """Milliseconds until a publish is confirmed, over 5,000 events, ours and nats-py's by turns on one server.

    `publish_ack`: sent and flushed; `publish_durable`: stored by JetStream, in a file; `publish_100_ms_away`: stored by
    a server at the end of a line that takes so long for both ways. Before: both store the same messages, and a repeated
    id once. InvariantBroken when they do not.
    """
    with tempfile.TemporaryDirectory(prefix="mts1b-bench-") as folder:
        settings = load_settings(data_dir=Path(folder) / "data")
        try:
            url = stack.up(settings, session.clock, parts=("nats",)).nats_url
            return asyncio.run(_measure(session, url))
        finally:
            stack.down(settings, session.clock)


async def _measure(session: Session, url: str) -> BenchResult:
    bus, bare = await connect(url), await BareBus.connect(url)
    try:
        session.tell("equal results")
        await require_same_messages(bus, bare, session.size(1_000, 20))
        events = session.size(EVENTS, 30)
        session.tell("sent")
        ack = await by_turns(session, events, ("ack", bus.publish_sent), ("bare-ack", bare.publish_sent))
        session.tell("stored")
        durable = await by_turns(session, events, ("kept", bus.publish_typed), ("bare-kept", bare.publish_stored))
        per_s = await pipelined(session, bus, events)
        session.tell("far away")
        away = {round_trip_ms: await far(session, url, round_trip_ms) for round_trip_ms in ROUND_TRIPS_MS}
    finally:
        await bus.close()
        await bare.close()
    found = _result(events, ack, durable, per_s)
    distant = {f"publish_{ms}_ms_away_p50_ms": p50 for ms, p50 in away.items()}
    return replace(found, figures={**found.figures, **distant})


def _result(
    events: int, ack: tuple[list[float], list[float]], durable: tuple[list[float], list[float]], per_s: float
) -> BenchResult:
    figures: dict[str, float] = {"events": events, "stored_per_s": per_s}
    versus: dict[str, float] = {}
    for name, (ours, theirs) in (("publish_ack", ack), ("publish_durable", durable)):
        for percent in (50, 99):
            figures[f"{name}_p{percent}_ms"] = float(np.percentile(ours, percent))
            versus[f"nats_py_{name}_p{percent}_ms"] = float(np.percentile(theirs, percent))
        versus[f"{name}_ratio_to_nats_py"] = versus[f"nats_py_{name}_p50_ms"] / figures[f"{name}_p50_ms"]
    figures["durable_adds_p50_ms"] = figures["publish_durable_p50_ms"] - figures["publish_ack_p50_ms"]
    allowed = {"publish_ack": SOURCE_ACK_P99_MS, "publish_durable": SOURCE_ACK_P99_MS + SOURCE_DURABLE_ADDS_MS}
    for name, allowed_ms in allowed.items():
        versus[f"source_{name}_p99_ms"] = allowed_ms
        versus[f"{name}_ratio_to_source"] = allowed_ms / figures[f"{name}_p99_ms"]
    return BenchResult("eventbus", figures, versus)


async def by_turns(
    session: Session, events: int, ours: tuple[str, Send], theirs: tuple[str, Send]
) -> tuple[list[float], list[float]]:
    """Milliseconds of each publish, the two senders taking turns, warmed up before."""
    took: tuple[list[float], list[float]] = ([], [])
    for number in range(-session.size(WARM, 5), events):
        for (name, send), times in zip((ours, theirs), took, strict=True):
            note = NoteWritten(note_id=f"{name}-{number}")
            began_ns = session.clock.monotonic_ns()
            await send(note)
            if number >= 0:
                times.append((session.clock.monotonic_ns() - began_ns) / NS_PER_MS)
    return took


async def pipelined(session: Session, bus: EventBus, events: int) -> float:
    """Stored events a second with IN_FLIGHT under way."""
    numbers = iter(range(events))

    async def one_after_another() -> None:
        for number in numbers:
            await bus.publish_typed(NoteWritten(note_id=f"pipelined-{number}"))

    began_ns = session.clock.monotonic_ns()
    await asyncio.gather(*(one_after_another() for _ in range(IN_FLIGHT)))
    return events * NS_PER_S / (session.clock.monotonic_ns() - began_ns)


async def far(session: Session, url: str, round_trip_ms: int) -> float:
    """The median of what a publish takes, one after another, through a proxy that holds every byte back. In ms."""
    server = urlsplit(url)
    events = session.size(FAR_EVENTS, 3)
    async with proxied(str(server.hostname), int(server.port or 0), round_trip_ms / 1e3) as proxy:
        bus = await connect(
            server._replace(netloc=f"{server.username}:{server.password}@127.0.0.1:{proxy.port}").geturl()
        )
        try:
            took = []
            for number in range(events):
                began_ns = session.clock.monotonic_ns()
                await bus.publish_typed(NoteWritten(note_id=f"far-{round_trip_ms}-{number}"))
                took.append((session.clock.monotonic_ns() - began_ns) / NS_PER_MS)
        finally:
            await bus.close()
    return float(np.median(took))


async def require_same_messages(bus: EventBus, bare: BareBus, events: int) -> None:
    """Both send the same events, each twice; InvariantBroken unless both streams hold each once, in order."""
    await bare.ensure_stream()
    sub = await bus.subscribe(NoteWritten, "bench-equal")
    wanted: list[Encoded] = []
    for number in range(events):
        note = NoteWritten(note_id=f"equal-{number}")
        wanted.append(encode(note))
        for _ in range(2):
            await bus.publish_typed(note)
            await bare.publish_stored(note)
    ours = []
    async for message in sub:
        ours.append(Encoded(message.subject, message.message_id, message.payload))
        await message.ack()
        if len(ours) == events:
            break
    theirs = await bare.stored()
    if extra := await sub.next_message(0.2):
        raise InvariantBroken("eventbus", extra.message_id, "a repeated id was stored twice")
    for name, found in (("ours", ours), ("nats-py", theirs)):
        if found != wanted:
            raise InvariantBroken("eventbus", name, f"{len(found)} messages stored, not the {events} that were sent")
    await sub.close()

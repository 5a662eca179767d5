"""A connection for what processes say of themselves: most of it is for whoever listens now, some is kept for a while.

What is kept replaces what its subject held before, so that saying it again changes nothing, and goes by age.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nats.errors import TimeoutError as NothingCame
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, DiscardPolicy, StreamConfig
from nats.js.errors import BadRequestError, NotFoundError

from mts1b.foundation.clock import iso
from mts1b.foundation.limits import CONNECT_TIMEOUT_S
from mts1b.platform.eventbus.client import lasting_client, server_of, translated
from mts1b.platform.rotation import Source, text_of

FETCH_MESSAGES = 500
FETCH_WAIT_S = 1.0


@dataclass(frozen=True, slots=True)
class Kept:
    """The stream of what is kept: the last message of each subject, for so many seconds, up to so many bytes."""

    name: str
    subjects: str
    age_s: float
    bytes_max: int


class Line:
    """Reconnects by itself, for ever. Every call raises StackError when the server does not answer in time."""

    def __init__(self, client: Any, server: str, kept: Kept) -> None:
        self._client, self._server, self._kept = client, server, kept
        self._stream: JetStreamContext = client.jetstream(timeout=CONNECT_TIMEOUT_S)

    async def tell(self, subject: str, payload: bytes) -> None:
        """Say something to whoever listens now."""
        with translated(self._server, subject):
            await self._client.publish(subject, payload)

    async def keep(self, subject: str, payload: bytes) -> None:
        """Store it in place of what the subject held before; returns once it is stored."""
        with translated(self._server, subject):
            await self._stream.publish(subject, payload, stream=self._kept.name)

    async def hear(self, subject: str, heard: Callable[[bytes], None]) -> None:
        """Call `heard` with everything that is said from now on; wildcards allowed. The server knows on return."""

        async def take(message: Any) -> None:
            heard(message.data)

        with translated(self._server, subject):
            await self._client.subscribe(subject, cb=take)
            await self._client.flush(int(CONNECT_TIMEOUT_S))

    async def kept_since(self, since_ns: int) -> list[bytes]:
        """What was stored since then (UTC) and has not been replaced, oldest first."""
        found: list[bytes] = []
        with translated(self._server, self._kept.name):
            config = ConsumerConfig(
                ack_policy=AckPolicy.NONE,
                deliver_policy=DeliverPolicy.BY_START_TIME,
                opt_start_time=iso(since_ns),  # type: ignore[arg-type]  # nats-py sends it as it is
            )
            puller = await self._stream.pull_subscribe(
                self._kept.subjects, durable=None, stream=self._kept.name, config=config
            )
            try:
                left = (await puller.consumer_info()).num_pending or 0
                while left:
                    batch = await puller.fetch(FETCH_MESSAGES, timeout=FETCH_WAIT_S)
                    found += [raw.data for raw in batch]
                    left = batch[-1].metadata.num_pending
            except NothingCame:  # the rest was replaced while we read
                pass
            finally:
                await puller.unsubscribe()
        return found

    async def close(self) -> None:
        """Send what is buffered and disconnect."""
        if not self._client.is_closed:
            await self._client.close()


async def connect_line(url: str | Source, kept: Kept, name: str, timeout_s: float = CONNECT_TIMEOUT_S) -> Line:
    """Connect, and make sure that the stream is there. StackError when the server does not answer or refuses."""
    client = await lasting_client(url, timeout_s, name, _nothing_to_do)
    server = server_of(await text_of(url))
    line = Line(client, server, kept)
    try:
        with translated(server, f"stream {kept.name}"):
            await _ensure(client.jetstream(timeout=timeout_s), kept)
    except BaseException:
        await line.close()
        raise
    return line


async def _nothing_to_do() -> None:
    """After a reconnection the client listens again by itself."""


async def _ensure(stream: JetStreamContext, kept: Kept) -> None:
    wanted = StreamConfig(
        name=kept.name,
        subjects=[kept.subjects],
        max_age=kept.age_s,
        max_bytes=kept.bytes_max,
        max_msgs_per_subject=1,
        discard=DiscardPolicy.OLD,
        duplicate_window=1.0,
    )
    try:
        held = (await stream.stream_info(kept.name)).config
    except NotFoundError:
        try:
            held = (await stream.add_stream(wanted)).config
        except BadRequestError:  # another process was faster, with the same wish
            held = (await stream.stream_info(kept.name)).config
    if (held.max_age, held.max_bytes) != (kept.age_s, kept.bytes_max):
        await stream.update_stream(held.evolve(max_age=kept.age_s, max_bytes=kept.bytes_max))

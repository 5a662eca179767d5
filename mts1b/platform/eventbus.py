"""NATS with JetStream: events leave with a message id and are seen once. The only module that imports nats.

Subjects are `mts.v1.<system>.<entity>.<event>`, as `mts.v1.oms.fills.created`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import nats
from nats import errors
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DiscardPolicy, StreamConfig
from nats.js.errors import Error as JetStreamError
from nats.js.errors import NotFoundError

from mts1b.foundation.errors import InputError, StackError
from mts1b.foundation.limits import CONNECT_TIMEOUT_S

DUPLICATE_WINDOW_S = 86_400.0
"""How long JetStream remembers message ids: as long as an outbox row may wait to be sent again, a day."""

STREAM_BYTES_MAX = 1 << 30
"""Stored bytes of one stream; the oldest events go first."""

ACK_WAIT_S = 30.0
"""How long a consumer may work on one message before another gets it."""

BATCH_MESSAGES = 64
"""Messages fetched at a time."""

ONCE: dict[str, Any] = {"allow_reconnect": False, "max_reconnect_attempts": 1, "reconnect_time_wait": 0.02}
"""Try, and give up soon. An attempt limit of 0 would mean none."""


@dataclass(frozen=True, slots=True)
class Message:
    """One event delivered to one durable consumer. `sequence` grows along the stream; `deliveries` starts at 1.

    `pending`: how many more there were for this consumer when this one was sent.
    """

    subject: str
    payload: bytes
    message_id: str
    sequence: int
    deliveries: int
    pending: int
    _raw: Any = field(repr=False, compare=False)

    async def ack(self) -> None:
        """Done with it: not delivered to this durable again. Waits until the server knows."""
        try:
            await self._raw.ack_sync(timeout=CONNECT_TIMEOUT_S)
        except (errors.Error, TimeoutError) as error:
            raise StackError("nats", self.subject, f"ack failed: {error!r}", "it is delivered again") from None


def server_of(url: str) -> str:
    """`host:port` of a URL: what may be shown, without the credentials."""
    parts = urlsplit(url)
    return f"{parts.hostname or 'localhost'}:{parts.port or 4222}"


class EventBus:
    """One connection. It reconnects by itself, for ever; a publish while it is away raises StackError."""

    def __init__(self, client: Any, server: str) -> None:
        self._client, self._server = client, server
        self._stream: JetStreamContext = client.jetstream(timeout=CONNECT_TIMEOUT_S)

    async def ensure_stream(self, name: str, subjects: Sequence[str]) -> None:
        """Create or update the stream that stores `subjects` (wildcards allowed) on disk."""
        wanted = StreamConfig(
            name=name,
            subjects=list(subjects),
            max_bytes=STREAM_BYTES_MAX,
            discard=DiscardPolicy.OLD,
            duplicate_window=DUPLICATE_WINDOW_S,
        )
        try:
            try:
                await self._stream.update_stream(wanted)
            except NotFoundError:
                await self._stream.add_stream(wanted)
        except (JetStreamError, errors.Error, TimeoutError) as error:
            raise self._failed(f"stream {name}", error) from None

    async def publish(self, subject: str, payload: bytes, message_id: str) -> int:
        """Store one event; returns its sequence number once it is on the server. A repeated id is stored once."""
        try:
            done = await self._stream.publish(subject, payload, headers={"Nats-Msg-Id": message_id})
        except (JetStreamError, errors.Error, TimeoutError, OSError) as error:
            raise self._failed(subject, error) from None
        return int(done.seq)

    async def subscribe(self, subject: str, durable: str) -> AsyncIterator[Message]:
        """Events of `subject` from the first one that `durable` has not acknowledged; never ends by itself.

        Consumers with the same durable name share the work. Unacknowledged messages come again after ACK_WAIT_S.
        """
        config = ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, ack_wait=ACK_WAIT_S, max_ack_pending=10 * BATCH_MESSAGES)
        try:
            puller = await self._stream.pull_subscribe(subject, durable=durable, config=config)
        except (JetStreamError, errors.Error, TimeoutError) as error:
            raise self._failed(subject, error) from None
        while not self._client.is_closed:
            try:
                batch = await puller.fetch(BATCH_MESSAGES, timeout=1.0)
            except (TimeoutError, errors.TimeoutError):
                continue
            except (errors.ConnectionClosedError, errors.BadSubscriptionError):
                return
            except (JetStreamError, errors.Error) as error:
                raise self._failed(subject, error) from None
            for raw in batch:
                yield _message(raw)

    async def close(self) -> None:
        """Send what is buffered and disconnect."""
        if not self._client.is_closed:
            await self._client.close()

    def _failed(self, what: str, error: BaseException) -> StackError:
        text = str(error) or type(error).__name__
        return StackError("nats", self._server, f"{what}: {text}", "see `mts status`")


def _message(raw: Any) -> Message:
    return Message(
        subject=raw.subject,
        payload=raw.data,
        message_id=(raw.headers or {}).get("Nats-Msg-Id", ""),
        sequence=raw.metadata.sequence.stream,
        deliveries=raw.metadata.num_delivered,
        pending=raw.metadata.num_pending,
        _raw=raw,
    )


async def _quiet(_error: Exception) -> None:
    """Connection errors surface from the calls that meet them; the client's own log line adds nothing."""


async def _connect(url: str, timeout_s: float, **options: Any) -> Any:
    try:
        async with asyncio.timeout(timeout_s):
            return await nats.connect(url, connect_timeout=timeout_s, error_cb=_quiet, **options)
    except ValueError as error:
        raise InputError("eventbus.url", server_of(url), str(error), "give nats://user@host:port") from None
    except (errors.Error, OSError, TimeoutError) as error:
        problem = str(error) or "no answer"
        raise StackError("nats", server_of(url), problem, "run `mts up`") from None


async def connect(url: str, timeout_s: float = CONNECT_TIMEOUT_S) -> EventBus:
    """Connect. StackError when the server does not answer within `timeout_s` or refuses the credentials."""
    await ping(url, timeout_s)  # the reconnecting client below would try for ever
    client = await _connect(url, timeout_s, max_reconnect_attempts=-1, reconnect_time_wait=0.2)
    return EventBus(client, server_of(url))


async def ping(url: str, timeout_s: float = CONNECT_TIMEOUT_S) -> str:
    """The server's version. StackError when it does not answer in time."""
    client = await _connect(url, timeout_s, **ONCE)
    try:
        version = client.connected_server_version
        return f"{version.major}.{version.minor}.{version.patch}"
    finally:
        await client.close()

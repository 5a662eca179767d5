"""The same publishes with nats-py alone, on a stream of their own: what a user would write without this platform."""

from __future__ import annotations

import nats
from nats.aio.client import Client
from nats.js import JetStreamContext

from mts1b.platform.events import Encoded, Event, encode

STREAM, PREFIX = "bare", "bare."
ID = "Nats-Msg-Id"


class BareBus:
    """One connection of nats-py."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._stream: JetStreamContext = client.jetstream()

    @classmethod
    async def connect(cls, url: str) -> BareBus:
        return cls(await nats.connect(url))

    async def ensure_stream(self) -> None:
        """A stream like the platform's: in a file, with message ids remembered for a day."""
        await self._stream.add_stream(name=STREAM, subjects=[f"{PREFIX}>"], duplicate_window=86_400)

    async def publish_sent(self, happened: Event) -> None:
        """Publish and flush: the server has it."""
        encoded = encode(happened)
        await self._client.publish(PREFIX + encoded.subject, encoded.payload, headers={ID: encoded.message_id})
        await self._client.flush()

    async def publish_stored(self, happened: Event) -> None:
        """Publish to the stream: it is on disk."""
        encoded = encode(happened)
        await self._stream.publish(PREFIX + encoded.subject, encoded.payload, headers={ID: encoded.message_id})

    async def stored(self) -> list[Encoded]:
        """Every message of the stream."""
        state = (await self._stream.stream_info(STREAM)).state
        found = []
        for sequence in range(state.first_seq, state.last_seq + 1):
            raw = await self._stream.get_msg(STREAM, sequence)
            assert raw.subject is not None and raw.headers is not None
            found.append(Encoded(raw.subject.removeprefix(PREFIX), raw.headers[ID], raw.data or b""))
        return found

    async def close(self) -> None:
        await self._client.close()

"""One connection to the bus: typed events out, durable subscriptions in, and how far behind its readers are."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from nats import errors
from nats.js import JetStreamContext
from nats.js.errors import NoStreamResponseError

from mts1b.foundation.errors import InputError, StackError
from mts1b.foundation.limits import CONNECT_TIMEOUT_S
from mts1b.platform.eventbus.attempts import AttemptNotes
from mts1b.platform.eventbus.client import FAILURES, failure, lasting_client, server_of, translated
from mts1b.platform.eventbus.consume import Subscription
from mts1b.platform.eventbus.dead import DeadLetter, read_letters
from mts1b.platform.eventbus.lag import ConsumerLag, lags
from mts1b.platform.eventbus.message import MESSAGE_ID, wire_id
from mts1b.platform.eventbus.pull import Pull
from mts1b.platform.eventbus.streams import DEAD_PREFIX, ensure_stream, home_of, stream_of
from mts1b.platform.eventbus.terms import Terms, ensure_consumer
from mts1b.platform.events import Event, encode, registered_model
from mts1b.platform.rotation import Source, text_of
from mts1b.platform.telemetry import outgoing, span

E = TypeVar("E", bound=Event)

REPEAT_AFTER_S = 1.0
"""How long to wait for the server to confirm an event before it is sent again, under the same id."""

PAUSE_S = 0.1
"""Before an event is sent again to a server that has just come back and does not store events yet."""


@dataclass(frozen=True, slots=True)
class Published:
    """Where an event is stored. `is_duplicate`: it was there already, under the same id."""

    stream: str
    sequence: int
    is_duplicate: bool


class EventBus:
    """One connection. It reconnects by itself, for ever; a publish that the server does not confirm in time raises."""

    def __init__(self, client: Any, server: str) -> None:
        self._client, self._server = client, server
        self._stream: JetStreamContext = client.jetstream(timeout=CONNECT_TIMEOUT_S)
        self._homes: set[str] = set()
        self._housed: set[str] = set()
        self._making = asyncio.Lock()
        self._subscriptions: weakref.WeakSet[Subscription[Any]] = weakref.WeakSet()

    @property
    def is_closed(self) -> bool:
        """It was closed and stays so."""
        return bool(self._client.is_closed)

    async def ensure_stream(self, name: str, subjects: Sequence[str]) -> None:
        """Create the stream that stores `subjects` (wildcards allowed) on disk, or add those it lacks.

        The platform's own subjects need no such call.
        """
        with translated(self._server, f"stream {name}"):
            await ensure_stream(self._stream, name, subjects)

    async def publish_typed(self, happened: Event, timeout_s: float = CONNECT_TIMEOUT_S) -> Published:
        """Publish an event of a registered model under its subject, its key as message id, with the trace context.

        Returns once it is stored. StackError when that takes longer than `timeout_s`: it may be stored all the same,
        and publishing it again is harmless for a day.
        """
        encoded = encode(happened)
        return await self.publish(encoded.subject, encoded.payload, encoded.message_id, timeout_s)

    async def publish_sent(self, happened: Event, timeout_s: float = CONNECT_TIMEOUT_S) -> None:
        """The same, but returns once the server has it: sooner, and whether it is stored is not known."""
        encoded = encode(happened)
        await self._ensure_home(encoded.subject)
        with span("eventbus.publish_sent", subject=encoded.subject), translated(self._server, encoded.subject):
            headers = _headers(encoded.subject, encoded.message_id)
            await self._client.publish(encoded.subject, encoded.payload, headers=headers)
            await self._client.flush(timeout_s)

    async def publish(
        self, subject: str, payload: bytes, message_id: str, timeout_s: float = CONNECT_TIMEOUT_S
    ) -> Published:
        """Store one event that `encode` made, perhaps in another process; see `publish_typed`.

        A repeated id of the same subject is stored once.
        """
        if subject not in self._housed:
            await self._ensure_home(subject)
        with span("eventbus.publish", subject=subject):
            return await self._send(subject, payload, _headers(subject, message_id), timeout_s)

    async def _send(self, subject: str, payload: bytes, headers: dict[str, str], timeout_s: float) -> Published:
        """Send until the server confirms, each time under the same id: what arrived twice is stored once."""
        until_s = self._now_s() + timeout_s
        wait_s = min(timeout_s, REPEAT_AFTER_S)
        while wait_s > 0:
            try:
                done = await self._stream.publish(subject, payload, timeout=wait_s, headers=headers)
                return Published(done.stream, done.seq, bool(done.duplicate))
            except (errors.TimeoutError, TimeoutError):
                pass
            except NoStreamResponseError:
                await self._wait_for_home(subject)
            except FAILURES as error:
                raise failure(self._server, subject, error) from None
            wait_s = min(until_s - self._now_s(), REPEAT_AFTER_S)
        remedy = "it may be stored all the same: publish it again, under the same id"
        raise StackError("nats", self._server, f"{subject}: not confirmed within {timeout_s:g} s", remedy)

    @overload
    async def subscribe(self, subject: str, durable: str, **terms: Any) -> Subscription[Event]: ...
    @overload
    async def subscribe(self, subject: type[E], durable: str, **terms: Any) -> Subscription[E]: ...
    async def subscribe(self, subject: str | type[E], durable: str, **terms: Any) -> Subscription[Any]:
        """An instance of the durable consumer `durable`: its messages from the first one it has not acknowledged.

        `subject` may be a registered model: then what does not fit the model goes to the dead letters. Instances with
        the same durable name, in any process, share the work. `terms`: max_ack_pending, ack_wait_s, attempts_max,
        backoff_s, prefetch, since (`terms.Terms`). InputError when the durable reads another subject already.
        """
        wanted = Terms(durable, **terms)
        model = None if isinstance(subject, str) else subject
        name = subject if isinstance(subject, str) else registered_model(subject).subject
        await self._ensure_home(name)
        with translated(self._server, name):
            stream = await stream_of(self._stream, name)
            if stream is None:
                raise InputError("subject", name, "is stored in no stream", "call ensure_stream() for it first")
            await ensure_consumer(self._stream, stream, name, wanted)
            pull = Pull(self._client, self._stream, (stream, durable), wanted.ahead, wanted.ack_wait_s)
            notes = AttemptNotes(self._stream, stream, durable)
            found: Subscription[Any] = Subscription(pull, notes, self._send_letter, wanted, stream, model)
            await pull.start(found)
        self._subscriptions.add(found)
        return found

    async def dead_letters(self, durable: str | None = None, last: int = 100) -> list[DeadLetter]:
        """The `last` newest dead letters, oldest of them first; of one durable consumer if named."""
        await self._ensure_home(f"{DEAD_PREFIX}.>")
        with translated(self._server, "dead letters"):
            return await read_letters(self._stream, durable, last)

    async def lags(self) -> list[ConsumerLag]:
        """How far every durable consumer of every stream is behind."""
        with translated(self._server, "consumers"):
            return await lags(self._stream)

    async def close(self) -> None:
        """End the subscriptions, send what is buffered and disconnect."""
        for subscription in tuple(self._subscriptions):
            await subscription.close()
        if not self._client.is_closed:
            await self._client.close()

    async def reconnected(self) -> None:
        """The connection was lost and is back: what was asked of the server must be asked again."""
        for subscription in tuple(self._subscriptions):
            await subscription.reconnected()

    async def _send_letter(self, subject: str, payload: bytes, headers: dict[str, str]) -> None:
        await self._ensure_home(subject)
        await self._send(subject, payload, headers, CONNECT_TIMEOUT_S)

    async def _ensure_home(self, subject: str) -> None:
        """The platform's own streams are there before the first event of this process needs them."""
        if subject in self._housed:
            return
        home = home_of(subject)
        if home is None:
            return
        async with self._making:  # in turn: what is published first is stored first
            if home[1] not in self._homes:
                await self.ensure_stream(home[0], [home[1]])
                self._homes.add(home[1])
        self._housed.add(subject)

    async def _wait_for_home(self, subject: str) -> None:
        """Nobody stores the subject: the server has just come back or its streams are gone; else it is an error."""
        home = home_of(subject)
        if home is None:
            raise StackError("nats", self._server, f"{subject}: stored in no stream", "call ensure_stream() for it")
        self._homes.discard(home[1])
        self._housed.clear()
        await asyncio.sleep(PAUSE_S)
        await self._ensure_home(subject)

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()


def _headers(subject: str, message_id: str) -> dict[str, str]:
    """InputError when the id cannot stand in a header."""
    if not message_id.isprintable() or not message_id.strip():
        raise InputError("message_id", message_id, "is no id", "give visible characters on one line")
    return {MESSAGE_ID: wire_id(subject, message_id), **outgoing()}


async def connect(url: str | Source, timeout_s: float = CONNECT_TIMEOUT_S, name: str = "mts1b") -> EventBus:
    """Connect, by a URL or by where it is kept. StackError: no answer within `timeout_s`, or credentials refused."""
    buses: list[EventBus] = []

    async def reconnected() -> None:
        for bus in buses:
            await bus.reconnected()

    client = await lasting_client(url, timeout_s, name, reconnected)
    buses.append(EventBus(client, server_of(await text_of(url))))
    return buses[0]

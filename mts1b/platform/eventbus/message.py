"""One event in the hands of one consumer: acknowledged, tried again later, or put among the dead letters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from mts1b.platform.events import Event, decode, decode_as

E = TypeVar("E", bound=Event)

MESSAGE_ID = "Nats-Msg-Id"


def wire_id(subject: str, message_id: str) -> str:
    """The id that the server compares, over all subjects of a stream: two of the same key on two subjects are two."""
    return f"{subject}|{message_id}"


def own_id(subject: str, headers: Mapping[str, str]) -> str:
    """The publisher's id of a received message."""
    return headers.get(MESSAGE_ID, "").removeprefix(f"{subject}|")


class Settler(Protocol):
    """What ends a delivery, one way or another."""

    async def ack(self, message: Message[Any]) -> None: ...

    async def retry(self, message: Message[Any], reason: str, delay_s: float | None) -> None: ...

    async def reject(self, message: Message[Any], reason: str) -> None: ...

    async def working(self, message: Message[Any]) -> None: ...


@dataclass(frozen=True, slots=True)
class Message(Generic[E]):
    """One event delivered to one durable consumer. `sequence` grows along the stream; `deliveries` starts at 1.

    `stored_ns`: when the server stored it, UTC. `attempts`: how often a consumer began to work on it, this time
    included. `pending`: how many more there were for this durable when this one was sent.
    """

    subject: str
    payload: bytes
    message_id: str
    sequence: int
    deliveries: int
    pending: int
    stored_ns: int
    attempts: int = 1
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    model: type[E] | None = field(default=None, repr=False, compare=False)
    _settler: Settler = field(repr=False, compare=False, kw_only=True)
    _raw: Any = field(repr=False, compare=False, kw_only=True)

    @property
    def place(self) -> str:
        """Which message of the stream it is, for ever: a stream that is made anew counts from 1 again."""
        return f"{self.sequence}-{self.stored_ns}"

    @property
    def event(self) -> E:
        """The payload as its registered model. UnknownNameError: not registered here; DataError: broken."""
        if self.model is not None:
            return decode_as(self.model, self.payload)
        return decode(self.subject, self.payload)  # type: ignore[return-value]

    @property
    def is_settled(self) -> bool:
        """Acknowledged, given back or rejected already."""
        return bool(self._raw.is_acked)

    async def ack(self) -> None:
        """Done with it: not delivered to this durable again. Waits until the server knows; StackError when it does not
        answer: it may be delivered again."""
        await self._settler.ack(self)

    async def retry(self, reason: str, delay_s: float | None = None) -> None:
        """It failed: deliver it again, later each time. After the last attempt it goes to the dead letters."""
        await self._settler.retry(self, reason, delay_s)

    async def reject(self, reason: str) -> None:
        """It will never succeed: put it among the dead letters at once."""
        await self._settler.reject(self, reason)

    async def working(self) -> None:
        """Still at it: the time until another consumer gets it begins again."""
        await self._settler.working(self)


def message_of(raw: Any, settler: Settler, model: type[E] | None = None, attempts: int = 1) -> Message[E]:
    """The client's message as ours."""
    headers: Mapping[str, str] = raw.headers or {}
    meta = raw.metadata
    return Message(
        subject=raw.subject,
        payload=raw.data,
        message_id=own_id(raw.subject, headers),
        sequence=meta.sequence.stream,
        deliveries=meta.num_delivered,
        pending=meta.num_pending,
        stored_ns=_stored_ns(raw.reply),
        attempts=attempts,
        headers=headers,
        model=model,
        _settler=settler,
        _raw=raw,
    )


def _stored_ns(reply: str) -> int:
    """The time in `$JS.ACK.<domain>.<account>.<stream>.<consumer>.<delivered>.<sequence>.<consumed>.<time>.<pending>`,
    which older servers write without the domain and account."""
    tokens = reply.split(".")
    return int(tokens[7 if len(tokens) == 9 else 9])

"""The event bus in memory: each message id is kept once, as JetStream does."""

from __future__ import annotations

from dataclasses import dataclass

from mts1b.foundation.errors import StackError


@dataclass(frozen=True, slots=True)
class Published:
    subject: str
    payload: bytes
    message_id: str


class MemoryBus:
    """Takes what is published and keeps it in `published`, repeats of a message id left out."""

    def __init__(self) -> None:
        self.published: list[Published] = []
        self.is_down = False
        self._seen: set[str] = set()

    async def publish(self, subject: str, payload: bytes, message_id: str) -> None:
        """StackError while `is_down`."""
        if self.is_down:
            raise StackError("nats", "memory", "is down", "set is_down to False")
        if message_id not in self._seen:
            self._seen.add(message_id)
            self.published.append(Published(subject, payload, message_id))

"""How often a consumer began to work on a message, kept on the server for those that are delivered again.

The server counts deliveries. They are not attempts: of the messages that a killed process held, it had begun one. If
deliveries were counted, a poisonous message that kills its consumers would take its innocent neighbours with it to the
dead letters. So an attempt on a message delivered before is written down before it begins. A first delivery is not:
that would cost every message a write. A process killed in its very first attempt at a message is therefore not counted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from nats.js.errors import KeyNotFoundError, NotFoundError

BUCKET = "mts-attempts"
KEPT_S = 7 * 86_400.0
"""A message that is not tried for a week begins anew."""

BYTES_MAX = 64 << 20


@dataclass(frozen=True, slots=True)
class Note:
    """Attempts begun so far, and why the last one failed, if it could tell."""

    attempts: int = 0
    reason: str = ""


class AttemptNotes:
    """The notes of one durable consumer on one stream, by `Message.place`. Errors are the client's."""

    def __init__(self, stream: Any, stream_name: str, durable: str) -> None:
        self._stream, self._prefix = stream, f"{stream_name}.{durable}"
        self._bucket: Any = None

    async def read(self, place: str) -> Note:
        bucket = await self._open()
        try:
            entry = await bucket.get(f"{self._prefix}.{place}")
        except KeyNotFoundError:
            return Note()
        return Note(**json.loads(entry.value))

    async def write(self, place: str, note: Note) -> None:
        bucket = await self._open()
        text = json.dumps({"attempts": note.attempts, "reason": note.reason})
        await bucket.put(f"{self._prefix}.{place}", text.encode())

    async def forget(self, place: str) -> None:
        """Remove the note without a trace: a marker for each would fill the bucket."""
        await self._stream.purge_stream(f"KV_{BUCKET}", subject=f"$KV.{BUCKET}.{self._prefix}.{place}")

    async def _open(self) -> Any:
        if self._bucket is None:
            try:
                self._bucket = await self._stream.key_value(BUCKET)
            except NotFoundError:
                self._bucket = await self._stream.create_key_value(bucket=BUCKET, ttl=KEPT_S, max_bytes=BYTES_MAX)
        return self._bucket

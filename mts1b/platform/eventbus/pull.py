"""The stream of messages that one instance of a durable consumer asks for, ahead of its work.

An instance asks for at most `prefetch` messages beyond what it has handed out, so that the others find work too. What
waits in its buffer is kept alive at the server; what was not, because the process stood still for too long, is thrown
away unseen: by then another instance has it.
"""

from __future__ import annotations

import asyncio
import json
import weakref
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from nats import errors
from nats.js.errors import Error as JetStreamError
from nats.js.errors import NotFoundError

from mts1b.foundation.errors import StackError

REQUEST_S = 30.0
"""How long one request waits at the server before it is made anew."""

HEARTBEAT_S = 2.0
"""How often the server says that a request still waits; two and a half times of silence, and it is made anew."""

RETRY_S = 0.25
"""Between two attempts to reach a consumer that does not answer, as while its server starts again."""

HOLD_S = 300.0
"""How long messages in the buffer are kept alive while nobody takes any; then others get them."""

ALIVE_SHARE = 0.8
"""Share of the acknowledgement wait after which a message that nobody kept alive counts as someone else's."""

_NS = 1_000_000_000


@dataclass(slots=True)
class Held:
    """A message in the buffer, ours until `until_s` of the loop's time."""

    raw: Any
    until_s: float


class Pull:
    """Requests, buffer and heartbeat of one instance. `await start()` first; `await close()` gives back what it holds.

    `dropped` counts the messages thrown away unseen.
    """

    def __init__(self, client: Any, stream: Any, names: tuple[str, str], prefetch: int, ack_wait_s: float) -> None:
        self._client, self._stream, self._names = client, stream, names
        self._prefetch, self._ack_wait_s = prefetch, ack_wait_s
        self._inbox = client.new_inbox()
        self._held: deque[Held] = deque()
        self._outstanding = 0
        self._arrived = asyncio.Event()
        self._failure: StackError | None = None
        self._is_closed = False
        self._takers = 0
        self._heard_s = self._read_s = self._taken_s = 0.0
        self._owner: weakref.ref[object] = weakref.ref(self)
        self._tasks: set[asyncio.Task[None]] = set()
        self._subscription: Any = None
        self.dropped = 0

    @property
    def is_gone(self) -> bool:
        """The durable no longer exists at the server."""
        return self._failure is not None

    async def start(self, owner: object) -> None:
        """Listen, and ask for the first messages, for as long as `owner` lives. Errors are the client's."""
        self._owner = weakref.ref(owner)
        self._read_s = self._taken_s = self._now_s()
        self._subscription = await self._client.subscribe(f"{self._inbox}.*", cb=self._receive)
        await self._ask()
        self._spawn(self._tend())

    async def take(self) -> Any:
        """The next message. StopAsyncIteration once closed, StackError when the consumer is gone."""
        self._taken_s = self._now_s()
        while not (self._is_closed or self._client.is_closed):
            while self._held:
                first = self._held.popleft()
                if self._now_s() < first.until_s:
                    await self._ask()
                    return first.raw
                self.dropped += 1
            if self._failure is not None:
                raise self._failure
            await self._wait()
        raise StopAsyncIteration

    async def _wait(self) -> None:
        self._arrived.clear()
        self._takers += 1
        try:
            await self._ask()
            await self._arrived.wait()
        finally:
            self._takers -= 1

    def give_back(self, raw: Any) -> None:
        """A message taken just now and not worked on after all: the next one to be taken."""
        self._held.appendleft(Held(raw, self._until_s()))
        self._arrived.set()

    async def close(self) -> None:
        """Stop asking; what waits in the buffer goes to the other instances now."""
        self._is_closed = True
        self._arrived.set()
        others = self._tasks - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        with suppress(errors.Error, JetStreamError, OSError):  # a lost connection gives them back by itself, later
            await self._subscription.unsubscribe()
            while self._held:
                await self._held.popleft().raw.nak()

    async def ask_anew(self) -> None:
        """The server has forgotten what was asked of it: it was started again, or the connection was."""
        self._outstanding = 0
        await self._ask()

    async def _ask(self) -> None:
        """Ask for as many as there is room for, once that is half of all; at least for those who wait."""
        limit = max(self._prefetch, self._takers)
        room = limit - len(self._held) - self._outstanding
        if self._is_closed or self._failure is not None or room < 1 or 2 * room < limit:
            return
        self._outstanding += room
        self._heard_s = self._now_s()
        wanted = {"batch": room, "expires": int(REQUEST_S * _NS), "idle_heartbeat": int(HEARTBEAT_S * _NS)}
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._names[0]}.{self._names[1]}"
        with suppress(errors.Error, OSError):  # asked again when no heartbeat comes
            await self._client.publish(subject, json.dumps(wanted).encode(), f"{self._inbox}.{id(wanted)}")

    async def _receive(self, raw: Any) -> None:
        """What the server sends: a message, or how a request ended."""
        self._heard_s = self._now_s()
        status = None if raw.reply.startswith("$JS.ACK.") else (raw.headers or {}).get("Status")
        if status is None:
            self._outstanding = max(0, self._outstanding - 1)
            self._held.append(Held(raw, self._until_s()))
            self._arrived.set()
        elif status == "408":
            left = int(raw.headers.get("Nats-Pending-Messages", self._outstanding))
            self._outstanding = max(0, self._outstanding - left)
            await self._ask()
        elif status != "100":
            self._spawn(self._look_again())

    async def _look_again(self) -> None:
        """A request was refused: ask again if the consumer is still there."""
        await asyncio.sleep(RETRY_S)
        try:
            await self._stream.consumer_info(*self._names)
        except NotFoundError:
            self._fail("is gone", "subscribe again")
        except (errors.Error, JetStreamError, TimeoutError, OSError):
            return  # away: asked again when no heartbeat comes
        else:
            await self.ask_anew()

    async def _tend(self) -> None:
        """Keep the buffer alive at the server, and notice when it has fallen silent."""
        rest_s = min(HEARTBEAT_S / 2, self._ack_wait_s / 8)
        last_s = alive_s = self._now_s()
        while not self._client.is_closed:
            await asyncio.sleep(rest_s)
            now_s = self._now_s()
            self._read_s, last_s = last_s, now_s
            if self._owner() is None:
                return await self.close()
            if now_s - alive_s >= self._ack_wait_s / 4 and (self._takers or now_s - self._taken_s < HOLD_S):
                alive_s = now_s
                await self._keep_alive(now_s)
            if now_s - self._heard_s > 2.5 * HEARTBEAT_S:
                await self.ask_anew()
        self._arrived.set()

    async def _keep_alive(self, now_s: float) -> None:
        for held in tuple(self._held):
            if now_s < held.until_s:
                with suppress(errors.Error, OSError):
                    await held.raw.in_progress()
                    held.until_s = now_s + self._ack_wait_s * ALIVE_SHARE

    def _until_s(self) -> float:
        """Until when a message read now is ours. The server may have sent it while this process stood still."""
        return self._read_s + self._ack_wait_s * ALIVE_SHARE

    def _fail(self, problem: str, remedy: str) -> None:
        self._failure = StackError("nats", "/".join(self._names), f"the consumer {problem}", remedy)
        self._arrived.set()

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()

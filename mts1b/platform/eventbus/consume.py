"""A durable consumer: several instances of one name share its messages; what fails comes again, later each time."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from mts1b.foundation.errors import DataError, InputError, StackError, UnknownNameError
from mts1b.foundation.limits import CONNECT_TIMEOUT_S
from mts1b.platform.eventbus.attempts import AttemptNotes, Note
from mts1b.platform.eventbus.client import FAILURES, translated
from mts1b.platform.eventbus.dead import letter_of, plain
from mts1b.platform.eventbus.message import Message, message_of
from mts1b.platform.eventbus.pull import Pull
from mts1b.platform.eventbus.trace import received
from mts1b.platform.events import Event

E = TypeVar("E", bound=Event)
Handler = Callable[[Message[E]], Awaitable[object]]
SendLetter = Callable[[str, bytes, dict[str, str]], Awaitable[None]]

MAX_ACK_PENDING = 100
"""Messages of one durable in flight over all its instances, as in the source's example."""

PREFETCH_MAX = 64
"""Messages one instance asks for ahead of its work; a quarter of those in flight if that is less: four can be busy."""

ACK_WAIT_S = 30.0
"""How long a consumer may be silent about a message before another gets it."""

ATTEMPTS_MAX = 5
"""How often a message is worked on before it goes to the dead letters."""

BACKOFF_S = (0.5, 2.0, 8.0, 30.0, 120.0)
"""Before the second attempt, the third, ...; the last one holds for all that follow."""

HANDLER_TIMEOUT_S = 300.0
"""How long `consume` lets one handler work on one message."""

WITHOUT_A_WORD = "every consumer that began to work on it ended without a word"

DURABLE = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Terms:
    """How a durable consumer works. All its instances should say the same; the last to subscribe is obeyed.

    `since`: where a new durable begins, at the "first" stored message or with what comes from "now" on.
    """

    durable: str
    max_ack_pending: int = MAX_ACK_PENDING
    ack_wait_s: float = ACK_WAIT_S
    attempts_max: int = ATTEMPTS_MAX
    backoff_s: Sequence[float] = BACKOFF_S
    prefetch: int | None = None
    since: str = "first"

    def __post_init__(self) -> None:
        if DURABLE.fullmatch(self.durable) is None:
            raise InputError("durable", self.durable, "is no name of a consumer", "use letters, digits, - and _")
        for name in ("max_ack_pending", "attempts_max"):
            if getattr(self, name) < 1:
                raise InputError(name, getattr(self, name), "must be at least 1", "leave it out")
        if self.ack_wait_s < 0.5:
            raise InputError("ack_wait_s", self.ack_wait_s, "is too short to work in", "give at least 0.5")
        if self.since not in ("first", "now"):
            raise InputError("since", self.since, "is neither first nor now", "give one of them")
        if not self.backoff_s:
            raise InputError("backoff_s", self.backoff_s, "is empty", "give at least one delay")

    @property
    def ahead(self) -> int:
        """Messages an instance asks for ahead of its work."""
        if self.prefetch is not None:
            return min(self.prefetch, self.max_ack_pending)
        return max(1, min(PREFETCH_MAX, self.max_ack_pending // 4))

    def delay_s(self, attempts: int) -> float:
        """How long to wait after so many attempts."""
        return self.backoff_s[min(attempts, len(self.backoff_s)) - 1]


@dataclass(frozen=True, slots=True)
class ConsumerStatistics:
    """What one instance did so far. `dropped`: thrown away unseen, since another instance had them by then."""

    handed: int = 0
    acknowledged: int = 0
    retried: int = 0
    dead: int = 0
    dropped: int = 0


async def ensure_consumer(stream: Any, name: str, subject: str, terms: Terms) -> None:
    """Create or update the durable on the server. InputError: it reads another subject."""
    try:
        held = (await stream.consumer_info(name, terms.durable)).config
    except NotFoundError:
        held = None
    if held is not None and held.filter_subject != subject:
        remedy = "give this consumer a name of its own"
        raise InputError("durable", terms.durable, f"reads {held.filter_subject}, not {subject}", remedy)
    first = DeliverPolicy.ALL if terms.since == "first" else DeliverPolicy.NEW
    config = ConsumerConfig(
        name=terms.durable,
        durable_name=terms.durable,
        filter_subject=subject,
        deliver_policy=first if held is None else held.deliver_policy,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=terms.ack_wait_s,
        max_ack_pending=terms.max_ack_pending,
        max_deliver=-1,  # who gives up is decided by attempts, not by deliveries
    )
    await stream.add_consumer(name, config)


class Subscription(Generic[E]):
    """One instance of a durable consumer. `async for message in subscription`, or `await subscription.consume(...)`.

    Every message comes at least once; one that is acknowledged does not come again. Messages of several instances, and
    those that come again, are in no order.
    """

    def __init__(
        self, pull: Pull, notes: AttemptNotes, send: SendLetter, terms: Terms, stream: str, model: type[E] | None
    ) -> None:
        self._pull, self._notes, self._send = pull, notes, send
        self._terms, self._stream, self._model = terms, stream, model
        self._at_work: dict[int, Message[E]] = {}
        self._counts = ConsumerStatistics()

    def __aiter__(self) -> Subscription[E]:
        return self

    async def __anext__(self) -> Message[E]:
        while True:
            raw = await self._pull.take()
            try:
                message = await self._begin(raw)
            except asyncio.CancelledError:
                self._pull.give_back(raw)
                raise
            if message is not None:
                self._count(handed=1)
                return message

    async def next_message(self, timeout_s: float) -> Message[E] | None:
        """The next message, None when there is none within `timeout_s`. StopAsyncIteration once closed."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self.__anext__()
        except TimeoutError:
            return None

    async def consume(
        self, handle: Handler[E], concurrency: int = 1, handler_timeout_s: float = HANDLER_TIMEOUT_S
    ) -> None:
        """Work on messages until closed: acknowledged when `handle` returns, tried again later when it raises.

        Up to `concurrency` at a time; with more than one their order is lost. StackError when the bus fails for good.
        """
        tasks = [asyncio.create_task(self._work(handle, handler_timeout_s)) for _ in range(concurrency)]
        tasks.append(asyncio.create_task(self._keep()))
        try:
            await asyncio.gather(*tasks[:-1])
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def statistics(self) -> ConsumerStatistics:
        """What this instance did so far."""
        return replace(self._counts, dropped=self._counts.dropped + self._pull.dropped)

    async def close(self) -> None:
        """Take no more. What nobody has worked on goes to the other instances at once; the durable itself stays."""
        await self._pull.close()

    async def reconnected(self) -> None:
        """The connection was lost and is back."""
        await self._pull.ask_anew()

    async def ack(self, message: Message[Any]) -> None:
        with translated(self._stream, f"ack of {message.subject}", "it may be delivered again"):
            await message._raw.ack_sync(timeout=CONNECT_TIMEOUT_S)
        self._count(acknowledged=1)
        if message.deliveries > 1:
            await self._forget(message)

    async def retry(self, message: Message[Any], reason: str, delay_s: float | None) -> None:
        if message.attempts >= self._terms.attempts_max:
            return await self.reject(message, reason)
        with translated(self._stream, f"retry of {message.subject}", "it is delivered again"):
            await self._notes.write(message.sequence, Note(message.attempts, plain(reason)))
            await message._raw.nak(self._terms.delay_s(message.attempts) if delay_s is None else delay_s)
        self._count(retried=1)

    async def reject(self, message: Message[Any], reason: str) -> None:
        subject, headers = letter_of(message, self._stream, self._terms.durable, reason)
        await self._send(subject, message.payload, headers)  # first: a crash behind it writes the same letter again
        with translated(self._stream, f"end of {message.subject}", "it is delivered again"):
            await message._raw.ack_sync(timeout=CONNECT_TIMEOUT_S)
        self._count(dead=1)
        await self._forget(message)

    async def working(self, message: Message[Any]) -> None:
        with translated(self._stream, f"keeping {message.subject}", "it may be delivered again"):
            await message._raw.in_progress()

    async def _begin(self, raw: Any) -> Message[E] | None:
        """The message, once it is known that work on it may begin; None when it is at work, or dead by now."""
        message = message_of(raw, self, self._model)
        if message.sequence in self._at_work:
            self._count(dropped=1)
            return None
        if message.deliveries > 1:
            with translated(self._stream, f"attempts at {message.subject}"):
                note = await self._notes.read(message.sequence)
                if note.attempts < self._terms.attempts_max:
                    await self._notes.write(message.sequence, Note(note.attempts + 1, note.reason))
            if note.attempts >= self._terms.attempts_max:
                message = replace(message, attempts=note.attempts)
                await self.reject(
                    message, note.reason or "every consumer that began to work on it ended without a word"
                )
                return None
            message = replace(message, attempts=note.attempts + 1)
        if self._model is not None:
            try:
                _ = message.event
            except (DataError, UnknownNameError) as error:
                await self.reject(message, str(error))
                return None
        return message

    async def _work(self, handle: Handler[E], timeout_s: float) -> None:
        async for message in self:
            self._at_work[message.sequence] = message
            try:
                await self._attempt(message, handle, timeout_s)
            finally:
                del self._at_work[message.sequence]

    async def _attempt(self, message: Message[E], handle: Handler[E], timeout_s: float) -> None:
        """One call of the handler, and what follows from how it ends."""
        limit = asyncio.timeout(timeout_s)
        try:
            with received(message.headers):
                async with limit:
                    await handle(message)
        except asyncio.CancelledError:
            await self._abandon(message)
            raise
        except Exception as error:  # whatever it is: the message keeps the reason, and comes again or is a dead letter
            if not message.is_settled:
                took = f"took longer than {timeout_s:g} s" if limit.expired() else f"{type(error).__name__}: {error}"
                await message.retry(took)
            return
        if not message.is_settled:
            await message.ack()

    async def _abandon(self, message: Message[E]) -> None:
        """This instance ends in the middle of the work, through no fault of the message: another may begin at once."""
        with suppress(*FAILURES):  # the connection is gone: it is delivered again by itself, later
            if message.deliveries > 1:
                await self._notes.write(message.sequence, Note(message.attempts - 1))
            if not message.is_settled:
                await message._raw.nak()

    async def _forget(self, message: Message[Any]) -> None:
        """A note left behind does no harm, as its message is never delivered again, and ends with its week."""
        with suppress(*FAILURES):
            await self._notes.forget(message.sequence)

    async def _keep(self) -> None:
        """Tell the server, again and again, which messages this instance is at."""
        while True:
            await asyncio.sleep(self._terms.ack_wait_s / 4)
            for message in tuple(self._at_work.values()):
                with suppress(StackError):  # lost, it comes again: the same as if it had been late
                    await self.working(message)

    def _count(self, **more: int) -> None:
        self._counts = replace(self._counts, **{name: getattr(self._counts, name) + by for name, by in more.items()})

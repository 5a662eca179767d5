"""A durable consumer: several instances of one name share its messages; what fails comes again, later each time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Generic, TypeVar

from nats import errors

from mts1b.foundation.errors import DataError, StackError, UnknownNameError
from mts1b.foundation.limits import CONNECT_TIMEOUT_S, STOP_TIMEOUT_S
from mts1b.platform.eventbus.attempts import AttemptNotes, Note
from mts1b.platform.eventbus.client import FAILURES, translated
from mts1b.platform.eventbus.dead import letter_of, plain
from mts1b.platform.eventbus.message import Message, message_of
from mts1b.platform.eventbus.pull import Pull
from mts1b.platform.eventbus.terms import ConsumerStatistics, Terms
from mts1b.platform.events import Event
from mts1b.platform.telemetry import received, span

E = TypeVar("E", bound=Event)
Handler = Callable[[Message[E]], Awaitable[object]]
SendLetter = Callable[[str, bytes, dict[str, str]], Awaitable[None]]

_LOG = logging.getLogger("mts1b.eventbus")

DONE_KEPT = 10_000
"""Messages of which an instance remembers that it acknowledged them. A server that is killed forgets the last tenth of
a second of what it was told."""

ACKS_MAX = 10
"""How often an acknowledgement is sent before its fate is in doubt, over CONNECT_TIMEOUT_S in all."""

TROUBLE_PAUSE_S = 0.5
"""Before `consume` goes on after the bus failed it."""

HANDLER_TIMEOUT_S = 300.0
"""How long `consume` lets one handler work on one message."""

WITHOUT_A_WORD = "every consumer that began to work on it ended without a word"


async def _confirmed(raw: Any) -> None:
    """Acknowledge until the server says that it knows; an answer lost with its connection is asked for again."""
    for _ in range(ACKS_MAX - 1):
        with suppress(TimeoutError, errors.TimeoutError):
            await raw.ack_sync(timeout=CONNECT_TIMEOUT_S / ACKS_MAX)
            return
    await raw.ack_sync(timeout=CONNECT_TIMEOUT_S / ACKS_MAX)


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
        self._at_work: dict[str, Message[E]] = {}
        self._done: dict[str, None] = {}
        self._workers: set[asyncio.Task[None]] = set()
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
        """The next message, None when there is none within `timeout_s`. StackError once closed."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self.__anext__()
        except TimeoutError:
            return None
        except StopAsyncIteration:
            raise StackError("subscription", self._terms.durable, "is closed", "subscribe again") from None

    async def consume(
        self, handle: Handler[E], concurrency: int = 1, handler_timeout_s: float = HANDLER_TIMEOUT_S
    ) -> None:
        """Work on messages until closed: acknowledged when `handle` returns, tried again later when it raises.

        Up to `concurrency` at a time; with more than one their order is lost. Goes on when the bus is away for a while;
        StackError when the durable is gone.
        """
        tasks = [asyncio.create_task(self._work(handle, handler_timeout_s)) for _ in range(concurrency)]
        self._workers.update(tasks)
        keeper = asyncio.create_task(self._keep())
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in (*tasks, keeper):
                task.cancel()
            await asyncio.gather(*tasks, keeper, return_exceptions=True)
            self._workers.difference_update(tasks)

    def statistics(self) -> ConsumerStatistics:
        """What this instance did so far."""
        return replace(self._counts, dropped=self._counts.dropped + self._pull.dropped)

    async def close(self) -> None:
        """Take no more. What nobody has worked on goes to the other instances at once; the durable itself stays.

        Waits for what `consume` is at, for STOP_TIMEOUT_S at most.
        """
        await self._pull.close()
        others = self._workers - {asyncio.current_task()}  # a handler may close its own subscription
        if others:
            await asyncio.wait(others, timeout=STOP_TIMEOUT_S)

    async def reconnected(self) -> None:
        """The connection was lost and is back."""
        await self._pull.ask_anew()

    async def ack(self, message: Message[Any]) -> None:
        self._done[message.place] = None  # whether or not the server hears of it
        if len(self._done) > DONE_KEPT:
            del self._done[next(iter(self._done))]
        with translated(self._stream, f"ack of {message.subject}", "it may be delivered again"):
            await _confirmed(message._raw)
        self._count(acknowledged=1)
        if message.deliveries > 1:
            await self._forget(message)

    async def retry(self, message: Message[Any], reason: str, delay_s: float | None) -> None:
        if message.attempts >= self._terms.attempts_max:
            return await self.reject(message, reason)
        with translated(self._stream, f"retry of {message.subject}", "it is delivered again"):
            await self._notes.write(message.place, Note(message.attempts, plain(reason)))
            await message._raw.nak(self._terms.delay_s(message.attempts) if delay_s is None else delay_s)
        self._count(retried=1)
        words = (self._terms.durable, message.subject, message.message_id, message.attempts, plain(reason))
        _LOG.warning("%s failed at %s %s (attempt %d): %s; it comes again", *words)

    async def reject(self, message: Message[Any], reason: str) -> None:
        subject, headers = letter_of(message, self._stream, self._terms.durable, reason)
        await self._send(subject, message.payload, headers)  # first: a crash behind it writes the same letter again
        with translated(self._stream, f"end of {message.subject}", "it is delivered again"):
            await _confirmed(message._raw)
        self._count(dead=1)
        words = (self._terms.durable, message.subject, message.message_id, message.attempts, plain(reason))
        _LOG.error("%s gave up on %s %s after %d attempts: %s; see `mts events dead`", *words)
        await self._forget(message)

    async def working(self, message: Message[Any]) -> None:
        with translated(self._stream, f"keeping {message.subject}", "it may be delivered again"):
            await message._raw.in_progress()

    async def _begin(self, raw: Any) -> Message[E] | None:
        """The message, once it is known that work on it may begin; None when it is at work, or dead by now."""
        message = message_of(raw, self, self._model)
        if message.place in self._at_work or message.place in self._done:
            self._count(dropped=1)
            if message.place in self._done:
                with translated(self._stream, f"ack of {message.subject}"):
                    await raw.ack()
            return None
        if message.deliveries > 1:
            with translated(self._stream, f"attempts at {message.subject}"):
                note = await self._note_attempt(message)
            message = replace(message, attempts=note.attempts)
            if note.attempts > self._terms.attempts_max:
                await self.reject(replace(message, attempts=note.attempts - 1), note.reason or WITHOUT_A_WORD)
                return None
        if self._model is not None:
            try:
                _ = message.event
            except (DataError, UnknownNameError) as error:
                await self.reject(message, str(error))
                return None
        return message

    async def _note_attempt(self, message: Message[E]) -> Note:
        """One attempt more; written down unless it is one too many."""
        held = await self._notes.read(message.place)
        begun = Note(held.attempts + 1, held.reason)
        if begun.attempts <= self._terms.attempts_max:
            try:
                await self._notes.write(message.place, begun)
            except asyncio.CancelledError:  # nobody gets the message now: it was no attempt, whether or not it is noted
                with suppress(*FAILURES):
                    await self._notes.write(message.place, held)
                raise
        return begun

    async def _work(self, handle: Handler[E], timeout_s: float) -> None:
        while True:
            try:
                message = await self.__anext__()
                self._at_work[message.place] = message
                try:
                    await self._attempt(message, handle, timeout_s)
                finally:
                    del self._at_work[message.place]
            except StopAsyncIteration:
                return
            except StackError as error:  # what was not confirmed comes again
                if self._pull.is_gone:
                    raise
                self._trouble(str(error))
                await asyncio.sleep(TROUBLE_PAUSE_S)

    async def _attempt(self, message: Message[E], handle: Handler[E], timeout_s: float) -> None:
        """One call of the handler, and what follows from how it ends."""
        limit = asyncio.timeout(timeout_s)
        try:
            with received(message.headers), span("eventbus.handle", subject=message.subject):
                async with limit:
                    await handle(message)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                await self._abandon(message)
                raise
            await self._failed(message, f"{type(error).__name__}: of something that it waited for")
        except Exception as error:  # whatever it is: the message keeps the reason, and comes again or is a dead letter
            late = f"took longer than {timeout_s:g} s"
            await self._failed(message, late if limit.expired() else f"{type(error).__name__}: {error}")
        else:
            if not message.is_settled:
                await message.ack()

    async def _failed(self, message: Message[E], reason: str) -> None:
        if message.place in self._done:  # the work is done, whether or not the server has heard of it
            self._trouble(f"behind the ack of {message.message_id}: {plain(reason)}")
        elif not message.is_settled:
            await message.retry(reason)

    async def _abandon(self, message: Message[E]) -> None:
        """This instance ends in the middle of the work, through no fault of the message: another may begin at once."""
        with suppress(*FAILURES):  # the connection is gone: it is delivered again by itself, later
            if message.deliveries > 1:
                await self._notes.write(message.place, Note(message.attempts - 1))
            if message.place not in self._done and not message.is_settled:
                await message._raw.nak()

    async def _forget(self, message: Message[Any]) -> None:
        """A note left behind does no harm, as its message is never delivered again, and ends with its week."""
        with suppress(*FAILURES):
            await self._notes.forget(message.place)

    async def _keep(self) -> None:
        """Tell the server, again and again, which messages this instance is at."""
        while True:
            await asyncio.sleep(self._terms.ack_wait_s / 4)
            for message in tuple(self._at_work.values()):
                with suppress(StackError):  # lost, it comes again: the same as if it had been late
                    await self.working(message)

    def _trouble(self, text: str) -> None:
        self._counts = replace(self._counts, trouble=text)
        _LOG.warning("%s goes on after: %s", self._terms.durable, text)

    def _count(self, **more: int) -> None:
        self._counts = replace(self._counts, **{name: getattr(self._counts, name) + by for name, by in more.items()})

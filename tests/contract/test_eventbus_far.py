"""A bus on the far end of a long line: publishing takes as long as the line, and what the line loses is sent again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import pytest

from mts1b.foundation.errors import StackError
from mts1b.platform import eventbus
from mts1b.platform.eventbus import EventBus
from tests.conftest import RunningStack
from tests.contract.bus_probe import NoteWritten, until
from tests.contract.proxy import Proxy, proxied
from tests.contract.test_eventbus_consumers import fresh

Work = Callable[[EventBus, Proxy], Awaitable[None]]


def over(stack: RunningStack, round_trip_s: float, work: Work) -> None:
    """Run `work` on a bus behind a proxy of its own."""
    url = urlsplit(stack.endpoints.nats_url)
    assert url.hostname and url.port

    async def run() -> None:
        async with asyncio.timeout(60), proxied(str(url.hostname), int(url.port or 0), round_trip_s) as proxy:
            far = url._replace(netloc=f"{url.username}:{url.password}@127.0.0.1:{proxy.port}").geturl()
            bus = await eventbus.connect(far)
            try:
                await work(bus, proxy)
            finally:
                await bus.close()

    asyncio.run(run())


@pytest.mark.parametrize("round_trip_ms", [10, 100])
def test_a_publish_across_regions_takes_the_round_trip_and_loses_nothing(
    stack: RunningStack, round_trip_ms: int
) -> None:
    async def work(bus: EventBus, _proxy: Proxy) -> None:
        sub = await bus.subscribe(NoteWritten, fresh(), since="now")
        prefix, took_ms, sequences = fresh("far"), [], []
        for number in range(8):
            since_s = asyncio.get_running_loop().time()
            done = await bus.publish_typed(NoteWritten(note_id=f"{prefix}-{number}"))
            took_ms.append((asyncio.get_running_loop().time() - since_s) * 1e3)
            assert not done.is_duplicate
            sequences.append(done.sequence)
        assert min(took_ms) >= round_trip_ms  # no confirmation comes from nearer than the server
        assert sequences == sorted(set(sequences))
        seen = []
        for _ in sequences:
            message = await sub.next_message(20)
            assert message is not None
            seen.append(message.message_id)
            await message.ack()
        assert seen == [f"{prefix}-{number}" for number in range(8)]
        assert await sub.next_message(0.2) is None

    over(stack, round_trip_ms / 1e3, work)


def test_many_under_way_at_once_do_not_wait_for_each_other(stack: RunningStack) -> None:
    """A hundred confirmations one after another would take ten seconds."""

    async def work(bus: EventBus, _proxy: Proxy) -> None:
        prefix = fresh("many")
        async with asyncio.timeout(8):
            notes = [NoteWritten(note_id=f"{prefix}-{number}") for number in range(100)]
            done = await asyncio.gather(*(bus.publish_typed(note) for note in notes))
        sequences = [item.sequence for item in done]
        assert sequences == sorted(set(sequences)) and len(sequences) == 100  # stored in the order they were sent

    over(stack, 0.1, work)


def test_a_confirmation_lost_on_the_way_is_asked_for_again(stack: RunningStack) -> None:
    async def work(bus: EventBus, proxy: Proxy) -> None:
        first = await bus.publish_typed(NoteWritten(note_id=fresh("n")))
        proxy.mute = True
        publishing = asyncio.create_task(bus.publish_typed(NoteWritten(note_id=fresh("n"))))
        await asyncio.sleep(0.3)  # by now the server has stored it
        proxy.mute = False
        done = await publishing
        assert done.is_duplicate and done.sequence == first.sequence + 1

    over(stack, 0.01, work)


def test_an_acknowledgement_whose_answer_is_lost_is_sent_again(stack: RunningStack) -> None:
    async def work(bus: EventBus, proxy: Proxy) -> None:
        sub = await bus.subscribe(NoteWritten, fresh(), since="now")
        await bus.publish_typed(NoteWritten(note_id=fresh("n")))
        message = await sub.next_message(10)
        assert message is not None
        proxy.mute = True
        acknowledging = asyncio.create_task(message.ack())
        await asyncio.sleep(0.3)
        proxy.mute = False
        await acknowledging
        assert message.is_settled

    over(stack, 0.01, work)


def test_a_line_cut_in_the_middle_of_a_publish_is_mended(stack: RunningStack) -> None:
    async def work(bus: EventBus, proxy: Proxy) -> None:
        sub = await bus.subscribe(NoteWritten, fresh(), since="now", ack_wait_s=1.0)
        prefix, seen = fresh("cut"), []

        async def handle(message: eventbus.Message[NoteWritten]) -> None:
            seen.append(message.message_id)

        reading = asyncio.create_task(sub.consume(handle))
        names = [f"{prefix}-{number}" for number in range(16)]
        for number, name in enumerate(names):
            publishing = asyncio.create_task(bus.publish_typed(NoteWritten(note_id=name), timeout_s=30))
            if number in (4, 10):
                await asyncio.sleep(0.025)  # half way there
                proxy.cut()
            await publishing
        await until(lambda: len(set(seen)) == len(names))
        await sub.close()
        await reading
        assert sorted(seen) == sorted(names)

    over(stack, 0.05, work)


def test_a_server_that_does_not_answer_is_given_up_on_in_time(stack: RunningStack) -> None:
    async def work(bus: EventBus, proxy: Proxy) -> None:
        note = NoteWritten(note_id=fresh("n"))
        await bus.publish_typed(NoteWritten(note_id=fresh("n")))
        proxy.mute = True
        with pytest.raises(StackError, match="not confirmed within 0.3 s; it may be stored all the same"):
            await bus.publish_typed(note, timeout_s=0.3)
        with pytest.raises(StackError, match="timeout"):
            await bus.publish_sent(note, timeout_s=0.2)
        proxy.mute = False
        again = await bus.publish_typed(note)
        assert again.is_duplicate  # it was

    over(stack, 0.01, work)

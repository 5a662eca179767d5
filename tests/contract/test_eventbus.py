"""The event bus against a real server. Its subjects lie apart from the platform's own stream."""

from __future__ import annotations

import asyncio

import pytest

from mts1b.foundation.errors import StackError
from mts1b.platform import eventbus
from mts1b.platform.eventbus import EventBus, Message, Published
from tests.conftest import RunningStack


async def take(bus: EventBus, subject: str, durable: str, count: int, ack: bool = True) -> list[Message]:
    """The next `count` messages of a durable consumer."""
    taken: list[Message] = []
    async with asyncio.timeout(20):
        async for message in await bus.subscribe(subject, durable):
            taken.append(message)
            if ack:
                await message.ack()
            if len(taken) == count:
                break
    return taken


def test_an_event_is_stored_once_however_often_it_is_sent(stack: RunningStack) -> None:
    async def work() -> tuple[list[Published], list[Message]]:
        bus = await eventbus.connect(stack.endpoints.nats_url)
        for _ in range(2):  # the second time it is there already
            await bus.ensure_stream("ONCE", ["contract.v1.once.>"])
        sent = [await bus.publish("contract.v1.once.fills.created", b"x", message_id=key) for key in ("a", "a", "b")]
        taken = await take(bus, "contract.v1.once.>", "reader", 2)
        await bus.close()
        return sent, taken

    sent, taken = asyncio.run(work())
    assert [item.is_duplicate for item in sent] == [False, True, False]
    assert sent[0].sequence == sent[1].sequence < sent[2].sequence
    assert [(m.message_id, m.subject, m.deliveries) for m in taken] == [
        ("a", "contract.v1.once.fills.created", 1),
        ("b", "contract.v1.once.fills.created", 1),
    ]


def test_a_durable_consumer_goes_on_after_what_it_acknowledged(stack: RunningStack) -> None:
    async def work() -> list[bytes]:
        bus = await eventbus.connect(stack.endpoints.nats_url)
        await bus.ensure_stream("RESUME", ["contract.v1.resume.>"])
        for number in range(4):
            await bus.publish("contract.v1.resume.x.y", str(number).encode(), message_id=str(number))
        first = await take(bus, "contract.v1.resume.>", "reader", 1)
        await bus.close()
        bus = await eventbus.connect(stack.endpoints.nats_url)
        everything = await take(bus, "contract.v1.resume.>", "another", 4)
        await bus.close()
        return [message.payload for message in (*first, *everything)]

    assert asyncio.run(work()) == [b"0", b"0", b"1", b"2", b"3"]


def test_two_consumers_of_one_name_share_the_work(stack: RunningStack) -> None:
    async def work() -> set[bytes]:
        bus = await eventbus.connect(stack.endpoints.nats_url)
        await bus.ensure_stream("SHARE", ["contract.v1.share.>"])
        seen: list[bytes] = []
        complete = asyncio.Event()

        async def reader() -> None:
            async for message in await bus.subscribe("contract.v1.share.>", "pool"):
                await message.ack()
                seen.append(message.payload)
                if len(seen) == 200:
                    complete.set()

        readers = [asyncio.create_task(reader()) for _ in range(2)]
        for number in range(200):
            await bus.publish("contract.v1.share.x.y", str(number).encode(), message_id=str(number))
        async with asyncio.timeout(20):
            await complete.wait()
        await bus.close()  # which ends the readers
        async with asyncio.timeout(20):
            await asyncio.gather(*readers)
        assert len(seen) == 200
        return set(seen)

    assert len(asyncio.run(work())) == 200


def test_what_cannot_be_published_says_so(stack: RunningStack) -> None:
    async def work() -> None:
        bus = await eventbus.connect(stack.endpoints.nats_url)
        with pytest.raises(StackError, match="nobody.listens"):
            await bus.publish("nobody.listens", b"", message_id="x")
        await bus.close()
        with pytest.raises(StackError):
            await bus.publish("contract.v1.once.x.y", b"", message_id="x")

    asyncio.run(work())


@pytest.mark.parametrize("url", ["nats://u:hidden@127.0.0.1:1", "nats://u:hidden@{server}"])
def test_a_bus_that_cannot_be_used_is_named(stack: RunningStack, url: str) -> None:
    with pytest.raises(StackError) as refused:
        asyncio.run(eventbus.connect(url.format(server=eventbus.server_of(stack.endpoints.nats_url)), timeout_s=5))
    assert "hidden" not in str(refused.value)

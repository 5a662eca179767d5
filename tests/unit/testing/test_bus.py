import asyncio

import pytest

from mts1b.foundation.errors import StackError
from mts1b.testing.bus import MemoryBus
from mts1b.testing.clock import SimulatedClock


def test_each_message_id_once() -> None:
    async def run() -> None:
        bus = MemoryBus()
        for message_id in ("a", "b", "a"):
            await bus.publish("subject", b"payload", message_id)
        assert [message.message_id for message in bus.published] == ["a", "b"]
        bus.is_down = True
        with pytest.raises(StackError):
            await bus.publish("subject", b"", "c")

    asyncio.run(run())


def test_time_moves_when_told() -> None:
    clock = SimulatedClock(5)
    clock.advance(10)
    assert (clock.now_ns(), clock.monotonic_ns()) == (15, 10)
    with pytest.raises(ValueError):
        clock.advance(-1)

"""The event bus of a story: what is published takes its time, may not arrive, or may arrive without anybody knowing."""

from __future__ import annotations

import asyncio
from random import Random

from mts1b.foundation.clock import NS_PER_S
from mts1b.foundation.errors import StackError
from mts1b.testing.bus import MemoryBus
from mts1b.testing.sim.network import QUICK_NS, Network


class SimBus(MemoryBus):
    """A MemoryBus over the network of a story."""

    def __init__(self, network: Network, random: Random) -> None:
        super().__init__()
        self._network, self._random = network, random

    async def publish(self, subject: str, payload: bytes, message_id: str) -> None:
        await asyncio.sleep(self._random.randint(*QUICK_NS) / NS_PER_S)
        lost = self._network.loses()
        if lost and self._random.random() < 0.5:
            raise StackError("nats", "simulated", "did not answer", "publish it again")
        await super().publish(subject, payload, message_id)
        if lost:
            raise StackError("nats", "simulated", "did not answer, and has it", "publish it again")

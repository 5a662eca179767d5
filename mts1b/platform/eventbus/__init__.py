"""NATS with JetStream: typed events out, durable consumers in, dead letters aside. The only room that imports nats.

    await publish_typed(FillCreated(...))                     # to mts.v1.oms.fills.created, traced, stored once

    sub = await get_bus().subscribe("mts.v1.oms.fills.created", durable="my-consumer", max_ack_pending=100)
    async for message in sub:
        ...
        await message.ack()

Subjects and their models are in `mts1b.platform.events`.
"""

from __future__ import annotations

import asyncio

from mts1b.foundation.errors import StackError
from mts1b.foundation.limits import CONNECT_TIMEOUT_S
from mts1b.platform.eventbus import lean  # noqa: F401 - before any other part imports the client
from mts1b.platform.eventbus.bus import EventBus, Published, connect
from mts1b.platform.eventbus.client import ping, server_of
from mts1b.platform.eventbus.consume import Subscription
from mts1b.platform.eventbus.dead import DeadLetter
from mts1b.platform.eventbus.lag import ConsumerLag
from mts1b.platform.eventbus.message import Message
from mts1b.platform.eventbus.terms import ConsumerStatistics, Terms
from mts1b.platform.events import Encoded, Event, Exact, Registered, decode, encode, event, registered
from mts1b.platform.rotation import Source

__all__ = [
    "ConsumerLag",
    "ConsumerStatistics",
    "DeadLetter",
    "Encoded",
    "Event",
    "EventBus",
    "Exact",
    "Message",
    "Published",
    "Registered",
    "Subscription",
    "Terms",
    "close_buses",
    "connect",
    "decode",
    "encode",
    "event",
    "get_bus",
    "open_bus",
    "ping",
    "publish_typed",
    "registered",
    "server_of",
]

_buses: dict[str, tuple[asyncio.AbstractEventLoop, EventBus]] = {}
"""By name, with the event loop that the connection belongs to: it cannot be used from another."""


async def open_bus(name: str, url: str | Source) -> EventBus:
    """Connect the bus `name`, or return it when it is connected. StackError when the server cannot be reached.

    `url`: as text, or where it is kept, which is asked before each connection for its user and password.
    """
    loop = asyncio.get_running_loop()
    if name in _buses and _buses[name][0] is loop and not _buses[name][1].is_closed:
        return _buses[name][1]
    bus = await connect(url, name=f"mts1b-{name}")
    _buses[name] = loop, bus
    return bus


def get_bus(name: str = "primary") -> EventBus:
    """The open bus `name`. StackError when nobody opened it in this process."""
    if name not in _buses:
        raise StackError("bus", name, "is not open", "call open_bus() first")
    return _buses[name][1]


async def close_buses() -> None:
    """Close every bus of this event loop."""
    buses = [bus for loop, bus in _buses.values() if loop is asyncio.get_running_loop()]
    _buses.clear()
    for bus in buses:
        await bus.close()


async def publish_typed(
    happened: Event, bus: EventBus | None = None, timeout_s: float = CONNECT_TIMEOUT_S
) -> Published:
    """Publish an event of a registered model, on the process's primary bus unless told; see EventBus.publish_typed."""
    return await (bus or get_bus()).publish_typed(happened, timeout_s)

"""How far behind the readers are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ConsumerLag:
    """One durable consumer: events that `wait` for it, that are `in_flight` to it, and that had to be sent again.

    `readers`: requests of its instances that wait at the server; 0 for long with events waiting: nobody reads.
    `delivered` counts every delivery so far.
    """

    stream: str
    durable: str
    subject: str
    wait: int
    in_flight: int
    redelivered: int
    readers: int
    delivered: int = 0


async def lags(stream: Any) -> list[ConsumerLag]:
    """Every durable consumer of every stream, by name. Errors are the client's."""
    found = []
    for name in await _all(stream.streams_info, lambda item: item.config.name):
        for info in await _consumers(stream, name):
            if info.config.durable_name:
                found.append(_lag(name, info))
    return sorted(found, key=lambda lag: (lag.stream, lag.durable))


def _lag(name: str, info: Any) -> ConsumerLag:
    return ConsumerLag(
        stream=name,
        durable=info.config.durable_name,
        subject=info.config.filter_subject or ">",
        wait=info.num_pending or 0,
        in_flight=info.num_ack_pending or 0,
        redelivered=info.num_redelivered or 0,
        readers=info.num_waiting or 0,
        delivered=info.delivered.consumer_seq if info.delivered else 0,
    )


async def _all(ask: Any, read: Any) -> list[Any]:
    """Every page of a list."""
    found: list[Any] = []
    while page := await ask(offset=len(found)):
        found += [read(item) for item in page]
    return found


async def _consumers(stream: Any, name: str) -> list[Any]:
    async def ask(offset: int) -> Any:
        return await stream.consumers_info(name, offset=offset)

    return await _all(ask, lambda item: item)

"""Addresses whose credentials may be rotated while they are used: read anew for a connection, and when refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Source(Protocol):
    """A DSN or URL that may change, as `mts1b.platform.secrets.SecretValue`: `renewed` is asked after a refusal."""

    async def get(self) -> str: ...
    async def renewed(self) -> str: ...


async def text_of(given: str | Source) -> str:
    """The address now."""
    return given if isinstance(given, str) else await given.get()


async def connected(
    given: str | Source, connect: Callable[[str], Awaitable[T]], refused: Callable[[BaseException], bool]
) -> T:
    """What `connect` makes of the address. Credentials that the server refused are read anew, once."""
    tried = await text_of(given)
    try:
        return await connect(tried)
    except Exception as error:
        if isinstance(given, str) or not refused(error):
            raise
        fresh = await given.renewed()
        if fresh == tried:
            raise
    return await connect(fresh)

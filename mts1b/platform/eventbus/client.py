"""The connection to NATS: how it is made, what its errors become."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import nats
from nats import errors
from nats.js.errors import Error as JetStreamError

from mts1b.foundation.errors import InputError, StackError
from mts1b.foundation.limits import CONNECT_TIMEOUT_S

ONCE: dict[str, Any] = {"allow_reconnect": False, "max_reconnect_attempts": 1, "reconnect_time_wait": 0.02}
"""Try, and give up soon. An attempt limit of 0 would mean none."""

RECONNECT_WAIT_S = 0.2
"""Between two attempts to find a server that went away; there are as many as it takes."""

FAILURES = (JetStreamError, errors.Error, TimeoutError, OSError)


def server_of(url: str) -> str:
    """`host:port` of a URL: what may be shown, without the credentials."""
    parts = urlsplit(url)
    return f"{parts.hostname or 'localhost'}:{parts.port or 4222}"


def failure(server: str, what: str, error: BaseException, remedy: str = "see `mts status`") -> StackError:
    """One of the client's exceptions as ours."""
    return StackError("nats", server, f"{what}: {str(error) or type(error).__name__}", remedy)


@contextmanager
def translated(server: str, what: str, remedy: str = "see `mts status`") -> Iterator[None]:
    """Turn the client's exceptions into StackError."""
    try:
        yield
    except FAILURES as error:
        raise failure(server, what, error, remedy) from None


async def _quiet(_error: Exception) -> None:
    """Connection errors surface from the calls that meet them; the client's own log line adds nothing."""


async def client_of(url: str, timeout_s: float, **options: Any) -> Any:
    """A connected client. StackError: no answer within `timeout_s`, or credentials refused."""
    try:
        async with asyncio.timeout(timeout_s):
            return await nats.connect(url, connect_timeout=timeout_s, error_cb=_quiet, **options)
    except ValueError as error:
        raise InputError("eventbus.url", server_of(url), str(error), "give nats://user@host:port") from None
    except FAILURES as error:
        problem = str(error) or "no answer"
        raise StackError("nats", server_of(url), problem, "run `mts up`") from None


async def lasting_client(url: str, timeout_s: float, name: str, reconnected: Callable[[], Awaitable[None]]) -> Any:
    """A client that reconnects by itself, for ever, once the server has answered, and says so each time."""
    await ping(url, timeout_s)  # the reconnecting client below would try for ever
    lasting = {"max_reconnect_attempts": -1, "reconnect_time_wait": RECONNECT_WAIT_S, "reconnected_cb": reconnected}
    return await client_of(url, timeout_s, name=name, **lasting)


async def ping(url: str, timeout_s: float = CONNECT_TIMEOUT_S) -> str:
    """The server's version. StackError when it does not answer in time."""
    client = await client_of(url, timeout_s, **ONCE)
    try:
        version = client.connected_server_version
        return f"{version.major}.{version.minor}.{version.patch}"
    finally:
        await client.close()

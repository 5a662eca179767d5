"""The connection to NATS: how it is made, what its errors become."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

from nats import errors
from nats.aio.client import Client as NatsClient
from nats.js.errors import Error as JetStreamError

from mts1b.foundation.errors import InputError, MtsError, StackError
from mts1b.foundation.limits import CONNECT_TIMEOUT_S
from mts1b.platform import rotation
from mts1b.platform.rotation import Source, text_of

ONCE: dict[str, Any] = {"allow_reconnect": False, "max_reconnect_attempts": 1, "reconnect_time_wait": 0.02}
"""Try, and give up soon. An attempt limit of 0 would mean none."""

RECONNECT_WAIT_S = 0.2
"""Between two attempts to find a server that went away; there are as many as it takes."""

FAILURES = (JetStreamError, errors.Error, TimeoutError, OSError)

_LOG = logging.getLogger("mts1b.eventbus")


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


class Client(NatsClient):
    """nats-py's closes for good when its server stops knowing the password that it came in with; this one goes on."""

    async def _process_err(self, err_msg: str) -> None:
        if self.options["allow_reconnect"] and "authorization violation" in err_msg.lower():
            await self._process_op_err(errors.AuthorizationError())
            return
        await super()._process_err(err_msg)

    async def close(self) -> None:
        """For good. What waits for a server that is away is not sent, and no reason to fail on the way out."""
        if not self.is_connected:
            self._pending, self._pending_data_size = [], 0
        with suppress(OSError):  # the connection is lost at this very moment
            await super().close()


class Credentials:
    """User and password of an address as nats-py asks for them, each time it connects."""

    def __init__(self, given: str | Source, url: str) -> None:
        self._given, self._url = given, url

    def options(self) -> dict[str, Any]:
        """Arguments of `connect`. A name alone is a token."""
        parts = urlsplit(self._url)
        if parts.password is not None:
            return {"user": self._user, "password": self._password}
        return {} if parts.username is None else {"token": self._user}

    def _user(self) -> str:
        return unquote(urlsplit(self._url).username or "")

    def _password(self) -> str:
        return unquote(urlsplit(self._url).password or "")

    async def lost(self) -> None:
        """The connection is gone: the next one goes by what holds then."""
        if not isinstance(self._given, str):
            await self._take(self._given.get)

    async def failed(self, error: Exception) -> None:
        """One of the client's errors, which surfaces from the calls that meet it. Refused credentials are read anew."""
        if not isinstance(self._given, str) and refused(error):
            await self._take(self._given.renewed)

    async def _take(self, read: Callable[[], Awaitable[str]]) -> None:
        try:
            self._url = await read()
        except MtsError as error:  # the client goes on trying, and so do we
            _LOG.warning("%s: its credentials cannot be read again: %s", server_of(self._url), error)


def refused(error: BaseException) -> bool:
    """Whether the server does not know who asks."""
    return isinstance(error, errors.AuthorizationError) or "authorization violation" in str(error).lower()


async def client_of(given: str | Source, timeout_s: float, **options: Any) -> Any:
    """A connected client. StackError: no answer within `timeout_s`, or credentials refused."""
    url = await text_of(given)
    try:
        async with asyncio.timeout(timeout_s):
            return await rotation.connected(given, partial(_connected, given, timeout_s, options), refused)
    except ValueError as error:
        raise InputError("eventbus.url", server_of(url), str(error), "give nats://user@host:port") from None
    except FAILURES as error:
        problem = str(error) or "no answer"
        raise StackError("nats", server_of(url), problem, "run `mts up`") from None


async def _connected(given: str | Source, timeout_s: float, options: dict[str, Any], url: str) -> Any:
    client, who = Client(), Credentials(given, url)
    asked: dict[str, Any] = {"connect_timeout": timeout_s, "error_cb": who.failed, "disconnected_cb": who.lost}
    await client.connect(url, **asked, **who.options(), **options)
    return client


async def lasting_client(
    given: str | Source, timeout_s: float, name: str, reconnected: Callable[[], Awaitable[None]]
) -> Any:
    """A client that reconnects by itself, for ever, once the server has answered, and says so each time.

    Each time it goes by the credentials that hold then; the server stays the one it first was.
    """
    await ping(given, timeout_s)  # the reconnecting client below would try for ever
    lasting = {"max_reconnect_attempts": -1, "reconnect_time_wait": RECONNECT_WAIT_S, "reconnected_cb": reconnected}
    return await client_of(given, timeout_s, name=name, **lasting)


async def ping(given: str | Source, timeout_s: float = CONNECT_TIMEOUT_S) -> str:
    """The server's version. StackError when it does not answer in time."""
    client = await client_of(given, timeout_s, **ONCE)
    try:
        version = client.connected_server_version
        return f"{version.major}.{version.minor}.{version.patch}"
    finally:
        await client.close()

"""Valkey or Redis. The only module that imports redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from mts1b.foundation.errors import DataError, InputError, StackError
from mts1b.foundation.limits import CACHE_CONNECTIONS_DEFAULT, CONNECT_TIMEOUT_S
from mts1b.platform.lean import left_out, without
from mts1b.platform.rotation import Source, text_of
from mts1b.platform.slots import Slots
from mts1b.platform.telemetry import span

NOT_USED = (
    "redis.cluster",
    "redis.asyncio.cluster",
    "redis.keyspace_notifications",
    "redis.asyncio.keyspace_notifications",
)
"""Parts of the client that nobody here speaks with, a quarter of its memory."""

if TYPE_CHECKING:
    from redis import exceptions
    from redis.asyncio import ConnectionPool, Redis
    from redis.asyncio.client import Pipeline
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.credentials import CredentialProvider
    from redis.maint_notifications import MaintNotificationsConfig
else:
    with without("opentelemetry", "cryptography", "psutil"), left_out(*NOT_USED):
        from redis import exceptions
        from redis.asyncio import ConnectionPool, Redis
        from redis.asyncio.client import Pipeline
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.credentials import CredentialProvider
        from redis.maint_notifications import MaintNotificationsConfig


def server_of(url: str) -> str:
    """`host:port` of a URL: what may be shown, without the password."""
    parts = urlsplit(url)
    return f"{parts.hostname or 'localhost'}:{parts.port or 6379}"


class CacheTimeout(StackError):
    """No connection came free in time: all of them are in use."""


@dataclass(frozen=True, slots=True)
class CacheHealth:
    """An answer of the server: its version, how long it took, commands under way and callers that waited before."""

    version: str
    answer_ms: float
    active: int
    waiting: int


@contextmanager
def translated(server: str, what: str) -> Iterator[None]:
    """Turn redis's exceptions into StackError (no answer) or DataError (the command does not fit what is stored)."""
    try:
        yield
    except (exceptions.WatchError, exceptions.NoScriptError):
        raise  # redis's own transactions and scripts wait for these
    except exceptions.ResponseError as error:
        raise DataError("cache", what, str(error), "does the key hold what the command is for?") from error
    except (exceptions.RedisError, OSError, TimeoutError) as error:
        raise StackError("valkey", server, f"{what}: {str(error) or 'no answer'}", "see `mts status`") from error


class Cache(Redis):
    """The client with at most `max_connections` commands under way; more wait in turn, for `timeout_s` at most.

    Nothing is repeated: after a lost answer nobody knows whether an INCR was counted. The next call connects anew.
    Calls raise CacheTimeout, StackError or DataError. `source`: where the URL is kept, asked before each connection.
    """

    def __init__(
        self,
        url: str,
        max_connections: int = CACHE_CONNECTIONS_DEFAULT,
        timeout_s: float = CONNECT_TIMEOUT_S,
        source: Source | None = None,
    ) -> None:
        pool = _pool(url, timeout_s, source)
        super().__init__(connection_pool=pool)
        self.auto_close_connection_pool = True
        self.server, self._timeout_s, self.slots = server_of(url), timeout_s, Slots(max_connections)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        with span(f"cache.{str(args[0]).lower()}"):
            async with self.place(str(args[0])):
                return await super().execute_command(*args, **options)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Batch:
        """Commands to be sent together; see redis."""
        return Batch(self, transaction, shard_hint)

    @asynccontextmanager
    async def place(self, what: str) -> AsyncIterator[None]:
        """A place among the commands under way, errors inside translated."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self.slots.enter()
        except TimeoutError:
            used = f"{self.slots.in_use} commands under way, {self.slots.waiting} more wait"
            remedy = "raise cache.max_connections, or ask for less at a time"
            raise CacheTimeout("cache", used, f"{what}: none ended within {self._timeout_s:g} s", remedy) from None
        try:
            with translated(self.server, what):
                yield
        finally:
            self.slots.leave()

    async def health(self) -> CacheHealth:
        """Ask the server."""
        loop = asyncio.get_running_loop()
        active, waiting, since_s = self.slots.in_use, self.slots.waiting, loop.time()
        information = await self.info("server")
        version = str(information.get("valkey_version") or information.get("redis_version"))
        return CacheHealth(version, (loop.time() - since_s) * 1e3, active, waiting)


class Rotated(CredentialProvider):
    """User and password of a URL as they are where it is kept, for each connection anew."""

    def __init__(self, source: Source) -> None:
        self._source = source

    async def get_credentials_async(self) -> Any:
        parts = urlsplit(await self._source.get())
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        return (user, password) if user else (password,) if password else ()

    async def greet(self, connection: Any) -> None:
        """What a connection begins with. Credentials that the server refuses are read anew, once."""
        tried = await self._source.get()
        try:
            await connection.on_connect()
        except exceptions.AuthenticationError:
            if await self._source.renewed() == tried:
                raise
            await connection.connect()  # the client has hung up


def _pool(url: str, timeout_s: float, source: Source | None = None) -> ConnectionPool:
    """Connections that repeat nothing. redis asks one whether it still lives before it is used, but only while it does
    not listen for a server's notes on its maintenance, which it would by default."""
    rotated: dict[str, Any] = {}
    if source is not None:
        parts, held = urlsplit(url), Rotated(source)
        url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        rotated = {"credential_provider": held, "redis_connect_func": held.greet}
    try:
        return ConnectionPool.from_url(
            url,
            **rotated,
            socket_connect_timeout=timeout_s,
            socket_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
        )
    except ValueError as error:
        raise InputError("cache.url", server_of(url), str(error), "give redis://:password@host:port/0") from None


class Batch(Pipeline):
    """A pipeline that takes one place of its cache."""

    def __init__(self, cache: Cache, transaction: bool, shard_hint: str | None) -> None:
        super().__init__(cache.connection_pool, cache.response_callbacks, transaction, shard_hint)
        self._cache = cache

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        with span("cache.pipeline"):
            async with self._cache.place("pipeline"):
                return await super().execute(raise_on_error)


_caches: dict[str, tuple[asyncio.AbstractEventLoop, Cache]] = {}
"""By name, with the event loop that the connections belong to: they cannot be used from another."""


async def open_cache(
    name: str, url: str | Source, max_connections: int = CACHE_CONNECTIONS_DEFAULT, timeout_s: float = CONNECT_TIMEOUT_S
) -> Cache:
    """Open the cache `name`, or return it when it is open. StackError when the server cannot be reached.

    `url`: as text, or where it is kept, which is asked before each connection for its user and password.
    """
    loop = asyncio.get_running_loop()
    if name in _caches and _caches[name][0] is loop:
        return _caches[name][1]
    cache = await connect(url, timeout_s, max_connections)
    _caches[name] = loop, cache
    return cache


def get_cache(name: str = "primary") -> Cache:
    """The open cache `name`. StackError when nobody opened it in this process."""
    if name not in _caches:
        raise StackError("cache", name, "is not open", "call open_cache() first")
    return _caches[name][1]


async def close_caches() -> None:
    """Close every cache of this event loop."""
    caches = [cache for loop, cache in _caches.values() if loop is asyncio.get_running_loop()]
    _caches.clear()
    for cache in caches:
        await cache.aclose()


async def connect(
    url: str | Source, timeout_s: float = CONNECT_TIMEOUT_S, max_connections: int = CACHE_CONNECTIONS_DEFAULT
) -> Cache:
    """A client that has answered once; close it with `await cache.aclose()`. StackError when it cannot."""
    source = None if isinstance(url, str) else url
    cache = Cache(await text_of(url), max_connections, timeout_s, source)
    try:
        await cache.ping()
    except StackError as error:
        await cache.aclose()
        raise StackError("valkey", cache.server, error.problem, "run `mts up`") from None
    return cache


async def ping(url: str | Source, timeout_s: float = CONNECT_TIMEOUT_S) -> str:
    """The server's version. StackError when it does not answer in time."""
    cache = await connect(url, timeout_s)
    try:
        return (await cache.health()).version
    finally:
        await cache.aclose()


class Scripts:
    """Lua scripts on one server. Nothing is repeated; the next call connects anew. StackError: no answer in time."""

    def __init__(self, url: str, timeout_s: float, source: Source | None = None) -> None:
        self._server = server_of(url)
        self._cache = Redis(connection_pool=_pool(url, timeout_s, source))
        self._cache.auto_close_connection_pool = True
        self._sent: dict[str, Any] = {}

    async def run(self, script: str, keys: Sequence[str], arguments: Sequence[str | int | float]) -> Any:
        """The script's answer; its text travels once."""
        if script not in self._sent:
            self._sent[script] = self._cache.register_script(script)
        return await self._answer(self._sent[script](keys=list(keys), args=list(arguments)))

    async def about(self) -> dict[str, Any]:
        """What the server says of itself."""
        return await self._answer(self._cache.info("persistence", "memory"))

    async def wait_until_stored(self, timeout_s: float = 1.5) -> None:
        """Wait until what was written is on the server's disk. StackError when that takes longer.

        Redis before 7.2 cannot tell: the wait is then over at once.
        """
        try:
            stored, _replicas = await self._answer(self._cache.execute_command("WAITAOF", 1, 0, round(timeout_s * 1e3)))
        except StackError as error:
            if not isinstance(error.__cause__, exceptions.ResponseError):
                raise
            return
        if not stored:
            problem = f"its disk did not take what was written within {timeout_s:g} s"
            raise StackError("valkey", self._server, problem, "see its log and the disk")

    async def close(self) -> None:
        await self._cache.aclose()

    async def _answer(self, asked: Any) -> Any:
        try:
            return await asked
        except (exceptions.RedisError, OSError, TimeoutError) as error:
            raise StackError("valkey", self._server, str(error) or "no answer", "see `mts status`") from error

"""Valkey or Redis. The only module that imports redis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from mts1b.foundation.errors import InputError, StackError
from mts1b.foundation.limits import CONNECT_TIMEOUT_S

Cache: TypeAlias = Redis


def server_of(url: str) -> str:
    """`host:port` of a URL: what may be shown, without the password."""
    parts = urlsplit(url)
    return f"{parts.hostname or 'localhost'}:{parts.port or 6379}"


async def connect(url: str, timeout_s: float = CONNECT_TIMEOUT_S) -> Cache:
    """A pooled client that has answered once; close it with `await cache.aclose()`. StackError when it cannot."""
    try:
        cache = Redis.from_url(url, socket_connect_timeout=timeout_s, socket_timeout=timeout_s)
    except ValueError as error:
        raise InputError("cache.url", server_of(url), str(error), "give redis://:password@host:port/0") from None
    try:
        await cache.ping()
    except (exceptions.RedisError, OSError, TimeoutError) as error:
        await cache.aclose()
        raise StackError("valkey", server_of(url), str(error) or "no answer", "run `mts up`") from None
    return cache


async def ping(url: str, timeout_s: float = CONNECT_TIMEOUT_S) -> str:
    """The server's version. StackError when it does not answer in time."""
    cache = await connect(url, timeout_s)
    try:
        information = await cache.info("server")
        return str(information.get("valkey_version") or information.get("redis_version"))
    finally:
        await cache.aclose()


class Scripts:
    """Lua scripts on one server. Nothing is repeated; the next call connects anew. StackError: no answer in time."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._server = server_of(url)
        once = Retry(NoBackoff(), 0)
        try:
            self._cache = Redis.from_url(url, socket_connect_timeout=timeout_s, socket_timeout=timeout_s, retry=once)
        except ValueError as error:
            raise InputError("cache.url", self._server, str(error), "give redis://:password@host:port/0") from None
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
        """Wait until what was written is on the server's disk, at most so long. Redis before 7.2 cannot tell."""
        try:
            await self._answer(self._cache.execute_command("WAITAOF", 1, 0, round(timeout_s * 1e3)))
        except StackError as error:
            if not isinstance(error.__cause__, exceptions.ResponseError):
                raise

    async def close(self) -> None:
        await self._cache.aclose()

    async def _answer(self, asked: Any) -> Any:
        try:
            return await asked
        except (exceptions.RedisError, OSError, TimeoutError) as error:
            raise StackError("valkey", self._server, str(error) or "no answer", "see `mts status`") from error

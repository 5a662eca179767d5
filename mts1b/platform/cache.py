"""Valkey or Redis. The only module that imports redis."""

from __future__ import annotations

from typing import TypeAlias
from urllib.parse import urlsplit

from redis import exceptions
from redis.asyncio import Redis

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

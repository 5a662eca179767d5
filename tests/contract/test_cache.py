"""The cache on a real Valkey: places in turn, errors of ours, nothing counted twice, healing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from mts1b.foundation.errors import DataError, InputError, StackError
from mts1b.platform import cache
from mts1b.platform.cache import Cache, CacheTimeout
from tests.conftest import RunningStack
from tests.contract.bus_probe import until
from tests.contract.proxy import Proxy, proxied

Work = Callable[[Cache, Proxy], Awaitable[None]]


def over(stack: RunningStack, work: Work, max_connections: int = 10, timeout_s: float = 5.0) -> None:
    """Run `work` on the process's primary cache, behind a proxy of its own."""
    url = urlsplit(stack.endpoints.valkey_url)

    async def run() -> None:
        async with asyncio.timeout(60), proxied(str(url.hostname), int(url.port or 0)) as proxy:
            far = url._replace(netloc=f":{url.password}@127.0.0.1:{proxy.port}").geturl()
            try:
                await work(await cache.open_cache("primary", far, max_connections, timeout_s), proxy)
            finally:
                await cache.close_caches()

    asyncio.run(run())


def fresh() -> str:
    return f"contract-{uuid4().hex[:8]}"


def test_it_keeps_what_it_is_given_and_is_found_by_its_name(stack: RunningStack) -> None:
    async def work(found: Cache, _proxy: Proxy) -> None:
        key = fresh()
        await cache.get_cache().set(key, b"1", ex=60)
        assert await cache.get_cache("primary").get(key) == b"1"
        assert await cache.open_cache("primary", "redis://not-asked:1") is found
        async with found.pipeline() as batch:
            assert await batch.incr(key).incr(key).get(key).execute() == [2, 3, b"3"]
        script = found.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
        assert await script(keys=[key], args=[4]) == 7
        health = await found.health()
        assert health.version and health.answer_ms > 0 and (health.active, health.waiting) == (0, 0)

    over(stack, work)


def test_a_command_that_does_not_fit_what_is_stored_is_named(stack: RunningStack) -> None:
    async def work(found: Cache, _proxy: Proxy) -> None:
        key = fresh()
        await found.set(key, "text", ex=60)
        with pytest.raises(DataError, match="LPUSH.*WRONGTYPE"):
            await found.lpush(key, "x")
        with pytest.raises(DataError, match="pipeline"):
            await found.pipeline().lpush(key, "x").execute()
        assert found.slots.in_use == 0

    over(stack, work)


def test_more_commands_than_connections_wait_in_turn_and_are_told_when_it_takes_too_long(stack: RunningStack) -> None:
    async def work(found: Cache, proxy: Proxy) -> None:
        key = fresh()
        assert sorted(await asyncio.gather(*(found.incr(key) for _ in range(20)))) == [*range(1, 21)]
        assert proxy.connections <= 2
        async with found.place("this test"), found.place("this test"):
            waiting = asyncio.create_task(found.get(key))
            await until(lambda: found.slots.waiting == 1)
            assert found.slots.in_use == 2
            problem = "2 commands under way.*GET: none ended within 1 s; raise cache.max_connections"
            with pytest.raises(CacheTimeout, match=problem):
                await waiting
        assert await found.get(key) == b"20"

    over(stack, work, max_connections=2, timeout_s=1.0)


def test_a_lost_answer_is_not_asked_for_twice(stack: RunningStack) -> None:
    """The server has counted: a repeat would count again."""

    async def work(found: Cache, proxy: Proxy) -> None:
        key = fresh()
        assert await found.incr(key) == 1
        proxy.mute = True
        with pytest.raises(StackError, match="INCR"):
            await found.incr(key)
        proxy.mute = False
        assert await found.get(key) == b"2"

    over(stack, work, timeout_s=0.4)


def test_connections_that_the_server_ended_are_made_anew(stack: RunningStack) -> None:
    async def work(found: Cache, proxy: Proxy) -> None:
        key = fresh()
        await asyncio.gather(*(found.incr(key) for _ in range(10)))
        proxy.cut()
        await asyncio.sleep(0.05)  # the news is on its way
        assert sorted(await asyncio.gather(*(found.incr(key) for _ in range(10)))) == [*range(11, 21)]

    over(stack, work)


def test_a_cache_that_cannot_be_used_is_named(stack: RunningStack) -> None:
    with pytest.raises(InputError, match="give redis"):
        asyncio.run(cache.connect("http://h:1"))
    server = cache.server_of(stack.endpoints.valkey_url)
    for url in ("redis://:hidden@127.0.0.1:1", f"redis://:hidden@{server}"):
        with pytest.raises(StackError, match="run `mts up`") as refused:
            asyncio.run(cache.connect(url, timeout_s=5))
        assert "hidden" not in str(refused.value)
    with pytest.raises(StackError, match="call open_cache"):
        cache.get_cache("nobody")

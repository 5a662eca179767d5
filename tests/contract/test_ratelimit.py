"""The shared limit on a real server: many processes, kills, restarts, and a server that is no base for it."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from mts1b.bench.callers import Callers
from mts1b.bench.ratelimit import ratelimit
from mts1b.bench.session import Session
from mts1b.config_sections import Tier
from mts1b.foundation.clock import NS_PER_S as NS
from mts1b.foundation.clock import SystemClock
from mts1b.foundation.errors import InputError, StackError
from mts1b.platform.cache import Scripts
from mts1b.platform.ratelimit import RateLimited, RateLimiter
from mts1b.platform.ratelimit import shared as script
from mts1b.platform.ratelimit.windows import US_PER_S, SlidingLog, Window
from tests.conftest import RunningStack
from tests.contract.valkey_server import ValkeyServer

LIMIT, USED = 30, 0.7


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[ValkeyServer]:
    server = ValkeyServer(tmp_path).start()
    yield server
    server.kill()


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def seconds_since(began_ns: int) -> float:
    return (SystemClock().monotonic_ns() - began_ns) / NS


def test_four_processes_share_a_limit_through_a_death_and_a_restart(valkey: ValkeyServer, tmp_path: Path) -> None:
    """30 a second: never passed in any sliding second, and used; a killed process frees its share; the server, killed
    and started again, is waited for, and nothing is forgotten. That 95 % are used `mts bench ratelimit` shows: here a
    busy machine may wake the processes late."""
    callers = Callers(valkey.url, "shared", Tier(per_second=LIMIT), tmp_path, 7.0, SystemClock())
    try:
        killed_ns, restarted_ns = callers.begin_ns + 2 * NS, callers.begin_ns + 9 * NS // 2
        callers.wait_until(killed_ns)
        callers.kill_one()
        callers.wait_until(restarted_ns)
        valkey.kill()
        valkey.start()
        calls = callers.calls()
    finally:
        callers.end()
    assert calls.most_in(NS) <= LIMIT
    assert calls.used(LIMIT, NS, callers.begin_ns, killed_ns) >= USED
    assert calls.used(LIMIT, NS, killed_ns, restarted_ns) >= USED
    assert all(max(one) > restarted_ns for one in calls.by_process[1:])
    assert max(calls.by_process[0]) <= killed_ns + NS // 5


def test_the_script_answers_as_the_reference_does(valkey: ValkeyServer) -> None:
    """The same questions at the same times, the server's clock replaced by ours: the same grants and the same waits."""
    text = script.ASK.replace("redis.call('TIME')", "{math.floor(ARGV[#ARGV] / 1000000), ARGV[#ARGV] % 1000000}")
    text = text.replace("#ARGV, 2", "#ARGV - 1, 2")
    luck = random.Random(4)

    async def compare(number: int) -> None:
        windows = [Window(luck.randint(1, 5), US_PER_S), Window(luck.randint(4, 12), 7 * US_PER_S)][: number % 2 + 1]
        reference, now_us = SlidingLog(windows), 1_700_000_000 * US_PER_S
        numbers = [part for window in windows for part in (window.limit, window.length_us)]
        most = min(window.limit for window in windows)
        for call in range(60):
            now_us += luck.choice((0, 1, 1_000, 300_000, 999_999, 1_000_000, 5_000_000))
            permits = luck.randint(1, most)
            given = [f"c{number}.{call}", permits, "", 0, script.SHORT_US, 0, 0, len(windows), *numbers, now_us]
            granted, wait_us, _, _ = await scripts.run(text, [f"l{number}", f"s{number}"], given)
            expected = reference.ask(now_us, permits)
            assert (granted, wait_us) == (int(expected == 0), expected), (number, call)

    async def all_of_them() -> None:
        for number in range(12):
            await compare(number)
        await scripts.close()

    scripts = Scripts(valkey.url, 2.0)
    run(all_of_them())


def test_the_embedded_stack_is_found_and_a_new_limit_need_not_wait(stack: RunningStack) -> None:
    """As in a notebook beside `mts up`: the settings name no Redis, and nothing was called before."""

    async def work() -> None:
        limiter = RateLimiter("polygon", settings=stack.settings)
        began_ns = SystemClock().monotonic_ns()
        for _ in range(5):
            assert (await limiter.acquire()).shared
        assert seconds_since(began_ns) < 30
        await limiter.close()

    run(work())


def test_a_days_calls_survive_a_restart(valkey: ValkeyServer) -> None:
    """Even when the disk did not get the last second: whoever lives reports what it made."""

    async def work() -> None:
        settings = valkey.settings()
        one, other = (RateLimiter("fmp", Tier(per_day=3), settings) for _ in range(2))
        await one.acquire()
        await other.acquire()
        valkey.kill()
        valkey.start()
        await one.acquire()
        for limiter in (one, other, RateLimiter("fmp", Tier(per_day=3), settings)):
            with pytest.raises(RateLimited, match=r"3 per day.*used up") as refused:
                await limiter.acquire()
            assert 86_000 < refused.value.wait_s <= 86_401
            await limiter.close()

    run(work())


def test_what_the_disk_did_not_get_counts_until_it_is_reported(valkey: ValkeyServer, tmp_path: Path) -> None:
    """The last second is lost, and one who called in it says nothing for long: the day's limit is kept all the same."""

    async def work() -> None:
        tier, settings = Tier(per_day=30), valkey.settings()
        one, silent, third = (RateLimiter("fmp", tier, settings) for _ in range(3))
        await one.connect()
        await silent.connect()
        shutil.copytree(tmp_path / "appendonlydir", tmp_path / "on-the-disk")
        await one.acquire()
        await silent.acquire()
        valkey.kill()
        shutil.rmtree(tmp_path / "appendonlydir")
        shutil.move(tmp_path / "on-the-disk", tmp_path / "appendonlydir")
        valkey.start()
        made = 2
        for limiter in (one, third, silent):
            with pytest.raises(RateLimited):
                while True:
                    await limiter.acquire()
                    made += 1
            await limiter.close()
        assert 27 <= made <= 30

    run(work())


def test_a_log_that_vanished_is_not_taken_for_an_empty_one(valkey: ValkeyServer) -> None:
    async def work() -> None:
        limiter = RateLimiter("x", Tier(per_minute=2, per_day=5), valkey.settings(wait_s_max=0))
        await limiter.acquire(2)
        scripts = Scripts(valkey.url, 2.0)
        await scripts.run("return redis.call('FLUSHALL')", [], [])
        with pytest.raises(RateLimited, match="2 per minute"):
            await limiter.acquire()
        await scripts.close()
        await limiter.close()

    run(work())


def test_a_pause_holds_for_everybody(valkey: ValkeyServer) -> None:
    async def work() -> None:
        one, other = (RateLimiter("x", Tier(per_second=50), valkey.settings()) for _ in range(2))
        await other.acquire()
        began_ns = SystemClock().monotonic_ns()
        await one.pause(0.3)
        await asyncio.gather(one.acquire(), other.acquire())
        assert 0.3 <= seconds_since(began_ns) < 2
        await one.close()
        await other.close()

    run(work())


def test_a_cancelled_call_gives_its_turn_to_the_next(valkey: ValkeyServer) -> None:
    async def work() -> None:
        limiter = RateLimiter("x", Tier(per_second=1), valkey.settings())
        await limiter.acquire()
        waiting = asyncio.create_task(limiter.acquire())
        await asyncio.sleep(0.05)
        waiting.cancel()
        began_ns = SystemClock().monotonic_ns()
        await limiter.acquire()
        assert seconds_since(began_ns) < 1.5
        await limiter.close()

    run(work())


@pytest.mark.parametrize(
    ("keeps", "policy", "tier", "told"),
    [
        (False, "noeviction", Tier(per_day=250), "appendonly"),
        (True, "allkeys-lru", Tier(per_second=1), "maxmemory-policy"),
    ],
)
def test_a_server_that_forgets_is_refused(tmp_path: Path, keeps: bool, policy: str, tier: Tier, told: str) -> None:
    server = ValkeyServer(tmp_path, keeps, policy).start()
    try:

        async def work() -> None:
            limiter = RateLimiter("x", tier, server.settings())
            with pytest.raises(StackError, match=told):
                await limiter.acquire()
            await limiter.close()

        run(work())
    finally:
        server.kill()


def test_a_server_without_a_disk_starts_with_full_windows(tmp_path: Path) -> None:
    """What was called before it was started is not known."""
    server = ValkeyServer(tmp_path, keeps=False).start()
    try:

        async def work() -> None:
            limiter = RateLimiter("x", Tier(per_minute=5), server.settings(wait_s_max=1))
            with pytest.raises(RateLimited, match="5 per minute"):
                await limiter.acquire()
            await limiter.close()

        run(work())
    finally:
        server.kill()


def test_without_redis_the_settings_decide(valkey: ValkeyServer, caplog: pytest.LogCaptureFixture) -> None:
    """`local` keeps to a share, says so, and reports what it called once Redis is back."""

    async def work() -> None:
        settings = valkey.settings(fallback="local", fallback_share=0.5, wait_s_max=0.5)
        limiter = RateLimiter("x", Tier(per_day=4), settings)
        valkey.kill()
        assert not (await limiter.acquire()).shared and not (await limiter.acquire()).shared
        with pytest.raises(RateLimited):
            await limiter.acquire()
        assert limiter.statistics().alone == 2
        assert "Redis" in caplog.text or "keeps to 0.5 of the limit" in caplog.text
        valkey.start()
        await asyncio.sleep(1.05)  # until it asks again
        assert (await limiter.acquire()).shared and (await limiter.acquire()).shared
        with pytest.raises(RateLimited):
            await limiter.acquire()
        await limiter.close()

    run(work())


def test_nobody_to_ask_and_no_fallback_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mts1b.platform.ratelimit.limiter.AWAY", script_away())

    async def work() -> None:
        server = ValkeyServer(tmp_path)
        limiter = RateLimiter("x", Tier(per_second=4), server.settings())
        with pytest.raises(StackError, match="valkey"):
            await limiter.acquire()
        with pytest.raises(InputError, match="permits"):
            await limiter.acquire(5)
        await limiter.close()

    run(work())


def script_away() -> Any:
    from mts1b.platform.retry import RetryPolicy

    return RetryPolicy(attempts=2, wait_initial_s=0.001)


def test_the_benchmark_shows_that_no_limit_is_passed(valkey: ValkeyServer) -> None:
    found = ratelimit(Session(SystemClock(), quick=True), valkey.settings())
    most = {name: value for name, value in found.figures.items() if name.endswith("_calls_max")}
    assert most == {"coinbase_free_calls_max": 30, "fmp_free_calls_max": 250}
    assert found.figures["permit_p99_ms"] > 0 and found.versus["ratio_to_redis"] > 1

"""Sliding windows, and the limiter where no server is asked."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mts1b.config import Settings
from mts1b.config_sections import Tier
from mts1b.foundation.errors import InputError, StackError, UnknownNameError
from mts1b.platform.ratelimit import RateLimiter
from mts1b.platform.ratelimit.windows import US_PER_S, SlidingLog, Window, windows_of

WINDOWS = st.lists(st.builds(Window, st.integers(1, 6), st.integers(1, 50)), min_size=1, max_size=3)
STEPS = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 3)), max_size=60)


@given(WINDOWS, STEPS)
def test_no_stretch_of_time_holds_more_than_its_limit(windows: list[Window], steps: list[tuple[int, int]]) -> None:
    """And every wait is exact: one microsecond earlier the answer is no, at its end it is yes."""
    log, now_us, granted = SlidingLog(windows), 0, []
    for later_us, permits in steps:
        now_us += later_us
        permits = min(permits, *(window.limit for window in windows))
        wait_us = log.ask(now_us, permits)
        if wait_us > 1:
            assert log.ask(now_us + wait_us - 1, permits) > 0
        if wait_us:
            now_us += wait_us
            assert log.ask(now_us, permits) == 0
        granted += [now_us] * permits
    for window in windows:
        for at_us in granted:
            assert sum(at_us - window.length_us < other <= at_us for other in granted) <= window.limit


def test_a_burst_is_allowed_once() -> None:
    log = SlidingLog([Window(3, US_PER_S)])
    assert [log.ask(at_us) for at_us in (0, 0, 10, 20)] == [0, 0, 0, US_PER_S - 20]
    assert log.ask(US_PER_S) == 0 and log.ask(US_PER_S) == 0 and log.ask(US_PER_S) == 10


def test_where_the_past_is_unknown_short_windows_are_full() -> None:
    log = SlidingLog([Window(3, US_PER_S), Window(100, 86_400 * US_PER_S)])
    log.ask(0)
    log.fill(10)
    assert log.ask(20) == US_PER_S - 20
    assert log.ask(US_PER_S + 10, 3) == 0


@pytest.mark.parametrize(
    ("tier", "share", "windows"),
    [
        (Tier(per_second=30), 1.0, [(30, 1.02)]),
        (Tier(per_day=250, per_minute=5), 1.0, [(5, 60.02), (250, 86_400.02)]),
        (Tier(per_second=30), 0.25, [(7, 1.02)]),
        (Tier(per_minute=2), 0.25, [(1, 120.02)]),
        (Tier(), 1.0, []),
    ],
)
def test_windows_of_a_tier(tier: Tier, share: float, windows: list[tuple[int, float]]) -> None:
    held = [(window.limit, window.length_us / US_PER_S) for window in windows_of(tier, 0.02, share)]
    assert held == windows


def test_limits_come_from_the_providers_tier() -> None:
    held = Settings(providers={"polygon": {"tier": "paid"}})
    assert RateLimiter("polygon", settings=held).windows == ()
    assert [window.limit for window in RateLimiter("fmp", settings=held).windows] == [250]
    assert [window.limit for window in RateLimiter("ibkr", settings=held).windows] == [50]
    with pytest.raises(UnknownNameError, match="did you mean: polygon"):
        RateLimiter("polygn", settings=held)
    with pytest.raises(InputError, match="is no name"):
        RateLimiter("a{b}", Tier(), held)


def test_what_is_not_limited_waits_for_its_pauses_only() -> None:
    async def work() -> None:
        limiter = RateLimiter("free", Tier(), Settings())
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(limiter.acquire() for _ in range(100)))
        await limiter.pause(0.05)
        async with limiter:
            assert asyncio.get_running_loop().time() - began >= 0.05
        assert limiter.statistics().granted == 101

    asyncio.run(work())


def test_a_limit_without_redis_names_the_remedies(tmp_path: object) -> None:
    limiter = RateLimiter("x", Tier(per_second=1), Settings(data_dir=str(tmp_path)))
    with pytest.raises(StackError, match=r"mts up.*cache.url.*fallback"):
        asyncio.run(limiter.acquire())

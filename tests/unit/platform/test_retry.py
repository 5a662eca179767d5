"""Backoff: how long, how often, what is obeyed."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mts1b.foundation.clock import to_ns
from mts1b.platform.retry import RetryPolicy, retried, retry, retry_after_s

QUICK = RetryPolicy(attempts=4, wait_initial_s=0.001, wait_s_max=0.004, total_s=5.0, asked_s_max=0.05)
NOW_NS = to_ns(datetime(2024, 3, 1, 12, tzinfo=UTC))


class Fails:
    """Fails `times` times, then answers."""

    def __init__(self, times: int, error: Exception) -> None:
        self.times, self.error, self.calls = times, error, 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.times:
            raise self.error
        return "done"


@pytest.mark.parametrize(("times", "calls"), [(0, 1), (1, 2), (3, 4)])
def test_it_is_repeated_until_it_succeeds(times: int, calls: int) -> None:
    call = Fails(times, OSError("x"))
    assert asyncio.run(retried(call, lambda _: True, QUICK)) == "done"
    assert call.calls == calls


def test_never_more_than_the_stated_attempts_and_the_last_failure_is_raised() -> None:
    call = Fails(99, OSError("still down"))
    with pytest.raises(OSError, match="still down"):
        asyncio.run(retried(call, lambda _: True, QUICK))
    assert call.calls == 4


def test_what_may_not_be_repeated_is_not() -> None:
    call = Fails(99, ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        asyncio.run(retried(call, lambda error: isinstance(error, OSError), QUICK))
    assert call.calls == 1


def test_a_wait_that_is_asked_for_is_obeyed_unless_too_long() -> None:
    async def timed(asked_s: float) -> tuple[float, int]:
        call, loop = Fails(1, OSError("x")), asyncio.get_running_loop()
        began = loop.time()
        with contextlib.suppress(OSError):
            await retried(call, lambda _: asked_s, QUICK)
        return loop.time() - began, call.calls

    waited_s, calls = asyncio.run(timed(0.05))
    assert waited_s >= 0.049 and calls == 2
    assert asyncio.run(timed(0.051))[1] == 1


def test_the_decorator_repeats_what_it_names_only() -> None:
    calls: list[int] = []

    @retry(on=OSError, policy=QUICK)
    async def fetch(number: int) -> int:
        calls.append(number)
        if len(calls) < 3:
            raise OSError
        return number

    assert asyncio.run(fetch(7)) == 7 and calls == [7, 7, 7] and fetch.__name__ == "fetch"


@given(st.integers(1, 10_000), st.floats(0, 100), st.floats(0, 1, exclude_max=True))
def test_waits_grow_to_their_bound_and_never_undercut_what_was_asked(attempt: int, asked_s: float, luck: float) -> None:
    policy = RetryPolicy(wait_initial_s=0.1, wait_s_max=5.0, asked_s_max=60.0)
    wait_s = policy.wait_s(attempt, asked_s, luck)
    if asked_s > 60:
        assert wait_s is None
        return
    assert wait_s is not None
    full_s = min(5.0, 0.1 * 2.0 ** min(attempt - 1, 60))
    assert max(asked_s, full_s / 2) <= wait_s <= max(asked_s + 0.1, full_s)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        (" 0.5 ", 0.5),
        ("Fri, 01 Mar 2024 12:00:30 GMT", 30.0),
        ("Fri, 01 Mar 2024 11:00:00 GMT", 0.0),
        ("Fri, 01 Mar 2024 14:00:30 +0200", 30.0),
        ("soon", 0.0),
        ("-3", 0.0),
        ("", 0.0),
        (None, 0.0),
    ],
)
def test_retry_after_in_both_its_forms(header: str | None, seconds: float) -> None:
    assert retry_after_s(header, NOW_NS) == seconds

"""Repeating what failed: exponential backoff with jitter, over stamina, whose loop stops after the stated attempts.

A failure may ask for a longer wait (`Retry-After`, a full rate window); it is obeyed, or the call is given up when that
is too long. What may be repeated at all is the caller's to say: `mts1b.platform.http` repeats idempotent calls only.
"""

from __future__ import annotations

import functools
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import ParamSpec, TypeVar

from mts1b.config_sections import Retry
from mts1b.foundation.clock import NS_PER_S, to_ns
from mts1b.platform.lean import without

with without("tornado"):  # a loop that nobody here runs, with a terminal's colours for its log
    import stamina
    from stamina.instrumentation import set_on_retry_hooks

T = TypeVar("T")
P = ParamSpec("P")

DEFAULTS = Retry()

Again = Callable[[Exception], bool | float]
"""Whether to repeat after this failure; a number: yes, after at least so many seconds."""

_LOG = logging.getLogger("mts1b.retry")
_random = random.Random()

set_on_retry_hooks(())  # `_told` below says more than stamina's own hooks, which would import prometheus_client


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how fast. `attempts` counts the first call, None: no bound. `total_s`: no wait begins after it.

    A wait of `wait_initial_s * 2^(n-1)`, at most `wait_s_max`, is cut down by up to half, at random, so that callers
    that failed together do not come back together.
    """

    attempts: int | None = DEFAULTS.attempts
    wait_initial_s: float = DEFAULTS.wait_initial_s
    wait_s_max: float = DEFAULTS.wait_s_max
    total_s: float | None = DEFAULTS.total_s
    asked_s_max: float = DEFAULTS.retry_after_s_max
    log_level: int = logging.WARNING

    @classmethod
    def of(cls, section: Retry) -> RetryPolicy:
        """The policy that the settings ask for."""
        return cls(
            attempts=section.attempts,
            wait_initial_s=section.wait_initial_s,
            wait_s_max=section.wait_s_max,
            total_s=section.total_s,
            asked_s_max=section.retry_after_s_max,
        )

    def wait_s(self, attempt: int, asked_s: float = 0.0, luck: float = 0.0) -> float | None:
        """Seconds to wait after attempt number `attempt` (from 1) failed; None: asked to wait too long, give up.

        `luck` lies in [0, 1): 0 is the full backoff, towards 1 half of it. The wait asked for is never cut.
        """
        if asked_s > self.asked_s_max:
            return None
        backoff_s = min(self.wait_s_max, self.wait_initial_s * 2.0 ** min(attempt - 1, 60)) * (1 - luck / 2)
        return asked_s + self.wait_initial_s * luck if asked_s >= backoff_s else backoff_s


async def retried(
    call: Callable[[], Awaitable[T]], again: Again, policy: RetryPolicy = RetryPolicy(), name: str = "call"
) -> T:
    """Call until it succeeds, until `again` says no, or until the policy's end; the last failure is raised as it is."""
    attempt = 0

    def backoff(error: Exception) -> bool | float:
        answer = again(error)
        if answer is False:
            return False
        asked_s = 0.0 if answer is True else float(answer)
        wait_s = policy.wait_s(attempt, asked_s, _random.random())
        if wait_s is None:
            return False
        if policy.attempts is None or attempt < policy.attempts:
            _told(policy.log_level, name, attempt, wait_s, error)
        return wait_s

    async for tried in stamina.retry_context(on=backoff, attempts=policy.attempts, timeout=policy.total_s):
        with tried:
            attempt = tried.num
            return await call()
    raise AssertionError("stamina ends with a result or an error")


def retry(
    on: type[Exception] | tuple[type[Exception], ...], policy: RetryPolicy = RetryPolicy()
) -> Callable[[Callable[P, Awaitable[T]]], Callable[P, Awaitable[T]]]:
    """Decorate an async function that may safely be called again: repeat it when it raises `on`."""

    def decorate(function: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        @functools.wraps(function)
        async def repeated(*args: P.args, **named: P.kwargs) -> T:
            again = functools.partial(_is_one_of, on)
            return await retried(lambda: function(*args, **named), again, policy, function.__qualname__)

        return repeated

    return decorate


def _is_one_of(on: type[Exception] | tuple[type[Exception], ...], error: Exception) -> bool:
    return isinstance(error, on)


def retry_after_s(header: str | None, now_ns: int) -> float:
    """Seconds that a `Retry-After` header asks for: a number, or a date (RFC 9110, 10.2.3); 0 when it says neither."""
    text = (header or "").strip()
    if text.isascii() and text.replace(".", "", 1).isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (to_ns(moment) - now_ns) / NS_PER_S)


def _told(level: int, name: str, attempt: int, wait_s: float, error: Exception) -> None:
    _LOG.log(level, "%s failed (attempt %d): %s; again in %.3f s", name, attempt, error, wait_s)

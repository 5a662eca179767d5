"""One provider's limit as a process keeps it: wait for a permit, then call at once.

A permit that took longer to arrive than `ratelimits.slack_s` is not used but exchanged for a new one: its window may
have moved on. Since windows are longer by the same slack, calls made at once after their permits keep to the limit in
every stretch of time, whoever makes them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass
from secrets import token_hex
from typing import TYPE_CHECKING

from mts1b.config import Settings, load_settings
from mts1b.config_sections import Tier
from mts1b.foundation.clock import NS_PER_S, Clock, SystemClock
from mts1b.foundation.errors import InputError, StackError, VenueError, unknown_name
from mts1b.foundation.limits import CONNECT_TIMEOUT_S
from mts1b.platform.ratelimit.shared import Answer, SharedLog
from mts1b.platform.ratelimit.windows import US_PER_S, SlidingLog, Window, windows_of
from mts1b.platform.retry import RetryPolicy, retried
from mts1b.platform.secrets import Secrets
from mts1b.platform.telemetry import recorded

if TYPE_CHECKING:
    from mts1b.platform.cache import Scripts

ANSWER_TIMEOUT_S = 2.0
"""How long Redis may take to answer one question."""

PROBE_EVERY_NS = NS_PER_S
"""How often a process that keeps limits by itself asks whether Redis is back."""

LATE_MAX = 50
"""Permits in a row that came too late: the round trip is longer than the slack, and no call would ever be made."""

TURN = RetryPolicy(None, 0.001, 0.05, None, asked_s_max=float("inf"), log_level=logging.DEBUG)
AWAY = RetryPolicy(None, 0.02, 0.5, CONNECT_TIMEOUT_S)

_LOG = logging.getLogger("mts1b.ratelimit")


class RateLimited(VenueError):
    """The limit is used up for longer than the settings let a call wait. `wait_s`: until it is not."""

    def __init__(self, field: str, value: object, problem: str, remedy: str = "", wait_s: float = 0.0) -> None:
        super().__init__(field, value, problem, remedy)
        self.wait_s = wait_s


class _NotYet(Exception):
    """Not our turn for `wait_s`."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"not before {wait_s:.3f} s")
        self.wait_s = wait_s


class _Late(Exception):
    """The permit took too long to arrive."""


@dataclass(frozen=True, slots=True)
class Permit:
    """Call now. `at_ns`: monotonic time at which it was found fresh. `shared` False: kept by this process alone."""

    at_ns: int
    shared: bool = True


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a limiter did so far. `late`: permits exchanged because they came too late. `alone`: given without Redis."""

    granted: int
    waited_s: float
    late: int
    alone: int


class RateLimiter:
    """The limit of provider `name`, shared through Redis with every process that asks under that name.

    `limits`: those of the provider's tier in the settings when not given; none: `acquire` never waits. First come,
    first served within a process. It belongs to the event loop it is first used in; close it with `await close()`.
    """

    def __init__(
        self,
        name: str,
        limits: Tier | None = None,
        settings: Settings | None = None,
        clock: Clock | None = None,
        secrets: Secrets | None = None,
    ) -> None:
        if not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
            raise InputError("ratelimit", name, "is no name", "use letters, digits, - _ and .")
        self.name = name
        self._settings = settings or load_settings()
        self._rules = self._settings.ratelimits
        self._secrets = secrets or Secrets(self._settings.secrets)
        tier = _tier(name, self._settings) if limits is None else limits
        self._tier = tier
        self.windows: tuple[Window, ...] = windows_of(tier, self._rules.slack_s)
        self._clock = clock or SystemClock()
        self._longest_us = max((window.length_us for window in self.windows), default=0)
        self._turn = asyncio.Lock()
        self._scripts: Scripts | None = None
        self._shared: SharedLog | None = None
        self._alone: SlidingLog | None = None
        self._probe_ns = 0
        self._made: OrderedDict[str, int] = OrderedDict()
        self._own = token_hex(6)
        self._unused: tuple[str, ...] = ()
        self._paused_ns = 0
        self._granted = self._waited_ns = self._late = self._given_alone = 0

    async def acquire(self, permits: int = 1) -> Permit:
        """Wait for the right to make `permits` calls now, and make them at once.

        RateLimited when the turn is further off than `ratelimits.wait_s_max`; StackError when Redis does not answer for
        CONNECT_TIMEOUT_S and the settings do not name a fallback; InputError when no window ever holds so many.
        """
        least = min((window.limit for window in self.windows), default=permits)
        if not 1 <= permits <= least:
            raise InputError("permits", permits, f"{self.name} allows 1 to {least} at once", "ask for fewer")
        began_ns = self._clock.monotonic_ns()
        if not self.windows and began_ns >= self._paused_ns:
            self._granted += permits
            return Permit(began_ns)
        async with self._turn:
            permit = await self._permit(permits)
        self._granted += permits
        waited_ns = permit.at_ns - began_ns
        self._waited_ns += waited_ns
        recorded(f"ratelimit.{self.name}", max(0, waited_ns))
        return permit

    async def connect(self) -> None:
        """Meet Redis now, so that the first call need not wait for that. StackError as `acquire`."""
        if self.windows:
            await (await self._log()).connect()

    async def __aenter__(self) -> Permit:
        return await self.acquire()

    async def __aexit__(self, *_raised: object) -> None:
        return None

    async def pause(self, seconds: float) -> None:
        """The provider asked for a pause (`Retry-After`): nobody gets a permit before it is over."""
        self._paused_ns = max(self._paused_ns, self._clock.monotonic_ns() + round(seconds * NS_PER_S))
        if self.windows and self._alone is None:
            try:
                await (await self._log()).pause(seconds)
            except StackError as error:
                _LOG.warning("ratelimit %s: the pause is kept by this process alone: %s", self.name, error)

    def statistics(self) -> Statistics:
        return Statistics(self._granted, self._waited_ns / NS_PER_S, self._late, self._given_alone)

    async def close(self) -> None:
        """Let the connection to Redis go."""
        if self._scripts is not None:
            await self._scripts.close()
        self._scripts = self._shared = None

    async def _permit(self, permits: int) -> Permit:
        late = 0

        async def once() -> Permit:
            nonlocal late
            try:
                return await self._once(permits)
            except _Late:
                late += 1
                self._late += 1
                if late >= LATE_MAX:
                    problem = f"permits arrive later than the slack of {self._rules.slack_s:g} s"
                    raise StackError(f"ratelimit.{self.name}", late, problem, "raise ratelimits.slack_s") from None
                raise

        return await retried(once, _turn_comes, TURN, f"ratelimit.{self.name}")

    async def _once(self, permits: int) -> Permit:
        """One question. _NotYet, _Late, RateLimited or StackError when it gives no permit."""
        asked_ns = self._clock.monotonic_ns()
        if asked_ns < self._paused_ns:
            raise self._not_yet((self._paused_ns - asked_ns) / NS_PER_S, "paused, as the provider asked")
        if not self.windows:
            return Permit(asked_ns)
        shared = not self._keeps_alone(asked_ns)
        answer = await (self._ask_shared(permits) if shared else self._ask_alone(permits))
        shared = shared and self._alone is None
        if answer.wait_us:
            raise self._not_yet(answer.wait_us / US_PER_S)
        now_ns = self._clock.monotonic_ns()
        if now_ns - answer.asked_ns > self._rules.slack_s * NS_PER_S:
            self._unused = (*self._unused, *answer.calls) if shared else ()
            raise _Late
        self._remember(answer.calls, now_ns // 1_000)
        return Permit(now_ns, shared)

    def _not_yet(self, wait_s: float, why: str = "used up") -> Exception:
        if wait_s <= self._rules.wait_s_max:
            return _NotYet(wait_s)
        told = ", ".join(f"{limit} {name.replace('_', ' ')}" for name, limit in self._tier if limit is not None)
        problem = f"{why}; the next call may be made in {wait_s:,.0f} s"
        remedy = "wait, choose a higher tier, or raise ratelimits.wait_s_max"
        return RateLimited(f"ratelimit.{self.name}", told or "unlimited", problem, remedy, wait_s)

    def _remember(self, calls: tuple[str, ...], at_us: int) -> None:
        for call in calls:
            self._made[call] = at_us
        while self._made and next(iter(self._made.values())) <= at_us - self._longest_us:
            self._made.popitem(last=False)

    # with Redis

    async def _log(self) -> SharedLog:
        if self._shared is None:
            from mts1b.platform.cache import Scripts  # 25 MB: for those whose calls are limited

            given = self._settings.cache.url
            source = None if given is None else self._secrets.source(given)
            url = self._settings.running("valkey_url") if source is None else await source.get()
            if url is None:
                remedy = "run `mts up`, set cache.url, or choose ratelimits.fallback: local"
                raise StackError(f"ratelimit.{self.name}", "cache.url", "no Redis to share the limit through", remedy)
            self._scripts = Scripts(url, ANSWER_TIMEOUT_S, source)
            self._shared = SharedLog(self.name, self.windows, self._scripts, self._clock, self._rules.allow_volatile)
        return self._shared

    async def _ask_shared(self, permits: int) -> Answer:
        async def ask() -> Answer:
            if self._alone is not None:
                await (await self._log()).report(self._made)
                self._end_alone()
            answer = await (await self._log()).ask(permits, self._made, self._unused)
            self._unused = ()
            return answer

        if self._rules.fallback == "refuse":
            return await retried(ask, _server_is_away, AWAY, f"ratelimit.{self.name}")
        try:
            return await ask()
        except StackError as error:
            self._begin_alone(error)
            return await self._ask_alone(permits)

    # without: a stated choice (`ratelimits.fallback: local`)

    def _keeps_alone(self, now_ns: int) -> bool:
        return self._alone is not None and now_ns < self._probe_ns

    def _begin_alone(self, error: StackError) -> None:
        now_us = self._clock.monotonic_ns() // 1_000
        self._probe_ns = self._clock.monotonic_ns() + PROBE_EVERY_NS
        if self._alone is None:
            share = self._rules.fallback_share
            _LOG.warning("ratelimit %s: %s; this process keeps to %g of the limit by itself", self.name, error, share)
            self._alone = SlidingLog(windows_of(self._tier, self._rules.slack_s, share))
            self._alone.note(self._made.values())
            self._alone.fill(now_us)  # what the others called in the last seconds is not known here

    def _end_alone(self) -> None:
        _LOG.warning("ratelimit %s: Redis answers again; the limit is shared", self.name)
        self._alone = None

    async def _ask_alone(self, permits: int) -> Answer:
        assert self._alone is not None
        asked_ns = self._clock.monotonic_ns()
        wait_us = self._alone.ask(asked_ns // 1_000, permits)
        if wait_us:
            return Answer(asked_ns, wait_us)
        self._given_alone += permits
        return Answer(asked_ns, 0, tuple(f"{self._own}:{self._given_alone - one}" for one in range(permits)))


def _tier(name: str, settings: Settings) -> Tier:
    if name not in settings.providers:
        raise unknown_name("provider", name, settings.providers)
    provider = settings.providers[name]
    return provider.tiers.get(provider.tier, Tier())


def _turn_comes(error: Exception) -> bool | float:
    return error.wait_s if isinstance(error, _NotYet) else isinstance(error, _Late)


def _server_is_away(error: Exception) -> bool:
    return isinstance(error, StackError) and error.field == "valkey"

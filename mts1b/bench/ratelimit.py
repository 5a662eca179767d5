"""Providers' limits as four processes share them, and what a permit costs beside a bare call to Redis."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import numpy as np

from mts1b.bench.callers import Callers
from mts1b.bench.result import BenchResult
from mts1b.bench.session import Session
from mts1b.config import Settings, load_settings
from mts1b.config_sections import Tier
from mts1b.deploy import stack
from mts1b.foundation.clock import NS_PER_MS, NS_PER_S, SystemClock
from mts1b.foundation.errors import InvariantBroken
from mts1b.platform import cache
from mts1b.platform.ratelimit import RateLimited, RateLimiter
from mts1b.platform.secrets import Secrets

SECOND_TIERS = (("coinbase", "free"), ("coinbase", "paid"), ("ibkr", "free"))
SECONDS, MINUTE_SECONDS = 20, 65
PERMITS = 2_000


def ratelimit(session: Session, settings: Settings | None = None) -> BenchResult:
    """The most calls of four processes in any window of each tier, and the share of the limit they used.

    A day's limit is asked for until it refuses. `permit_p50_ms` and `_p99_ms`: one permit nobody else wants.
    `settings`: a stack that is up. InvariantBroken when any stretch of time held more calls than its limit.
    """
    with own_redis(session, settings) as used, tempfile.TemporaryDirectory(prefix="mts1b-bench-") as folder:
        figures: dict[str, float] = {"processes": 4, "seconds": session.size(SECONDS, 2)}
        for provider, tier in SECOND_TIERS[: session.size(len(SECOND_TIERS), 1)]:
            figures |= shared(session, used, Path(folder), provider, tier, figures["seconds"])
        if not session.quick:
            figures |= shared(session, used, Path(folder), "polygon", "free", MINUTE_SECONDS)
        for tier in ("free", "paid")[: session.size(2, 1)]:
            session.tell(f"fmp {tier}")
            figures[f"fmp_{tier}_calls_max"] = asyncio.run(until_refused(used, "fmp", tier))
        costs, versus = asyncio.run(permit_costs(session, used))
    return BenchResult("ratelimit", figures | costs, versus)


@contextlib.contextmanager
def own_redis(session: Session, settings: Settings | None) -> Iterator[Settings]:
    """Settings whose Redis is up: the stack that was handed in, or one that goes away again."""
    if settings is not None:
        yield settings
        return
    with tempfile.TemporaryDirectory(prefix="mts1b-bench-") as folder:
        own = load_settings(data_dir=Path(folder) / "data")
        try:
            stack.up(own, session.clock, parts=("valkey",))
            yield own
        finally:
            stack.down(own, session.clock)


def redis_url(settings: Settings) -> str:
    given = settings.cache.url
    return stack.endpoints(settings).valkey_url if given is None else Secrets(settings.secrets).read(given)


def shared(
    session: Session, settings: Settings, folder: Path, provider: str, tier: str, seconds: float
) -> dict[str, float]:
    """What four processes made of one tier's limit."""
    session.tell(f"{provider} {tier}, {seconds:g} s")
    limits = settings.providers[provider].tiers[tier]
    limit, length_s = (limits.per_second, 1) if limits.per_second else (limits.per_minute, 60)
    assert limit is not None
    name = f"bench-{provider}-{tier}"
    callers = Callers(redis_url(settings), name, limits, folder, seconds, SystemClock())
    try:
        calls = callers.calls()
    finally:
        callers.end()
    most = calls.most_in(length_s * NS_PER_S)
    if most > limit:
        raise InvariantBroken(f"{provider} {tier}", most, f"more than {limit} calls in {length_s} s")
    used = calls.used(limit, length_s * NS_PER_S, callers.begin_ns, callers.end_ns)
    return {f"{provider}_{tier}_calls_max": most} | ({f"{provider}_{tier}_used_share": used} if used else {})


async def until_refused(settings: Settings, provider: str, tier: str) -> int:
    """How many calls a day's limit lets through."""
    limiter = RateLimiter(f"bench-{provider}-{tier}", settings.providers[provider].tiers[tier], settings)
    made = 0
    try:
        with contextlib.suppress(RateLimited):
            while True:
                await limiter.acquire()
                made += 1
    finally:
        await limiter.close()
    return made


async def permit_costs(session: Session, settings: Settings) -> tuple[dict[str, float], dict[str, float]]:
    """Milliseconds of a permit that is free, beside one round trip to the same server; and of one without a limit."""
    limited = RateLimiter("bench-cost", Tier(per_second=1_000_000), settings)
    unlimited = RateLimiter("bench-unlimited", Tier(), settings)
    server = await cache.connect(redis_url(settings))
    times = session.size(PERMITS, 50)
    took: dict[str, list[float]] = {"permit": [], "redis": [], "unlimited": []}
    asked: dict[str, Callable[[], Awaitable[object]]]
    asked = {"permit": limited.acquire, "redis": server.ping, "unlimited": unlimited.acquire}
    try:
        for _ in range(times):
            for name, ask in asked.items():  # in turn, so that what else the machine does meets all alike
                began_ns = session.clock.monotonic_ns()
                await ask()
                took[name].append((session.clock.monotonic_ns() - began_ns) / NS_PER_MS)
    finally:
        await limited.close()
        await server.aclose()
    p50 = {name: float(np.median(of_it)) for name, of_it in took.items()}
    figures = {
        "permit_p50_ms": p50["permit"],
        "permit_p99_ms": float(np.percentile(took["permit"], 99)),
        "unlimited_permit_p50_ms": p50["unlimited"],
    }
    return figures, {"redis_ping_p50_ms": p50["redis"], "ratio_to_redis": p50["permit"] / p50["redis"]}

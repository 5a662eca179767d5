"""One of several processes that share a limit: call as often as the limiter lets it, and write down when.

`python -m mts1b.bench.ratelimit_task REDIS_URL NAME TIER_JSON FILE`: says `ready`, reads the nanoseconds of monotonic
time at which to begin and to end, and writes those of its calls, one a line.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

from mts1b.config import load_settings
from mts1b.config_sections import Tier
from mts1b.foundation.clock import NS_PER_S, SystemClock
from mts1b.platform.ratelimit import RateLimited, RateLimiter

TASKS = 8


async def call(url: str, name: str, tier: Tier, file: str) -> None:
    """Call until the end; a limit that is used up for longer ends it too."""
    limiter, clock = RateLimiter(name, tier, load_settings(cache={"url": url})), SystemClock()
    await limiter.connect()
    print("ready", flush=True)
    begin_ns, end_ns = (int(word) for word in sys.stdin.readline().split())

    async def task() -> None:
        with contextlib.suppress(RateLimited):
            while (permit := await limiter.acquire()).at_ns < end_ns:
                out.write(f"{permit.at_ns}\n")

    await asyncio.sleep(max(0, begin_ns - clock.monotonic_ns()) / NS_PER_S)
    with await asyncio.to_thread(open, file, "w", buffering=1) as out:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(task()) for _ in range(TASKS)]
            await asyncio.sleep(max(0, end_ns - clock.monotonic_ns()) / NS_PER_S)
            for one in tasks:
                one.cancel()
    await limiter.close()


if __name__ == "__main__":
    asyncio.run(call(sys.argv[1], sys.argv[2], Tier.model_validate_json(sys.argv[3]), sys.argv[4]))

"""What one primitive or library holds, measured in a process of its own: `python -m mts1b.bench.footprint_task NAME`.

Standard input is JSON with the addresses of servers; standard output is JSON: `base`, what the process held before, and
`idle` and `active`, each with `rss_mb` and `uss_mb`.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import re
import resource
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

MB = 1024.0
"""Sizes come in kB."""

CALLS = 100
CONNECTIONS = 20
EVERY_SERVICE_HAS = (asyncio, json, logging, ssl)

Where = dict[str, str]
Held = dict[str, float]


def held() -> Held:
    """What this process holds now, in MB: resident, and of that what no other process shares."""
    gc.collect()
    text = Path("/proc/self/smaps_rollup").read_text()

    def of(name: str) -> float:
        found = re.search(rf"^{name}:\s+(\d+)", text, re.MULTILINE)
        assert found is not None
        return int(found.group(1)) / MB

    return {"rss_mb": of("Rss"), "uss_mb": of("Private_Clean") + of("Private_Dirty")}


def peak() -> Held:
    """The same, resident being the most it ever was."""
    now = held()
    return {**now, "rss_mb": max(now["rss_mb"], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MB)}


def look(_shared: None, _item: int) -> Held:
    """A worker's task that only tells what the worker holds."""
    return held()


class Bare:
    """An actor that has nothing, until it is given the GPU's backend."""

    def look(self) -> Held:
        return held()

    def load_gpu(self) -> Held:
        gpu_host({})
        return held()


def foundation(_where: Where) -> None:
    import mts1b.foundation.bar
    import mts1b.foundation.clock
    import mts1b.foundation.commands
    import mts1b.foundation.errors
    import mts1b.foundation.events
    import mts1b.foundation.fill
    import mts1b.foundation.ids
    import mts1b.foundation.limits
    import mts1b.foundation.order
    import mts1b.foundation.position  # noqa: F401


def config(_where: Where) -> None:
    from mts1b.config import load_settings

    load_settings()


def config_and_vault(where: Where) -> None:
    """Settings, and a secret out of Vault."""
    from mts1b.config import load_settings
    from mts1b.platform.secrets import Secrets

    settings = load_settings(secrets={"vault": {"address": where["http"], "token": "footprint-token"}})
    assert Secrets(settings.secrets).read("vault://footprint#key") == "value"


def logs(_where: Where) -> None:
    from mts1b.platform.logging import get_logger, setup_logging

    with open("/dev/null", "w") as nowhere:
        setup_logging("footprint", stream=nowhere)
        for number in range(CALLS):
            get_logger("footprint").info("counted", number=number)


@asynccontextmanager
async def _http(where: Where) -> AsyncIterator[None]:
    from mts1b.platform.http import close_clients, http_client

    async with http_client("footprint", base_url=where["http"]) as client:
        await asyncio.gather(*[client.get("/") for _ in range(CALLS)])
    yield
    await close_clients()


@asynccontextmanager
async def _nats(where: Where) -> AsyncIterator[None]:
    from mts1b.platform.eventbus import connect

    bus = await connect(where["nats_url"])
    await bus.ensure_stream("footprint", ["footprint.>"])
    for number in range(CALLS):
        await bus.publish("footprint.counted", b"{}", message_id=f"footprint-{number}")
    yield
    await bus.close()


@asynccontextmanager
async def _postgres(where: Where) -> AsyncIterator[None]:
    from mts1b.platform.db import close_pools, open_pool

    pool = await open_pool("primary", where["postgres_dsn"], CONNECTIONS)
    await asyncio.gather(*[pool.fetch("SELECT pg_sleep(0.05)") for _ in range(2 * CONNECTIONS)])
    yield
    await close_pools()


@asynccontextmanager
async def _redis(where: Where) -> AsyncIterator[None]:
    from mts1b.platform.cache import connect

    cache = await connect(where["valkey_url"])
    for number in range(CALLS):
        await cache.set("footprint", number)
    yield
    await cache.aclose()


def platform(_where: Where) -> None:
    """The whole library, imported."""
    import mts1b.platform.cache
    import mts1b.platform.db
    import mts1b.platform.eventbus
    import mts1b.platform.http
    import mts1b.platform.logging
    import mts1b.platform.ratelimit
    import mts1b.platform.secrets
    import mts1b.platform.telemetry.service
    import mts1b.platform.vault  # noqa: F401

    config(_where)


def lake(where: Where) -> None:
    """A lake that is open to be asked."""
    from mts1b.datalake import open_lake

    open_lake(Path(where["lake"]))


def ingest(where: Where) -> None:
    """The sample taken in and read back whole."""
    from mts1b.datalake import open_lake, sample_path

    bars = open_lake(Path(where["lake"])).equities.bars
    bars.ingest(sample_path())
    bars.panel()


def gpu_host(_where: Where) -> None:
    """The GPU backend, where there is no device."""
    import mts1b.backtester.gpu
    import mts1b.backtester.gpu_kernels  # noqa: F401


def _in_use(*uses: Callable[[Where], AbstractAsyncContextManager[None]]) -> Use:
    """Open all of them, and look while they are."""

    async def run(where: Where) -> None:
        async with AsyncExitStack() as opened:
            for use in uses:
                await opened.enter_async_context(use(where))
            HELD.append(held())

    return lambda where: asyncio.run(run(where))


def _nothing(_where: Where) -> None:
    """Being imported is all that it does."""


def _all(where: Where) -> None:
    config_and_vault(where)
    logs(where)
    _in_use(_http, _nats, _postgres, _redis)(where)


Use = Callable[[Where], None]

HELD: list[Held] = []
"""What was held while something was in use."""

TASKS: dict[str, tuple[Use, Use, Use]] = {
    "foundation": (_nothing, foundation, _nothing),
    "logging": (foundation, logs, _nothing),
    "config": (foundation, config_and_vault, _nothing),
    "http": (config, _nothing, _in_use(_http)),
    "nats": (config, _nothing, _in_use(_nats)),
    "postgres": (config, _nothing, _in_use(_postgres)),
    "redis": (config, _nothing, _in_use(_redis)),
    "platform": (foundation, platform, _all),
    "datalake": (_nothing, lake, ingest),
}
"""What is there before, what being there means, and what being used means. What one stands on is not counted with it:
a client's process has read the settings."""


def measure(name: str, where: Where) -> dict[str, Held]:
    """Base, idle and active of one task. Call it once in a process."""
    before, idle, active = TASKS[name]
    before(where)
    found = {"base": held()}
    idle(where)
    found["idle"] = held()
    active(where)
    found["active"] = HELD[-1] if HELD else peak() if name == "datalake" else held()
    return found


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], json.load(sys.stdin))))

"""Pools of every process: read from the pages that services show to Prometheus, no Prometheus needed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.request import urlopen

from mts1b.watchdog.database import PoolFigures

PAGE_TIMEOUT_S = 1.0

_LINE = re.compile(r'^postgres_pool_(active|idle|waiting)\{[^}]*pool="([^"]*)"[^}]*\} (\S+)$', re.MULTILINE)


def pools_on(page: str, process: str) -> list[PoolFigures]:
    """The pools that one process shows, by name."""
    found: dict[str, dict[str, int]] = {}
    for kind, pool, value in _LINE.findall(page):
        found.setdefault(pool, {})[kind] = int(float(value))
    return [
        PoolFigures(process, pool, held.get("active", 0), held.get("idle", 0), held.get("waiting", 0))
        for pool, held in sorted(found.items())
    ]


async def exposed_pools(targets: Path) -> list[PoolFigures]:
    """The pools of every process that has a file in `targets`. One that has just ended, or hangs, shows none."""
    from mts1b.platform.telemetry.exposition import live_targets  # prometheus_client: only where it is wanted

    live = await asyncio.to_thread(live_targets, targets)
    pages = await asyncio.gather(*(asyncio.to_thread(_page, target["address"]) for target in live))
    named = zip((f"{target['service']}-{target['process']}" for target in live), pages, strict=True)
    return list(_all(named))


def _all(pages: Iterable[tuple[str, str]]) -> Iterable[PoolFigures]:
    for process, page in pages:
        yield from pools_on(page, process)


def _page(address: str) -> str:
    try:
        with urlopen(f"http://{address}/metrics", timeout=PAGE_TIMEOUT_S) as answer:  # noqa: S310 - ours, on loopback
            return str(answer.read().decode(errors="replace"))
    except OSError:
        return ""

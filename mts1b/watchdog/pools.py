"""Pools of every process: read from the pages that services show to Prometheus, no Prometheus needed."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from urllib.request import urlopen

from mts1b.foundation.errors import StackError
from mts1b.platform.telemetry.targets import live_targets
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
    """The pools of every process that has a file in `targets`. StackError: a process that lives does not show its."""

    def read() -> list[PoolFigures]:
        found: list[PoolFigures] = []
        for target in live_targets(targets):
            process, address = f"{target['service']}-{target['process']}", target["address"]
            try:
                found += pools_on(_page(address), process)
            except OSError as error:
                if any(other["address"] == address for other in live_targets(targets)):  # it has not just ended
                    raise StackError("metrics", process, str(error), "does the process hang?") from None
        return found

    return await asyncio.to_thread(read)


def _page(address: str) -> str:
    with urlopen(f"http://{address}/metrics", timeout=PAGE_TIMEOUT_S) as answer:
        return str(answer.read().decode(errors="replace"))

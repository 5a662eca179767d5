"""What commands ask of the journal's database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from mts1b.config import Settings

if TYPE_CHECKING:
    from mts1b.platform.db import Pool

T = TypeVar("T")


def with_journal(settings: Settings, ask: Callable[[Pool], Awaitable[T]]) -> T:
    """The answer to `ask`, given the migrated database. StackError when the stack is down."""
    from mts1b.deploy.endpoints import endpoints, postgres_source
    from mts1b.platform.db import migrate, open_pool

    async def run() -> T:
        pool = await open_pool("journal", postgres_source(settings, endpoints(settings)), pool_size=1)
        try:
            await migrate(pool)
            return await ask(pool)
        finally:
            await pool.close()

    return asyncio.run(run())

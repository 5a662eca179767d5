"""What commands about funds share: the trading database, and who is at the keyboard."""

from __future__ import annotations

import os
import pwd
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from mts1b.config import Settings
    from mts1b.platform.db import Pool

T = TypeVar("T")

Fund = Annotated[str, typer.Argument(help="The fund; `mts risk status` lists those that have traded.")]
By = Annotated[str | None, typer.Option("--by", help="Who says so; the user of this process if not given.")]


async def with_pool(settings: Settings, work: Callable[[Pool], Awaitable[T]]) -> T:
    """Run `work` on the trading database, its schema up to date. StackError when the stack is not up."""
    from mts1b.deploy.endpoints import endpoints, postgres_source
    from mts1b.platform.db import close_pools, migrate, open_pool
    from mts1b.refdata.store import MIGRATIONS

    try:
        pool = await open_pool("primary", postgres_source(settings, endpoints(settings)), pool_size=2)
        await migrate(pool)
        await migrate(pool, MIGRATIONS)
        return await work(pool)
    finally:
        await close_pools()


def user() -> str:
    """Who runs this process, as the system knows them."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"

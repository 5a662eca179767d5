"""What the OMS keeps in Postgres: the journal, and the limits and master data that risk is referred to.

Apart from `actors.wiring`, so that the actors which keep nothing hold no client of Postgres.
"""

from __future__ import annotations

from typing import Any

from mts1b.foundation.ids import FundId
from mts1b.oms.journal import Journal
from mts1b.platform import db
from mts1b.platform.rotation import Source
from mts1b.refdata.master_store import MasterStore
from mts1b.refdata.store import MIGRATIONS, LimitsStore


async def open_stores(
    postgres: Source, sizes: dict[str, Any], fund_id: FundId
) -> tuple[Journal, LimitsStore, MasterStore]:
    """All of a fund's, their tables up to date. StackError when Postgres does not answer."""
    pool = await db.open_pool("primary", postgres, **sizes)
    await db.migrate(pool)
    await db.migrate(pool, MIGRATIONS)
    return Journal(pool, fund_id), LimitsStore(pool), MasterStore(pool)


async def close_stores() -> None:
    """Let this process's connections go."""
    await db.close_pools()

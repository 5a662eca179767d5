"""What a Postgres says of itself, from its statistics views. Read only; asks as the application's own role."""

from __future__ import annotations

import numpy as np

from mts1b.platform.db import Pool, translated
from mts1b.riskengine.verdict import Mode
from mts1b.watchdog.database import LockWait, ServerFigures, TableFigures, Transaction
from mts1b.watchdog.drift import Floats
from mts1b.watchdog.funds import FundMode

TRANSACTIONS = """SELECT pid, coalesce(application_name, '') AS application, coalesce(state, '') AS state,
        extract(epoch FROM clock_timestamp() - xact_start)::float8 AS age_s
    FROM pg_stat_activity
    WHERE xact_start IS NOT NULL AND backend_type = 'client backend' AND pid <> pg_backend_pid()
    ORDER BY xact_start LIMIT 100"""

LOCK_WAITS = """SELECT l.pid, coalesce(a.application_name, '') AS application,
        coalesce(l.relation::regclass::text, l.locktype) AS relation,
        extract(epoch FROM clock_timestamp() - l.waitstart)::float8 AS waited_s, pg_blocking_pids(l.pid) AS blockers
    FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
    WHERE NOT l.granted AND l.waitstart IS NOT NULL ORDER BY l.waitstart LIMIT 100"""

TABLES = """SELECT schemaname || '.' || relname AS table, n_live_tup AS live, n_dead_tup AS dead
    FROM pg_stat_user_tables ORDER BY n_dead_tup DESC LIMIT 200"""

CONNECTIONS = """SELECT (SELECT sum(numbackends) FROM pg_stat_database)::int AS used,
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS allowed"""


NAV = """SELECT nav::float8 FROM (SELECT nav, "timestamp" FROM nav_marks WHERE fund_id = $1
    ORDER BY "timestamp" DESC LIMIT $2) AS newest ORDER BY newest."timestamp"
"""


FUNDS = """SELECT fund_id, to_jsonb(funds) ->> 'mode' AS latched, to_jsonb(funds) ->> 'manual_mode' AS told
    FROM funds WHERE updated_at > $1 ORDER BY updated_at DESC LIMIT 1000"""


async def fund_modes(pool: Pool, since_ns: int) -> list[FundMode]:
    """How much each fund may do that something happened to since then; none before there are funds."""
    with translated("watchdog"):
        if await pool.fetchval("SELECT to_regclass('funds')") is None:
            return []
        rows = await pool.fetch(FUNDS, since_ns)
    return [FundMode(row[0], Mode(row[1] or Mode.ACTIVE), Mode(row[2] or Mode.ACTIVE)) for row in rows]


async def fund_returns(pool: Pool, fund_id: str, count: int) -> Floats:
    """The last `count` returns of a fund from mark to mark, oldest first; fewer where there are fewer."""
    with translated("watchdog"):
        nav = np.array([row[0] for row in await pool.fetch(NAV, fund_id, count + 1)], dtype=np.float64)
    return nav[1:] / nav[:-1] - 1.0


async def server_figures(pool: Pool) -> ServerFigures:
    """The figures now. StackError when the server does not answer."""
    with translated("watchdog"):
        async with pool.acquire() as connection:
            transactions = await connection.fetch(TRANSACTIONS)
            waits = await connection.fetch(LOCK_WAITS)
            tables = await connection.fetch(TABLES)
            connections = await connection.fetchrow(CONNECTIONS)
    assert connections is not None
    return ServerFigures(
        transactions=tuple(Transaction(**row) for row in transactions),
        lock_waits=tuple(LockWait(**{**row, "blockers": tuple(row["blockers"])}) for row in waits),
        tables=tuple(TableFigures(**row) for row in tables),
        connections=connections["used"],
        connections_max=connections["allowed"],
    )

"""Database health: pools that wait, transactions and locks that last, connections that run out, tables full of dead.

Pure: the figures come from `mts1b.watchdog.postgres` and from the pools of every process.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mts1b.foundation.alerts import Ease, Finding, Severity
from mts1b.watchdog.grade import Levels

POOL_ALERT = "db_pool_waiting"
TRANSACTION_ALERT = "db_long_transaction"
LOCK_ALERT = "db_lock_wait"
CONNECTIONS_ALERT = "db_connections"
BLOAT_ALERT = "db_table_bloat"

ALERTS = (TRANSACTION_ALERT, LOCK_ALERT, CONNECTIONS_ALERT, BLOAT_ALERT)
"""Those that the server's own figures decide."""


@dataclass(frozen=True, slots=True)
class PoolFigures:
    """One pool of one process. `waiting`: callers without a connection."""

    process: str
    pool: str
    active: int
    idle: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction under way. `state`: as pg_stat_activity has it; an idle one holds its locks all the same."""

    pid: int
    application: str
    state: str
    age_s: float


@dataclass(frozen=True, slots=True)
class LockWait:
    """A backend that waits for a lock on `relation` (or another object), held by `blockers`."""

    pid: int
    application: str
    relation: str
    waited_s: float
    blockers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TableFigures:
    """One table. `dead`: rows that no transaction needs any more, and autovacuum has not removed."""

    table: str
    live: int
    dead: int

    @property
    def dead_share(self) -> float:
        return self.dead / (self.live + self.dead) if self.dead else 0.0


@dataclass(frozen=True, slots=True)
class ServerFigures:
    """What one Postgres says of itself."""

    transactions: tuple[Transaction, ...] = ()
    lock_waits: tuple[LockWait, ...] = ()
    tables: tuple[TableFigures, ...] = ()
    connections: int = 0
    connections_max: int = 1


@dataclass(frozen=True, slots=True)
class DatabaseLevels:
    """`dead_rows_min`: a table with fewer dead rows is never bloated."""

    pool_waiting: Levels = Levels(1, 20, 1.0)
    transaction_s: Levels = Levels(60, 600)
    lock_wait_s: Levels = Levels(5, 60)
    connections_share: Levels = Levels(0.8, 0.95)
    dead_share: Levels = Levels(0.3, 0.6)
    dead_rows_min: int = 10_000


def pool_findings(pools: Iterable[PoolFigures], levels: DatabaseLevels) -> list[Finding]:
    """One finding for each pool of each process."""
    return [_pool(pool, levels.pool_waiting) for pool in pools]


def _pool(pool: PoolFigures, waiting: Levels) -> Finding:
    summary = f"{pool.waiting} callers wait for a connection; {pool.active} are in use, {pool.idle} idle"
    numbers = (
        ("waiting_count", float(pool.waiting)),
        ("active_count", float(pool.active)),
        ("idle_count", float(pool.idle)),
    )
    return Finding(POOL_ALERT, f"{pool.process}/{pool.pool}", waiting.grade(pool.waiting), summary, numbers)


def server_findings(name: str, figures: ServerFigures, levels: DatabaseLevels) -> list[Finding]:
    """How one server is: transactions, locks and connections as a whole, each table by itself."""
    return [
        _transactions(name, figures.transactions, levels.transaction_s),
        _lock_waits(name, figures.lock_waits, levels.lock_wait_s),
        _connections(name, figures, levels.connections_share),
        *(_table(name, table, levels) for table in figures.tables),
    ]


def _transactions(name: str, transactions: tuple[Transaction, ...], age_s: Levels) -> Finding:
    if not transactions:
        return Finding(TRANSACTION_ALERT, name, Ease.WELL, "no transaction is under way")
    oldest = max(transactions, key=lambda item: item.age_s)
    summary = f"{oldest.state} for {oldest.age_s:.1f} s: pid {oldest.pid} of {oldest.application or 'no name'}"
    numbers = (("age_s", oldest.age_s), ("pid", float(oldest.pid)), ("transactions_count", float(len(transactions))))
    return Finding(TRANSACTION_ALERT, name, age_s.grade(oldest.age_s), summary, numbers)


def _lock_waits(name: str, waits: tuple[LockWait, ...], waited_s: Levels) -> Finding:
    if not waits:
        return Finding(LOCK_ALERT, name, Ease.WELL, "nobody waits for a lock")
    longest = max(waits, key=lambda item: item.waited_s)
    by = ", ".join(map(str, longest.blockers)) or "unknown"
    summary = f"pid {longest.pid} waits {longest.waited_s:.1f} s for {longest.relation}, held by {by}"
    numbers = (("waited_s", longest.waited_s), ("pid", float(longest.pid)), ("waits_count", float(len(waits))))
    return Finding(LOCK_ALERT, name, waited_s.grade(longest.waited_s), summary, numbers)


def _connections(name: str, figures: ServerFigures, share: Levels) -> Finding:
    used = figures.connections / max(1, figures.connections_max)
    summary = f"{figures.connections} of {figures.connections_max} connections are in use"
    numbers = (("used_share", used), ("connections_count", float(figures.connections)))
    return Finding(CONNECTIONS_ALERT, name, share.grade(used), summary, numbers)


def _table(name: str, table: TableFigures, levels: DatabaseLevels) -> Finding:
    state: Severity | Ease = Ease.WELL
    if table.dead >= levels.dead_rows_min:
        state = levels.dead_share.grade(table.dead_share)
    summary = f"{table.dead:,} of {table.live + table.dead:,} rows are dead ({table.dead_share:.0%})"
    numbers = (
        ("dead_share", table.dead_share),
        ("dead_rows_count", float(table.dead)),
        ("live_rows_count", float(table.live)),
    )
    return Finding(BLOAT_ALERT, f"{name}/{table.table}", state, summary, numbers)

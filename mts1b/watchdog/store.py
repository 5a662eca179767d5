"""Alerts and references in Postgres: what stands survives the watchdog, and what stood can be listed."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import numpy as np

from mts1b.foundation.alerts import Severity
from mts1b.platform.db import Pool, migrate, transaction, translated
from mts1b.watchdog.book import Alert, Change, ChangeKind, Key
from mts1b.watchdog.drift import Floats

MIGRATIONS = "mts1b.watchdog.migrations"

_COLUMNS = "alert_id, alert, subject, severity, summary, numbers, raised_at, cleared_at, lasts_s"
_STANDING = f"SELECT {_COLUMNS} FROM watchdog_alerts WHERE cleared_at IS NULL ORDER BY raised_at"  # noqa: S608
_HISTORY = f"SELECT {_COLUMNS} FROM watchdog_alerts ORDER BY raised_at DESC, alert_id LIMIT $1"  # noqa: S608
_SUPERSEDE = """UPDATE watchdog_alerts SET cleared_at = greatest(raised_at, $4::bigint)
    WHERE alert = $1 AND subject = $2 AND alert_id <> $3 AND cleared_at IS NULL"""
_SAVE = f"""INSERT INTO watchdog_alerts ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7, $8, $9)
    ON CONFLICT (alert_id) DO UPDATE SET severity = excluded.severity, summary = excluded.summary,
        numbers = excluded.numbers, cleared_at = excluded.cleared_at"""  # noqa: S608 the columns are ours
_FORGET = "DELETE FROM watchdog_alerts WHERE cleared_at < $1"
_KEEP_REFERENCE = """INSERT INTO watchdog_references (alert, subject, expected, observations, given_at)
    VALUES ($1, $2, $3, $4, $5) ON CONFLICT (alert, subject) DO UPDATE
    SET expected = excluded.expected, observations = excluded.observations, given_at = excluded.given_at"""
_REFERENCES = "SELECT alert, subject, expected, observations FROM watchdog_references"
_FORGET_REFERENCES = "DELETE FROM watchdog_references WHERE given_at < $1"


class AlertStore:
    """The watchdog's tables. Every call raises StackError while Postgres is away. As a sink, it keeps what changed."""

    name = "postgres"

    def __init__(self, connect: Callable[[], Awaitable[Pool]]) -> None:
        self._connect = connect
        self._is_migrated = False

    async def standing(self) -> list[Alert]:
        """What stands, the oldest first."""
        return await self._alerts(_STANDING)

    async def history(self, limit: int) -> list[Alert]:
        """The newest alerts, whether they stand or not, the newest first."""
        return await self._alerts(_HISTORY, limit)

    async def send(self, change: Change) -> None:
        """Keep a change. An alert of the same thing that an earlier watchdog left standing ends with the new one."""
        alert = change.alert
        async with transaction(await self._pool()) as connection:
            if change.kind is ChangeKind.RAISED:
                await connection.execute(_SUPERSEDE, alert.alert, alert.subject, alert.alert_id, alert.raised_ns)
            await connection.execute(_SAVE, *_row(alert))

    async def forget(self, before_ns: int) -> None:
        """Remove alerts that were cleared, and references that were given, before then."""
        pool = await self._pool()
        with translated("watchdog"):
            await pool.execute(_FORGET, before_ns)
            await pool.execute(_FORGET_REFERENCES, before_ns)

    async def keep_reference(self, key: Key, values: Floats, count: int, given_ns: int) -> None:
        """Remember what live values of `key` are compared with: values, `count` independent observations of them."""
        pool = await self._pool()
        with translated("watchdog"):
            await pool.execute(_KEEP_REFERENCE, *key, values.tolist(), count, given_ns)

    async def references(self) -> dict[Key, tuple[Floats, int]]:
        """Everything remembered."""
        pool = await self._pool()
        with translated("watchdog"):
            rows = await pool.fetch(_REFERENCES)
        return {(row[0], row[1]): (np.array(row[2], dtype=np.float64), row[3]) for row in rows}

    async def _alerts(self, query: str, *given: int) -> list[Alert]:
        pool = await self._pool()
        with translated("watchdog"):
            rows = await pool.fetch(query, *given)
        return [_alert(*row) for row in rows]

    async def _pool(self) -> Pool:
        pool = await self._connect()
        if not self._is_migrated:
            await migrate(pool, MIGRATIONS)
            self._is_migrated = True
        return pool


def _row(alert: Alert) -> tuple[object, ...]:
    numbers = json.dumps(dict(alert.numbers))
    times = alert.raised_ns, alert.cleared_ns, alert.lasts_s
    return alert.alert_id, alert.alert, alert.subject, alert.severity.value, alert.summary, numbers, *times


def _alert(
    alert_id: str,
    alert: str,
    subject: str,
    severity: str,
    summary: str,
    numbers: str,
    raised_ns: int,
    cleared_ns: int | None,
    lasts_s: float,
) -> Alert:
    found = tuple((name, float(value)) for name, value in json.loads(numbers).items())
    return Alert(alert_id, alert, subject, Severity(severity), summary, found, raised_ns, cleared_ns, lasts_s)

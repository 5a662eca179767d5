"""How funds stand, as the journal has it: for a person, and needing no OMS that runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from mts1b.foundation.ids import FundId
from mts1b.platform.db import Pool, translated
from mts1b.riskengine.verdict import Mode, Standing

_FUNDS = """
SELECT f.fund_id, f.mode, f.manual_mode, f.throttled, f.cash, coalesce(l.expires_at > clock_timestamp(), false) AS held,
    n.nav, n."timestamp" AS marked_at, said.content AS said, said."timestamp" AS said_at,
    (SELECT count(*) FROM orders AS o WHERE o.fund_id = f.fund_id
        AND o.status NOT IN ('denied', 'filled', 'cancelled', 'rejected', 'expired')) AS open_orders,
    (SELECT (content::json ->> 'version')::int FROM audit_chain WHERE subject_id = f.fund_id
        AND kind = 'limits_referred' ORDER BY sequence DESC LIMIT 1) AS limits_version
FROM funds AS f LEFT JOIN writer_leases AS l ON l.fund_id = f.fund_id
LEFT JOIN LATERAL (SELECT nav, "timestamp" FROM nav_marks WHERE fund_id = f.fund_id
    ORDER BY "timestamp" DESC LIMIT 1) AS n ON true
LEFT JOIN LATERAL (SELECT content, "timestamp" FROM audit_chain WHERE subject_id = f.fund_id
    AND kind = 'standing_set' ORDER BY sequence DESC LIMIT 1) AS said ON true
WHERE $1::text IS NULL OR f.fund_id = $1 ORDER BY f.fund_id"""


@dataclass(frozen=True, slots=True)
class FundStatus:
    """One fund. `is_running`: an OMS writes it now. `limits_version`: that its risk was last referred to, None when its
    limits were handed in. `by`, `why`, `since_ns`: of the last change of its standing, None when it never changed."""

    fund_id: FundId
    standing: Standing
    is_running: bool
    cash: Decimal
    nav: Decimal | None
    marked_ns: int | None
    open_orders: int
    limits_version: int | None
    by: str | None
    why: str | None
    since_ns: int | None


async def fund_status(pool: Pool, fund_id: FundId | None = None) -> list[FundStatus]:
    """Every fund that was opened, or this one. StackError while Postgres is away."""
    with translated("funds"):
        return [_status(dict(row)) for row in await pool.fetch(_FUNDS, fund_id)]


def _status(row: Mapping[str, Any]) -> FundStatus:
    said = {} if row["said"] is None else json.loads(row["said"])
    return FundStatus(
        FundId(row["fund_id"]),
        Standing(Mode(row["mode"]), Mode(row["manual_mode"]), frozenset(row["throttled"])),
        row["held"],
        row["cash"],
        row["nav"],
        row["marked_at"],
        row["open_orders"],
        row["limits_version"],
        said.get("by"),
        said.get("why"),
        row["said_at"],
    )

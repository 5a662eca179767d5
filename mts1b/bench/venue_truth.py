"""The venue's own log as the judge: every order there once, and every fill booked."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from mts1b.brokers.paper.endpoint import LOG_FILE
from mts1b.brokers.paper.log import recover
from mts1b.foundation.errors import InvariantBroken
from mts1b.foundation.ids import FundId
from mts1b.oms.fills import fund_fills
from mts1b.platform.db import Pool, translated

SENT = """SELECT client_order_id, idempotency_key FROM orders WHERE fund_id = $1 AND status <> 'denied'"""


@dataclass(frozen=True, slots=True)
class Truth:
    """`arrived_ns`: when each order came to the venue, by its idempotency key, in UTC nanoseconds."""

    arrived_ns: dict[str, int]
    fills: int


async def venue_truth(folder: Path, pool: Pool, fund_id: FundId, orders: int) -> Truth:
    """What the venue's log in `folder` says of a fund that should have placed so many orders, all of them filled.

    InvariantBroken unless each order is there exactly once, and its fills are those booked, to the last cent.
    """
    path = folder / LOG_FILE
    entries, _ = recover(path.read_bytes(), path)
    placed = [entry["command"] for entry in entries if entry["command"]["do"] == "place"]
    times = Counter(str(command["order"]["client_order_id"]) for command in placed)
    with translated("journal"):
        sent = {row["client_order_id"]: row["idempotency_key"] for row in await pool.fetch(SENT, fund_id)}
    if twice := [name for name, count in times.items() if count > 1]:
        raise InvariantBroken("client_order_id", twice[0], "was placed more than once")
    if set(times) != set(sent) or len(sent) != orders:
        raise InvariantBroken("orders", len(sent), f"are journalled as sent, {orders} were made, {len(times)} placed")
    filled = [report for entry in entries for report in entry["reports"] if report["kind"] == "fill"]
    venue = sorted((str(f["fill_id"]), *(Decimal(f[name]) for name in ("quantity", "price", "fee"))) for f in filled)
    booked = sorted((str(f.fill_id), f.quantity, f.price, f.fee) for f in await fund_fills(pool, fund_id))
    if venue != booked or len(booked) != orders:
        raise InvariantBroken("fills", len(booked), f"are booked, the venue made {len(venue)} for {orders} orders")
    arrived = {sent[str(c["order"]["client_order_id"])]: int(c["ts_ns"]) for c in placed}
    return Truth(arrived, len(booked))

"""What venue and journal say now, read where they keep it: the exchange's log on the disk, Postgres."""

from __future__ import annotations

import asyncio
from pathlib import Path

from mts1b.audit.chain import GENESIS, Broken, Head, Link, verify
from mts1b.audit.store import read_links
from mts1b.brokers.paper.endpoint import LOG_FILE
from mts1b.brokers.paper.log import decode
from mts1b.foundation.errors import StackError
from mts1b.platform.db import Pool, transaction, translated
from mts1b.testing.chaos.judge import Booked, VenueStory

VERIFIED_AT_ONCE = 5_000

FUND = "SELECT opening_cash, cash, report_sequence FROM funds WHERE fund_id = $1"
ORDERS = """SELECT client_order_id, idempotency_key, symbol, side, quantity, status, filled_quantity
    FROM orders WHERE fund_id = $1"""
FILLS = "SELECT fill_id, symbol, side, quantity, price, fee FROM fills WHERE fund_id = $1"
POSITIONS = "SELECT symbol, quantity FROM positions WHERE fund_id = $1"
UNDER_WAY = """SELECT (SELECT count(*) FROM outbox WHERE fund_id = $1 AND published_at IS NULL) AS unpublished,
    (SELECT count(*) FROM orders WHERE fund_id = $1 AND status IN
        ('new', 'submitting', 'in_doubt', 'pending_cancel', 'pending_replace')) AS doubtful"""


class VenueLog:
    """The log of an exchange that may be writing it, followed from where it was read to."""

    def __init__(self, folder: Path) -> None:
        self._path, self._read_to = folder / LOG_FILE, 0
        self.story = VenueStory()

    async def follow(self) -> VenueStory:
        """Read what has been added. A line that is not whole yet is left for later."""
        content = await asyncio.to_thread(self._rest)
        end = content.rfind(b"\n") + 1
        entries = []
        for line in content[:end].splitlines():
            entry = decode(line)
            if entry is None:
                break  # torn: the exchange cuts it off when it starts again
            entries.append(entry)
            self._read_to += len(line) + 1
        self.story.take(entries)
        return self.story

    def _rest(self) -> bytes:
        with self._path.open("rb") as file:
            file.seek(self._read_to)
            return file.read()


async def booked(pool: Pool, fund_id: str) -> Booked:
    """The fund in the journal, as of one moment."""
    async with transaction(pool) as connection:
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        orders, fills, held, funds, under_way = [
            [dict(row) for row in await connection.fetch(statement, fund_id)]
            for statement in (ORDERS, FILLS, POSITIONS, FUND, UNDER_WAY)
        ]
    if not funds:
        raise StackError("fund", fund_id, "is not in the journal", "has it been begun?")
    positions = {row["symbol"]: row["quantity"] for row in held}
    return Booked(orders, fills, positions, **funds[0], **under_way[0])


async def is_quiet(pool: Pool, fund_id: str, venue: VenueStory) -> bool:
    """Whether nothing is under way between journal, bus and venue."""
    with translated("chaos"):
        under_way = await pool.fetchrow(UNDER_WAY, fund_id)
        fund = await pool.fetchrow(FUND, fund_id)
    return under_way is not None and not any(under_way) and fund is not None and fund[2] >= venue.news


class Chain:
    """The audit chain, verified as it grows; at the end `whole` goes over all of it again."""

    def __init__(self) -> None:
        self.head, self.links = GENESIS, 0

    async def grown(self, pool: Pool) -> str:
        """The first fault of what was added, "" when there is none."""
        page: list[Link] = []
        async for link in read_links(pool, self.head.sequence):
            page.append(link)
            if len(page) == VERIFIED_AT_ONCE and (fault := self._verified(page)):
                return fault
        return self._verified(page)

    async def whole(self, pool: Pool) -> str:
        """The first fault of the whole chain, "" when there is none."""
        self.head, self.links = Head(), 0
        return await self.grown(pool)

    def _verified(self, page: list[Link]) -> str:
        proof = verify(page, self.head)
        page.clear()
        if isinstance(proof, Broken):
            return f"the audit chain breaks at {proof.sequence}: {proof.problem}"
        self.head, self.links = proof.head, self.links + proof.links
        return ""

"""Reads the chain out of Postgres. Writing it is the journal's alone, in the transaction of what it proves."""

from __future__ import annotations

from collections.abc import AsyncIterator

from mts1b.audit.chain import GENESIS, Broken, Head, Link, Verified, verify
from mts1b.platform.db import Pool, translated

PAGE_LINKS = 5_000

_PAGE = """SELECT sequence, subject_id, kind, content, "timestamp", previous_hash, hash FROM audit_chain
    WHERE sequence > $1 ORDER BY sequence LIMIT $2"""
_TRAIL = """SELECT sequence, subject_id, kind, content, "timestamp", previous_hash, hash FROM audit_chain
    WHERE subject_id = $1 ORDER BY "timestamp", sequence"""
_HEAD = "SELECT sequence, hash FROM audit_chain ORDER BY sequence DESC LIMIT 1"


async def read_links(pool: Pool, after: int = 0, page: int = PAGE_LINKS) -> AsyncIterator[Link]:
    """All links with a sequence above `after`, in order; memory does not grow with their number."""
    while True:
        with translated("audit"):
            rows = await pool.fetch(_PAGE, after, page)
        for row in rows:
            yield Link(*row)
        if len(rows) < page:
            return
        after = rows[-1]["sequence"]


async def verify_stored(pool: Pool, page: int = PAGE_LINKS, kept: Head = GENESIS) -> Verified | Broken:
    """Walk the whole stored chain, page by page. The first link that does not hold ends it.

    `kept`: a head that was kept elsewhere; a chain that does not go through it was cut off or made anew.
    """
    head, count, after = GENESIS, 0, 0
    while True:
        with translated("audit"):
            links = [Link(*row) for row in await pool.fetch(_PAGE, after, page)]
        proof = verify(links, head)
        if isinstance(proof, Broken):
            return Broken(count + proof.links, proof.sequence, proof.problem)
        if problem := departure(links, kept, proof.head, is_end=len(links) < page):
            return Broken(min(proof.head.sequence, kept.sequence - 1), min(proof.head.sequence, kept.sequence), problem)
        head, count = proof.head, count + proof.links
        if len(links) < page:
            return Verified(count, head)
        after = links[-1].sequence


def departure(links: list[Link], kept: Head, head: Head, is_end: bool) -> str:
    """How these verified links, which end at `head`, leave the kept one aside; "" when they do not, or not yet."""
    if is_end and head.sequence < kept.sequence:
        return f"the chain ends here, and went on to {kept.sequence} when it was last verified"
    if any(link.sequence == kept.sequence and link.hash != kept.hash for link in links):
        return "is another link than when the chain was last verified: it was made anew"
    return ""


async def trail(pool: Pool, subject_id: str) -> list[Link]:
    """Every link about one order or fund, in order of time; empty when there is none."""
    with translated("audit"):
        return [Link(*row) for row in await pool.fetch(_TRAIL, subject_id)]


async def stored_head(pool: Pool) -> Head:
    """Where the stored chain ends."""
    with translated("audit"):
        row = await pool.fetchrow(_HEAD)
    return GENESIS if row is None else Head(row["sequence"], row["hash"])

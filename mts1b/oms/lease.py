"""A writer's lease on its fund, as a row of Postgres: taken, renewed, checked by every write, given back.

Two clocks are compared by length only: the server's says when another writer may take over, this process's monotonic
one, started before the server was asked and LEASE_MARGIN_S short, says until when nobody can.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from uuid import uuid4

from mts1b.foundation.clock import NS_PER_S, Clock
from mts1b.foundation.errors import LeaseLost, MtsError
from mts1b.foundation.ids import FundId
from mts1b.foundation.limits import LEASE_MARGIN_S, LEASE_S
from mts1b.oms import sql
from mts1b.platform.db import Connection, Pool, translated

SAFE_NS = int((LEASE_S - LEASE_MARGIN_S) * NS_PER_S)


class Lease:
    """`epoch` 0: not held. The holder's name lives as long as this object: it takes over from itself at once."""

    def __init__(self, fund_id: FundId, clock: Clock) -> None:
        self.fund_id, self.epoch = fund_id, 0
        self._clock, self._holder, self._until_ns = clock, uuid4().hex, 0

    async def take(self, connection: Connection) -> None:
        """Begin an epoch. LeaseLost while another's lease has not run out."""
        asked_ns = self._clock.monotonic_ns()
        epoch = await connection.fetchval(sql.TAKE_LEASE, self.fund_id, self._holder, LEASE_S)
        if epoch is None:
            raise LeaseLost(
                "fund_id", self.fund_id, "another OMS writes this fund", "stop it, or wait until it is gone"
            )
        self.epoch, self._until_ns = epoch, asked_ns + SAFE_NS

    async def renew(self, connection: Connection) -> None:
        """LeaseLost when another has taken over."""
        asked_ns = self._clock.monotonic_ns()
        if await connection.fetchval(sql.RENEW_LEASE, self.fund_id, self.epoch, LEASE_S) is None:
            self.lose()
            raise LeaseLost(
                "fund_id", self.fund_id, "another OMS writes this fund", "stop: write and send nothing more"
            )
        self._until_ns = max(self._until_ns, asked_ns + SAFE_NS)

    def lose(self) -> None:
        """Whatever the journal says, this process speaks for the fund no longer."""
        self._until_ns = 0

    async def give_back(self, pool: Pool) -> None:
        """Let another writer begin at once. Everything sent must have been answered, or be past its deadline."""
        epoch, self.epoch = self.epoch, 0
        self.lose()
        if epoch:
            with suppress(MtsError, asyncio.TimeoutError), translated("journal"):
                await pool.execute(sql.RELEASE_LEASE, self.fund_id, epoch)

    def left_ns(self) -> int:
        """How long nobody can take over; 0 when that is not known."""
        return max(0, self._until_ns - self._clock.monotonic_ns())

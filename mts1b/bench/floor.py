"""The least an order can take on this machine: one Ray round trip, one commit, one HTTP round trip, nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from mts1b.bench.session import Session
from mts1b.brokers.paper.client import PaperHttp
from mts1b.brokers.paper.endpoint import Endpoint
from mts1b.foundation.clock import NS_PER_MS, NS_PER_S
from mts1b.platform import db

MADE = "CREATE TABLE IF NOT EXISTS bench_floor (at bigint)"
COMMIT = "INSERT INTO bench_floor (at) VALUES ($1)"


class Floor:
    """Measured by turns with nothing else going on: `times_ms` holds each part and their sum."""

    def __init__(
        self,
        session: Session,
        ray_call: Callable[[], Awaitable[object]],
        pool: db.Pool,
        writer: db.Connection,
        venue: Endpoint,
    ) -> None:
        self._session, self._ray_call, self._pool, self._writer = session, ray_call, pool, writer
        self._http = PaperHttp(venue)
        self.times_ms: dict[str, list[float]] = {"ray": [], "commit": [], "http": [], "sum": []}

    @classmethod
    async def open(
        cls, session: Session, ray_call: Callable[[], Awaitable[object]], pool: db.Pool, venue: Endpoint
    ) -> Floor:
        """Holds one connection of the pool until `close`."""
        floor = cls(session, ray_call, pool, await pool.acquire(), venue)
        await floor._writer.execute(MADE)
        return floor

    async def measure(self, times: int, each_s: float) -> None:
        """So many of them, one begun every `each_s`."""
        for number in range(times):
            began_ns = self._session.clock.monotonic_ns()
            await self._once(number)
            took_s = (self._session.clock.monotonic_ns() - began_ns) / NS_PER_S
            await asyncio.sleep(max(0.0, each_s - took_s))

    async def close(self) -> None:
        await self._http.close()
        await self._writer.execute("DROP TABLE bench_floor")
        await self._pool.release(self._writer)

    async def _once(self, number: int) -> None:
        clock = self._session.clock
        began_ns = clock.monotonic_ns()
        await self._ray_call()
        called_ns = clock.monotonic_ns()
        await self._writer.execute(COMMIT, number)
        written_ns = clock.monotonic_ns()
        await self._http.ask("GET", "/status")
        ended_ns = clock.monotonic_ns()
        marks = (("ray", began_ns, called_ns), ("commit", called_ns, written_ns), ("http", written_ns, ended_ns))
        for name, since_ns, until_ns in (*marks, ("sum", began_ns, ended_ns)):
            self.times_ms[name].append((until_ns - since_ns) / NS_PER_MS)

"""Until when nobody can take over, on this process's clock."""

from __future__ import annotations

import asyncio

import pytest

from mts1b.foundation.clock import NS_PER_S
from mts1b.foundation.errors import LeaseLost
from mts1b.foundation.ids import FundId
from mts1b.oms.lease import SAFE_NS, Lease
from mts1b.testing.clock import SimulatedClock


class Server:
    """Answers with what it was given, two seconds after it was asked."""

    def __init__(self, clock: SimulatedClock, *answers: int | None) -> None:
        self.clock, self.answers = clock, list(answers)

    async def fetchval(self, *_given: object) -> int | None:
        self.clock.advance(2 * NS_PER_S)
        return self.answers.pop(0)


def test_it_counts_from_before_the_server_was_asked() -> None:
    clock = SimulatedClock()
    clock.advance(5 * NS_PER_S)
    lease, server = Lease(FundId("fund"), clock), Server(clock, 3, 3, None)
    assert lease.left_ns() == 0
    asyncio.run(lease.take(server))  # type: ignore[arg-type]
    assert (lease.epoch, lease.left_ns()) == (3, SAFE_NS - 2 * NS_PER_S)
    clock.advance(NS_PER_S)
    asyncio.run(lease.renew(server))  # type: ignore[arg-type]
    assert lease.left_ns() == SAFE_NS - 2 * NS_PER_S
    with pytest.raises(LeaseLost):
        asyncio.run(lease.renew(server))  # type: ignore[arg-type]
    assert lease.left_ns() == 0


def test_what_has_run_out_is_not_negative() -> None:
    clock = SimulatedClock()
    lease = Lease(FundId("fund"), clock)
    asyncio.run(lease.take(Server(clock, 1)))  # type: ignore[arg-type]
    clock.advance(SAFE_NS)
    assert lease.left_ns() == 0

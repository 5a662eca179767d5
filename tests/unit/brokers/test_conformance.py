import asyncio

import pytest

from mts1b.testing.broker_conformance import CASES, Case, Venue
from mts1b.testing.clock import SimulatedClock
from mts1b.testing.venue import MemoryVenue


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_memory_venue(case: Case) -> None:
    async def run() -> None:
        venue = MemoryVenue(SimulatedClock(10))
        await case(Venue(venue, venue))

    asyncio.run(run())

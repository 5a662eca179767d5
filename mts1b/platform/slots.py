"""Places in a pool, given out in the order they were asked for."""

from __future__ import annotations

import asyncio
from collections import deque


class Slots:
    """`capacity` places. Who is told to wait is served in turn; nobody who comes later overtakes. One event loop."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.in_use = 0
        self._queue: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait for a place right now."""
        return sum(not place.done() for place in self._queue)

    async def enter(self) -> None:
        """Take a place, waiting for one if need be. Cancelled, it takes none."""
        if self.in_use < self.capacity:
            self.in_use += 1
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():  # it was given the place in the same moment
                self.leave()
            raise
        finally:
            if place in self._queue:
                self._queue.remove(place)

    def leave(self) -> None:
        """Give the place to the first who waits, or free it."""
        while self._queue:
            place = self._queue.popleft()
            if not place.done():
                place.set_result(None)
                return
        self.in_use -= 1

"""Keeps the rule of each group: in the background, since what it asks of the venue must not hold up fills of others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from mts1b.foundation.errors import MtsError
from mts1b.foundation.order import Order
from mts1b.oms import groups
from mts1b.oms.dispatch import Dispatch
from mts1b.oms.steps import Steps

ROUNDS_MAX = 8
"""Looks at one group in a row. Each answer of the venue may change what the rule says; later is time enough."""


class GroupKeeper:
    """One task for each group that has something to do. What fails stays to be done: the rule says it again."""

    def __init__(self, steps: Steps, dispatch: Dispatch) -> None:
        self._steps, self._dispatch = steps, dispatch
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def wake(self, orders: Iterable[Order]) -> None:
        """Look at the groups of these orders. Returns at once."""
        for group_id in dict.fromkeys(order.group.group_id for order in orders if order.group is not None):
            self._look(group_id)

    def wake_all(self) -> None:
        """Look at every group that has something to do."""
        for group_id in self._steps.table.groups():
            self._look(group_id)

    async def settled(self) -> None:
        """Returns when every group that was woken has been looked at."""
        while self._tasks:
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _look(self, group_id: str) -> None:
        if group_id not in self._tasks and self._has_work(group_id):
            task = self._tasks[group_id] = asyncio.create_task(self._follow(group_id))
            task.add_done_callback(lambda ended: self._ended(group_id, ended))

    def _has_work(self, group_id: str) -> bool:
        return bool(groups.to_do(self._steps.table.group(group_id)))

    def _ended(self, group_id: str, ended: asyncio.Task[None]) -> None:
        self._tasks.pop(group_id, None)
        if not ended.cancelled() and isinstance(ended.exception(), MtsError):
            self._steps.counts["group_failures"] += 1

    async def _follow(self, group_id: str) -> None:
        for _ in range(ROUNDS_MAX):
            members = self._steps.table.group(group_id)
            entry = groups.awaits_last_word(members)
            if entry is not None:
                if not await self._dispatch.has_told(entry):
                    return
                members = self._steps.table.group(group_id)
            wanted = groups.to_do(members)
            if not wanted:
                self._steps.table.end_group(group_id)
                return
            for leg, message in wanted:
                await self._dispatch.take(leg, message)
